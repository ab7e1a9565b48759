"""Where errors come from, which operations they reach, and who absorbs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from detectors.kit.attempts import group
from detectors.kit.bins import count, pane
from detectors.kit.columns import Category
from detectors.kit.contract import FactsTable, key, least, most, total, worst
from detectors.kit.exemplars import ROW, draw, worst_rows
from detectors.kit.merge import none
from detectors.kit.origins import NEEDED, Climb, climb, in_trouble, pairs
from detectors.kit.work import REFUSALS

SIDES = ("inside", "callee", "outside")
Side = pl.Enum(SIDES)
_MAX_CHAIN = 12
_REFUSED_RPC = (3, 5, 6, 7, 9, 11, 12, 16)
"""gRPC: invalid argument, not found, …: the caller's own doing."""
_LISTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "services": pl.List(pl.UInt64),
    "labels": pl.List(pl.UInt64),
    "starts_ns": pl.List(pl.Int64),
    "durations_ns": pl.List(pl.Int64),
    "span_ids": pl.List(pl.UInt64),
}
_FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "entry_span": pl.UInt64,
    "entry_start_ns": pl.Int64,
    "entry_duration_ns": pl.Int64,
    "first_ns": pl.Int64,
    **_LISTS,
}


class Origins:
    """One row per (origin of an error, operation that it reached, how far away, how it ended).

    The origin is `inside` a service, at a `callee` that answered its caller nothing good, or
    `outside`: a database, cache, broker or peer without spans, named by its system or address.
    """

    name = "origins"
    pane_seconds = 60
    max_rows = 30_000
    columns = (
        key("side", Side, "where the origin lies, seen from its span"),
        key("origin", pl.UInt64, "service, system or peer where the error comes from", text=True),
        key("category", Category, "of the origin's span"),
        key("operation", pl.UInt64, "operation there", text=True),
        key("reporter", pl.UInt64, "service whose span is the origin", text=True),
        key("error_type", pl.UInt64, "error or exception type", text=True),
        key("environment", pl.UInt64, "deployment environment of the reached service", text=True),
        key("service", pl.UInt64, "service that the error reached", text=True),
        key("entry_label", pl.UInt64, "operation that the error reached", text=True),
        key("hops", pl.Int16, "services from the span of the origin"),
        key("absorbed", pl.Boolean, "the operation was fine in spite of it"),
        total("entries", "entries reached"),
        total("traces", "traces, each counted once per row"),
        total("alone", "entries that no other origin reached"),
        total("entry_ns", "duration of those entries"),
        least("first_ns", "onset: the earliest end of a reached entry"),
        most("last_ns", "the latest end of a reached entry"),
        worst(
            "exemplars",
            _FIELDS,
            "the longest entries, with the chain from entry to origin",
            "services",
            "labels",
        ),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per kind of pair; nothing where nothing fails."""
        troubled = in_trouble(spans[_NEEDED])
        if not troubled.height:
            return none(self)
        climbed = climb(troubled, troubled.select(_GROUP).to_series().to_numpy())
        found = _identified(pairs(troubled, climbed), troubled).filter(_FAR)
        if not found.height:
            return none(self)
        once = found.unique(["entry", *_KEYS], keep="first", maintain_order=True)
        once = once.with_columns((pl.len().over("entry") == 1).alias("alone"))
        groups = once.with_row_index(ROW).group_by(_KEYS).agg(_MEASURES)

        def shown(rows: pl.Series) -> pl.DataFrame:
            return _with_chains(once[rows], troubled, climbed)

        return draw(groups, shown, _ORDER, self.columns[-1])


_GROUP = group()
_FAR = (pl.col("hops") > 0) | (pl.col("side") != "inside")
_KEYS = ("pane", *(c.name for c in Origins.columns if c.merge == "key"))
_ORDER = ("score", "trace_hi", "trace_lo", "entry_span")
_MEASURES = (
    pl.len().cast(pl.Int64).alias("entries"),
    pl.col("trace").n_unique().cast(pl.Int64).alias("traces"),
    count(pl.col("alone")),
    pl.col("entry_duration_ns").sum().alias("entry_ns"),
    pl.col("end_ns").min().alias("first_ns"),
    pl.col("end_ns").max().alias("last_ns"),
    worst_rows(_ORDER),
)
_NEEDED = [
    *(*NEEDED, "rpc_status", "category", "callee", "callee_label", "system", "peer", "error_type"),
    *("environment", "entry_label", "trace_hi", "trace_lo", "span_id"),
]


def _identified(found: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Pairs with the identity of their origin and what is known of their entry."""
    origin = spans[_ORIGIN_NEEDS][found["origin"]].with_columns(_SIDE).select(_ORIGIN)
    entry = spans[_ENTRY_NEEDS][found["entry"]].select(_ENTRY)
    return (
        found.rename({"origin": "origin_row"})
        .hstack([*origin.get_columns(), *entry.get_columns()])
        .with_columns(_HOPS)
    )


_ORIGIN_NEEDS = [
    *("kind", "category", "http_status", "rpc_status", "callee", "callee_label", "system", "peer"),
    *("service", "label", "is_entry", "entry_label", "error_type"),
]
_CALLS = pl.col("kind").is_in(["client", "producer"]) | (pl.col("category") == "connection")
_AT_INFRA = pl.coalesce(
    pl.when(pl.col("category").is_in(["db", "cache", "messaging", "connection"])).then("system"),
    "peer",
    "system",
)


def _side() -> pl.Expr:
    http, rpc = pl.col("http_status").fill_null(500), pl.col("rpc_status").fill_null(0)
    refused = ((http < 500) & ~http.is_in(REFUSALS)) | rpc.is_in(_REFUSED_RPC)
    answered = pl.col("callee").is_not_null()
    return (
        pl.when(_CALLS & answered & ~refused)
        .then(pl.lit("callee", Side))
        .when(_CALLS & ~answered & _AT_INFRA.is_not_null())
        .then(pl.lit("outside", Side))
        .otherwise(pl.lit("inside", Side))
        .alias("side")
    )


def _origin() -> Iterator[pl.Expr]:
    callee, outside = pl.col("side") == "callee", pl.col("side") == "outside"
    yield pl.col("side", "category", "error_type")
    yield pl.col("service").alias("reporter")
    yield (
        pl.when(callee)
        .then("callee")
        .when(outside)
        .then(_AT_INFRA)
        .otherwise("service")
        .alias("origin")
    )
    yield (
        pl.when(callee)
        .then("callee_label")
        .when(outside | pl.col("is_entry") | _CALLS)
        .then("label")
        .otherwise("entry_label")
        .alias("operation")
    )


_SIDE, _ORIGIN = _side(), tuple(_origin())
_ENTRY_NEEDS = [
    *("environment", "service", "entry_label", "trace", "trace_hi", "trace_lo", "span_id"),
    *("start_ns", "duration_ns"),
]
_ENTRY = (
    *("environment", "service", "entry_label", "trace", "trace_hi", "trace_lo"),
    pl.col("span_id").alias("entry_span"),
    pl.col("start_ns").alias("entry_start_ns"),
    pl.col("duration_ns").alias("entry_duration_ns"),
    pl.col("duration_ns").alias("score"),
    (pl.col("start_ns") + pl.col("duration_ns")).alias("end_ns"),
    pane(pl.col("start_ns"), Origins.pane_seconds),
)
_HOPS = (pl.col("hops") + pl.when(pl.col("side") == "inside").then(0).otherwise(1)).cast(pl.Int16)


def _with_chains(rows: pl.DataFrame, spans: pl.DataFrame, climbed: Climb) -> pl.DataFrame:
    """Chosen pairs with the chain that a waterfall shows."""
    chains = [
        _chain(climbed.path(origin, entry), entry, spans)
        for origin, entry in rows.select("origin_row", "entry").iter_rows()
    ]
    drawn = pl.DataFrame(chains, schema=_LISTS)
    return rows.hstack([rows["end_ns"].alias("first_ns"), *drawn.get_columns()])


def _chain(path: list[int], entry: int, spans: pl.DataFrame) -> dict[str, Any]:
    """Entry first, origin last; of what lies between, the spans that leave and enter services."""
    rows = np.array(([] if path[-1] == entry else [entry]) + path[::-1])
    if len(rows) > _MAX_CHAIN:
        half = _MAX_CHAIN // 2
        rows = np.concatenate((rows[:half], rows[-half:]))
    cut = spans[_CHAIN][rows]
    return {name: cut[column].to_list() for name, column in zip(_LISTS, _CHAIN, strict=True)}


_CHAIN = ["service", "label", "start_ns", "duration_ns", "span_id"]
"""What `_LISTS` are of."""


TABLE: FactsTable = Origins()

"""Where errors come from, which operations they reach, and who absorbs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from detectors.kit.attempts import group
from detectors.kit.bins import pane
from detectors.kit.columns import Category
from detectors.kit.contract import EXEMPLARS_KEPT, FactsTable, key, least, most, total, worst
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
        return self._rows(spans[_NEEDED])

    def _rows(self, spans: pl.DataFrame) -> pl.DataFrame:
        spans = in_trouble(spans)
        if not spans.height:
            return none(self)
        climbed = climb(spans, spans.select(group())["group"].to_numpy())
        found = _identified(pairs(spans, climbed), spans)
        found = found.filter((pl.col("hops") > 0) | (pl.col("side") != "inside"))
        by = ["pane", *(c.name for c in self.columns if c.merge == "key")]
        once = found.unique(["entry", *by], keep="first", maintain_order=True)
        several = pl.len().over("entry") > 1
        once = once.with_columns((~several).alias("alone"))
        summed = once.group_by(by).agg(
            pl.len().cast(pl.Int64).alias("entries"),
            pl.col("trace").n_unique().cast(pl.Int64).alias("traces"),
            pl.col("alone").sum().cast(pl.Int64),
            pl.col("entry_duration_ns").sum().alias("entry_ns"),
            pl.col("end_ns").min().alias("first_ns"),
            pl.col("end_ns").max().alias("last_ns"),
        )
        shown = _exemplars(once, by, spans, climbed)
        named = [c.name for c in self.columns]
        return summed.join(shown, on=by, how="left", nulls_equal=True).select("pane", *named)


_NEEDED = [
    *(*NEEDED, "rpc_status", "category", "callee", "callee_label", "system", "peer", "error_type"),
    *("environment", "entry_label", "trace_hi", "trace_lo", "span_id"),
]


def _identified(found: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Pairs with the identity of their origin and what is known of their entry."""
    calls = pl.col("kind").is_in(["client", "producer"]) | (pl.col("category") == "connection")
    http, rpc = pl.col("http_status").fill_null(500), pl.col("rpc_status").fill_null(0)
    refused = ((http < 500) & ~http.is_in(REFUSALS)) | rpc.is_in(_REFUSED_RPC)
    answered = pl.col("callee").is_not_null()
    at_infra = pl.coalesce(
        pl.when(pl.col("category").is_in(["db", "cache", "messaging", "connection"])).then(
            "system"
        ),
        "peer",
        "system",
    )
    side = (
        pl.when(calls & answered & ~refused)
        .then(pl.lit("callee"))
        .when(calls & ~answered & at_infra.is_not_null())
        .then(pl.lit("outside"))
        .otherwise(pl.lit("inside"))
        .cast(Side)
    )
    origin = spans[found["origin"]].select(
        side.alias("side"),
        "category",
        pl.col("service").alias("reporter"),
        pl.when(side == "callee")
        .then("callee")
        .when(side == "outside")
        .then(at_infra)
        .otherwise("service")
        .alias("origin_name"),
        pl.when(side == "callee")
        .then("callee_label")
        .when((side == "outside") | pl.col("is_entry"))
        .then("label")
        .otherwise(pl.when(calls).then("label").otherwise("entry_label"))
        .alias("operation"),
        "error_type",
    )
    entry = spans[found["entry"]].select(
        *("environment", "service", "entry_label", "trace", "trace_hi", "trace_lo"),
        pl.col("span_id").alias("entry_span"),
        pl.col("start_ns").alias("entry_start_ns"),
        pl.col("duration_ns").alias("entry_duration_ns"),
        (pl.col("start_ns") + pl.col("duration_ns")).alias("end_ns"),
        pane(pl.col("start_ns"), 60),
    )
    away = pl.when(pl.col("side") == "inside").then(0).otherwise(1)
    return (
        pl.concat([found, origin, entry], how="horizontal")
        .rename({"origin": "origin_row", "origin_name": "origin"})
        .with_columns((pl.col("hops") + away).cast(pl.Int16).alias("hops"))
    )


def _exemplars(
    once: pl.DataFrame, by: list[str], spans: pl.DataFrame, climbed: Climb
) -> pl.DataFrame:
    """The longest entries of each row, with the chain that a waterfall shows."""
    order = ["entry_duration_ns", "trace_hi", "trace_lo", "entry_span"]
    kept = (
        once.sort(*order, descending=[True, False, False, False])
        .group_by(by, maintain_order=True)
        .head(EXEMPLARS_KEPT)
    )
    chains = [
        _chain(climbed.path(origin, entry), entry, spans)
        for origin, entry in kept.select("origin_row", "entry").iter_rows()
    ]
    drawn = pl.DataFrame(chains, schema=_LISTS)
    struct = pl.struct(
        pl.col("entry_duration_ns").alias("score"),
        *("trace_hi", "trace_lo", "entry_span", "entry_start_ns", "entry_duration_ns"),
        pl.col("end_ns").alias("first_ns"),
        *drawn.columns,
    ).alias("exemplars")
    return pl.concat([kept, drawn], how="horizontal").group_by(by, maintain_order=True).agg(struct)


def _chain(path: list[int], entry: int, spans: pl.DataFrame) -> dict[str, Any]:
    """Entry first, origin last; of what lies between, the spans that leave and enter services."""
    rows = np.array(([] if path[-1] == entry else [entry]) + path[::-1])
    if len(rows) > _MAX_CHAIN:
        half = _MAX_CHAIN // 2
        rows = np.concatenate((rows[:half], rows[-half:]))
    cut = spans[rows]
    return {
        "services": cut["service"].to_list(),
        "labels": cut["label"].to_list(),
        "starts_ns": cut["start_ns"].to_list(),
        "durations_ns": cut["duration_ns"].to_list(),
        "span_ids": cut["span_id"].to_list(),
    }


TABLE: FactsTable = Origins()

"""How often each logical call is tried, how it ends and how long it waits between, in panes."""

from __future__ import annotations

import polars as pl

from detectors.kit.attempts import (
    deliveries,
    gaps_between_answers,
    gaps_between_spans,
    measure,
    sent,
    whole,
)
from detectors.kit.bins import count, gap_bin, growth_bin, pane
from detectors.kit.columns import Category
from detectors.kit.contract import FactsTable, key, least, most, total, worst
from detectors.kit.exemplars import with_worst
from detectors.kit.merge import none


class Attempts:
    """One row per (service, operation, call) and whether all went well; one per kind of gap.

    A group is the calls of one entry with the same statement or URL and the same values. What the
    groups without a failure do is the healthy form of the operation. Rows with a `gap_bin` count
    retries and nothing else, rows without one count groups.
    """

    name = "attempts"
    pane_seconds = 5
    max_rows = 50_000
    columns = (
        key("service", pl.UInt64, "calling service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("entry_label", pl.UInt64, "operation of the entry", text=True),
        key("category", Category, "http, rpc, db, cache, messaging, connection"),
        key("label", pl.UInt64, "what is called", text=True),
        key("peer", pl.UInt64, "address of the other side, else its system", text=True),
        key("callee", pl.UInt64, "service that answers, where known", text=True),
        key("operation", pl.UInt64, "label of the answer, where known", text=True),
        key("healthy", pl.Boolean, "no span failed; peer, callee and operation are null then"),
        key("gap_bin", pl.Int16, "end of an attempt to start of the next, see `bins.gap_bin`"),
        key("growth_bin", pl.Int16, "gap over the gap before, see `bins.growth_bin`"),
        total("groups", "groups of calls"),
        total("traces", "traces with such a group, each counted once"),
        total("logical", "logical calls"),
        total("lost", "logical calls that failed in the end"),
        total("attempts", "attempts, those inside spans included"),
        total("hidden", "attempts inside spans"),
        total("unseen", "failed calls whose attempts would not show"),
        total("extra_ns", "time of the attempts after the first"),
        total("retries", "attempts with a gap before them"),
        total("gap_ns", "time between attempts"),
        least("first_ns", "earliest start"),
        most("last_ns", "latest end"),
        worst(
            "exemplars",
            {
                "entry_span": pl.UInt64,
                "entry_start_ns": pl.Int64,
                "entry_duration_ns": pl.Int64,
                "first_ns": pl.Int64,
                "last_ns": pl.Int64,
                "n": pl.Int64,
                "label": pl.UInt64,
                "span_ids": pl.List(pl.UInt64),
            },
            "groups with the most attempts",
            "label",
        ),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per kind of group and of gap; exemplars only of groups that were tried again."""
        calls = sent(spans)
        parts = [none(self), calls.group_by(_HEALTHY_KEYS).agg(_HEALTHY).filter("healthy")]
        gaps = []
        if calls["failing"].any():
            rest = whole(calls.filter("failing"), spans)
            groups = measure(rest)
            parts.append(_failing(groups))
            gaps.append(gaps_between_spans(rest, groups))
        if (spans["tries"].max() or 0) > 1:  # type: ignore[operator]
            gaps.append(gaps_between_answers(calls, spans))
        if (spans["kind"] == "consumer").any():
            parts.append(deliveries(spans).group_by(_DELIVERY_KEYS).agg(_DELIVERIES))
        found = [g.select(_GAP) for g in gaps if g.height]
        if found:
            parts.append(pl.concat(found).group_by(_GAP_KEYS).agg(_GAPS))
        return pl.concat(parts, how="diagonal").with_columns(_UNCOUNTED)


_SAID = ("service", "environment", "entry_label", "category", "label")
_PANE = pane(pl.col("start_ns"), Attempts.pane_seconds)
_HEALTHY_KEYS = (_PANE, *_SAID, (~pl.col("failing")).alias("healthy"))
_HEALTHY = (
    count(pl.col("first")).alias("groups"),
    count(pl.col("again") == 0).alias("logical"),
    pl.col("sends").sum().alias("attempts"),
    (pl.col("sends") - 1).sum().alias("hidden"),
    pl.col("start_ns").min().alias("first_ns"),
    pl.col("end_ns").max().alias("last_ns"),
)
_UNCOUNTED = tuple(pl.col(c.name).fill_null(0) for c in Attempts.columns if c.merge == "sum")
"""Sums that a part does not have; any other column is null there."""


def _failing(groups: pl.DataFrame) -> pl.DataFrame:
    rows = groups.with_columns(_FAILED).with_columns(_FIRST_OF_TRACE)
    counted = rows.group_by(_FAILING_KEYS).agg(_FAILING)
    tried = rows.filter(pl.col("attempts") > pl.col("logical"))
    return with_worst(counted, tried, _FAILING_KEYS, Attempts.columns[-1])


_FAILED = (
    pane(pl.col("first_ns"), Attempts.pane_seconds),
    pl.coalesce("peer", "system").alias("peer"),
    pl.col("callee_label").alias("operation"),
    pl.col("attempts").alias("n"),
    pl.col("attempts").alias("score"),
)
_FAILING_KEYS = ("pane", *_SAID, "peer", "callee", "operation")
_FIRST_OF_TRACE = pl.struct("trace", *_FAILING_KEYS[1:]).is_first_distinct().alias("first")
_FAILING = (
    pl.lit(value=False).alias("healthy"),
    pl.len().cast(pl.Int64).alias("groups"),
    count(pl.col("first")).alias("traces"),
    pl.col("logical", "lost", "attempts", "hidden", "unseen", "extra_ns").sum(),
    pl.col("first_ns").min(),
    pl.col("last_ns").max(),
)

_DELIVERY_KEYS = (_PANE, *_SAID)
_DELIVERIES = (
    pl.lit(value=False).alias("healthy"),
    pl.col("logical").sum().alias("groups"),
    pl.col("logical").sum(),
    pl.col("logical").sum().alias("traces"),
    pl.col("lost").sum(),
    pl.len().cast(pl.Int64).alias("attempts"),
    pl.col("extra_ns").sum(),
    pl.col("start_ns").min().alias("first_ns"),
    pl.col("end_ns").max().alias("last_ns"),
)
"""Never `healthy`: a run that will be tried again is not in error either."""

_GAP = (*_SAID, "start_ns", "gap_ns", "before_ns")
_GAP_KEYS = (
    *(_PANE, *_SAID),
    gap_bin(pl.col("gap_ns")).alias("gap_bin"),
    growth_bin(pl.col("gap_ns"), pl.col("before_ns")).alias("growth_bin"),
)
_GAPS = (
    pl.lit(value=False).alias("healthy"),
    pl.len().cast(pl.Int64).alias("retries"),
    pl.col("gap_ns").sum(),
    pl.col("start_ns").min().alias("first_ns"),
    pl.col("start_ns").max().alias("last_ns"),
)


TABLE: FactsTable = Attempts()

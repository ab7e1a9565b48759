"""The same work done again and again within one entry: queries, writes, calls, cache reads.

A group is (entry, kind of work, shape). It becomes one row of counts: how many different
repeats, in which form, how evenly spread, how many failed. What a rule might want to tune is a bin
of the key; nothing here decides whether a group is a fault.

::

    shop       GET /books               |==============================|   entry
    shop         SELECT books             |=|                              source
    shop         SELECT authors ×12          |=||=||=||=||=||=||=||=|      group, n = 12
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from detectors.kit.alike import alike, flags
from detectors.kit.bins import class_of, count, count_bin, pane
from detectors.kit.columns import Kind
from detectors.kit.contract import FactsTable, fields_of, key, least, most, total, worst
from detectors.kit.merge import none
from detectors.kit.sampling import mix
from detectors.kit.traits import Trait, has
from detectors.kit.work import Work

VALUES = ("hidden", "distinct", "mixed", "same")
Values = pl.Enum(VALUES)
MODES = ("sequential", "parallel")
Mode = pl.Enum(MODES)
TRANSACTIONS = ("unknown", "inside", "outside")
Transaction = pl.Enum(TRANSACTIONS)

FAILED_PERCENT_EDGES = [1, 11, 26, 51]
"""Classes of failed repeats: none, to 10 %, to 25 %, to 50 %, more."""
INTERVAL_MS_EDGES = [10, 100, 500, 1_000, 5_000]
"""Classes of the median time from one start to the next."""
SPREAD_EDGES = [15, 20, 40]
"""Classes of longest over median interval, in tenths: 0 is even, 3 is ragged."""
IDLE_PERCENT_EDGES = [50, 80]
"""Classes of the entry's own time, in which no span under it runs."""

_GROUP = ("entry", "work", "shape")
_MS = 1_000_000


class Repeats:
    """One row per (service, operation, work, subject, form of the repetition, count bin)."""

    name = "repeats"
    pane_seconds = 60
    max_rows = 100_000
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("entry_label", pl.UInt64, "operation of the entry", text=True),
        key("entry_kind", Kind, "kind of the entry; unspecified when it is missing"),
        key("work", Work, "kind of work"),
        key("system", pl.UInt64, "database, broker or protocol", text=True),
        key("operation", pl.UInt64, "verb", text=True),
        key("target", pl.UInt64, "table, path template, destination", text=True),
        key("predicate", pl.UInt64, "columns filtered by", text=True),
        key("shape", pl.UInt64, "statement or URL without values", text=True),
        key("callee", pl.UInt64, "service that answers, where known", text=True),
        key("values", Values, "whether the repeats differ in values"),
        key("mode", Mode, "one after the other, or at once"),
        key("transaction", Transaction, "whether one transaction holds all repeats"),
        key("form", pl.UInt32, "traits that most repeats have"),
        key("attempts", pl.Boolean, "all failed, or all but the last: attempts of one call"),
        key("failed_class", pl.Int8, "share of failed repeats, see FAILED_PERCENT_EDGES"),
        key("interval_class", pl.Int8, "median interval, see INTERVAL_MS_EDGES"),
        key("spread_class", pl.Int8, "evenness of intervals, see SPREAD_EDGES"),
        key("idle_class", pl.Int8, "own time of the entry, see IDLE_PERCENT_EDGES"),
        key("n_bin", pl.Int64, "different repeats in the entry, see `bins.count_bin`"),
        total("entries", "entries with such a group"),
        total("traces", "traces with such a group, each counted once per subject"),
        total("repeats", "different repeats"),
        total("spans", "operations, equal ones included"),
        total("failed", "operations that failed"),
        total("busy_ns", "time in which at least one repeat ran"),
        total("wasted_ns", "busy time less the slowest single repeat"),
        total("entry_ns", "duration of the entries"),
        least("n_min", "fewest different repeats in an entry"),
        most("n_max", "most different repeats in an entry"),
        least("first_ns", "earliest repeat"),
        most("last_ns", "end of the latest repeat"),
        worst(
            "exemplars",
            {
                "entry_span": pl.UInt64,
                "entry_start_ns": pl.Int64,
                "entry_duration_ns": pl.Int64,
                "first_ns": pl.Int64,
                "last_ns": pl.Int64,
                "n": pl.Int64,
                "span_ids": pl.List(pl.UInt64),
                "label": pl.UInt64,
                "helper": pl.UInt64,
                "callee_label": pl.UInt64,
                "source": pl.UInt64,
                "source_start_ns": pl.Int64,
                "source_duration_ns": pl.Int64,
                "code_file": pl.UInt64,
                "code_line": pl.Int32,
            },
            "worst groups: by wasted time, with the spans that a waterfall shows",
            "label",
            "helper",
            "callee_label",
            "source",
            "code_file",
        ),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per group of two or more; equal rows are added up by the engine."""
        several = _several(spans)
        if not several.height:
            return none(self)
        rows = spans[_NEEDED][several["row"]].with_columns(several["shape"])
        groups = _groups(rows).filter(pl.col("n") >= 2)
        if not groups.height:
            return none(self)
        around = spans[_AROUND].filter(pl.Series(flags(spans, groups["entry"])[spans["entry"]]))
        found = _with_helper(_with_source(groups, around), spans)
        found = _with_transaction(_with_idle(found, around), around)
        return found.with_columns(_COUNTED).select(*_ROW, _EXEMPLAR)


def _shaped(spans: pl.DataFrame) -> pl.DataFrame:
    """The spans that do work of some shape; a message's is its label."""
    return spans.with_columns(_SHAPE).filter(_SHAPED)


_SHAPE = pl.coalesce("shape", pl.when(pl.col("work") == "publish").then("label")).alias("shape")
_SHAPED = pl.col("work").is_not_null() & pl.col("shape").is_not_null()
_MIXED = mix(*(pl.col(c).to_physical().cast(pl.UInt64) for c in _GROUP)).alias("group")


def _several(spans: pl.DataFrame) -> pl.DataFrame:
    """`row` and `shape` of spans whose group may have two or more.

    Measuring a group costs 30 times what this does.
    """
    shaped = _shaped(spans[["row", "label", "repeat", *_GROUP]])
    mixed = shaped.select(_MIXED, pl.col("repeat") > 1)
    return shaped[["row", "shape"]].filter(pl.Series(alike(mixed["group"])) | mixed["repeat"])


def _groups(shaped: pl.DataFrame) -> pl.DataFrame:
    """Spans that do work, in order of start -> a row per group with its measures."""
    measured = shaped.group_by(_GROUP, maintain_order=True).agg(_MEASURES)
    return measured.with_columns(_CLASSES)


_FIRST = (
    "trace",
    "trace_hi",
    "trace_lo",
    "service",
    "environment",
    "entry_label",
    "entry_kind",
    "entry_span",
    "entry_start_ns",
    "entry_duration_ns",
    "system",
    "operation",
    "target",
    "predicate",
    "label",
    "parent_row",
    "code_file",
    "code_line",
)
"""Taken from the earliest span of a group; the same for all, or as good as any other."""
_NEEDED = [
    *(*_FIRST, "entry", "work", "repeat", "values", "failed", "callee", "callee_label"),
    *("start_ns", "duration_ns", "span_id", "traits"),
]
_FORMS = (
    Trait.LISTED,
    Trait.PAGED,
    Trait.PIPELINE,
    Trait.MULTI_ROW,
    Trait.LOCKING,
    Trait.PARAMETERS,
    Trait.AGGREGATED,
)


def _measures() -> Iterator[pl.Expr]:
    start, end = pl.col("start_ns"), pl.col("start_ns") + pl.col("duration_ns")
    busy_before = end.cum_max().shift(1)
    busy = (end - pl.max_horizontal(start, busy_before)).clip(lower_bound=0)
    interval = start.diff()
    is_failed = pl.col("failed")
    yield pl.col(_FIRST).first()
    yield pl.col("callee", "callee_label").min()
    yield pl.col("repeat").cast(pl.Int64).sum().alias("spans")
    yield pl.len().cast(pl.Int64).alias("_rows")
    yield pl.col("values").n_unique().cast(pl.Int64).alias("_unique")
    yield pl.col("values").null_count().cast(pl.Int64).alias("_hidden")
    yield count(is_failed)
    yield is_failed.head(pl.len() - 1).all().alias("attempts")
    yield busy.sum().alias("busy_ns")
    yield pl.col("duration_ns").max().alias("_slowest_ns")
    yield count(start < busy_before).alias("_overlaps")
    yield start.min().alias("first_ns")
    yield end.max().alias("last_ns")
    yield interval.median().fill_null(0).cast(pl.Int64).alias("_median_ns")
    yield interval.max().fill_null(0).alias("_longest_ns")
    yield from (_mostly(t) for t in _FORMS)
    yield pl.col("span_id").head(3).alias("span_ids")


def _mostly(trait: Trait) -> pl.Expr:
    """`trait` as a bit when at least half of the group's spans have it, else 0 (UInt32)."""
    share = has(trait).sum() * 2 >= pl.len()
    return pl.when(share).then(int(trait)).otherwise(0).cast(pl.UInt32).alias(f"_{trait.name}")


def _classes() -> Iterator[pl.Expr]:
    """n, values, mode, form and the classes; see the columns of `Repeats`."""
    visible = pl.col("_hidden") == 0
    same = visible & (pl.col("_unique") == 1)
    aggregated = pl.col("_AGGREGATED") != 0
    reads = pl.col("work").is_in(["query", "call"])
    failed = pl.col("failed") * 100 // pl.col("_rows")
    yield (
        pl.when(~visible | aggregated)
        .then(pl.lit("hidden", Values))
        .when(same)
        .then(pl.lit("same", Values))
        .when(pl.col("_unique") == pl.col("_rows"))
        .then(pl.lit("distinct", Values))
        .otherwise(pl.lit("mixed", Values))
        .alias("values")
    )
    yield (
        pl.when(pl.col("_overlaps") * 2 >= pl.col("_rows"))
        .then(pl.lit("parallel", Mode))
        .otherwise(pl.lit("sequential", Mode))
        .alias("mode")
    )
    yield pl.sum_horizontal(*(f"_{t.name}" for t in _FORMS)).cast(pl.UInt32).alias("form")
    yield class_of(failed, FAILED_PERCENT_EDGES).alias("failed_class")
    yield class_of(pl.col("_median_ns") // _MS, INTERVAL_MS_EDGES).alias("interval_class")
    yield spread_class()
    yield (pl.col("busy_ns") - pl.col("_slowest_ns")).clip(lower_bound=0).alias("wasted_ns")
    yield (
        pl.when(reads & visible & ~aggregated)
        .then("_unique")
        .otherwise("spans")
        .cast(pl.Int64)
        .alias("n")
    )
    yield pl.when(pl.col("failed") == 0).then(False).otherwise("attempts").alias("attempts")


def spread_class() -> pl.Expr:
    """How even the intervals are; always 0 for short ones, which nobody asks about."""
    tenths = pl.col("_longest_ns") * 10 // pl.col("_median_ns").clip(lower_bound=1)
    short = pl.col("_median_ns") < INTERVAL_MS_EDGES[0] * _MS
    even = pl.when(short).then(0).otherwise(class_of(tenths, SPREAD_EDGES))
    return even.cast(pl.Int8).alias("spread_class")


_MEASURES, _CLASSES = tuple(_measures()), tuple(_classes())
_AROUND = [
    *("entry", "is_entry", "work", "shape", "label", "category"),
    *("start_ns", "duration_ns", "self_ns"),
]
"""What is asked of the other spans of the entry."""


def _with_source(groups: pl.DataFrame, around: pl.DataFrame) -> pl.DataFrame:
    """Adds the last different read that ended before the group began: what feeds the loop."""
    reads = _shaped(around.filter(_FEEDS)).select(_SOURCE)
    return groups.sort("first_ns", "trace_hi", "trace_lo", *_GROUP).join_asof(
        reads.sort("_end_ns", "source_start_ns", "source"),
        left_on="first_ns",
        right_on="_end_ns",
        by="entry",
        strategy="backward",
        check_sortedness=False,
    )


_FEEDS = pl.col("work").is_in(["query", "call"])
_SOURCE = (
    "entry",
    (pl.col("start_ns") + pl.col("duration_ns")).alias("_end_ns"),
    pl.col("label").alias("source"),
    pl.col("start_ns").alias("source_start_ns"),
    pl.col("duration_ns").alias("source_duration_ns"),
)


def _with_helper(groups: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Adds the label of the span around the first repeat, unless that is the entry itself."""
    row = groups["parent_row"]
    above = spans[["label", "is_entry"]][row.set(row < 0, None).cast(pl.UInt32)]
    return groups.with_columns(above.select(_HELPER).to_series())


_HELPER = pl.when(~pl.col("is_entry")).then("label").alias("helper")


def _with_idle(groups: pl.DataFrame, around: pl.DataFrame) -> pl.DataFrame:
    """Adds how much of the entry is its own time: a loop that sleeps is idle."""
    entries = around.filter("is_entry").select("entry", _OWN)
    return groups.join(entries, on="entry", how="left", maintain_order="left").with_columns(_IDLE)


_OWN = (pl.col("self_ns") * 100 // pl.col("duration_ns").clip(lower_bound=1)).alias("_own")
_IDLE = class_of(pl.col("_own").fill_null(0), IDLE_PERCENT_EDGES).alias("idle_class")


def _with_transaction(groups: pl.DataFrame, around: pl.DataFrame) -> pl.DataFrame:
    """Adds whether one transaction holds the group; unknown where no span shows transactions."""
    controls = around.filter(pl.col("category") == "transaction")
    if not controls.height:
        return groups.with_columns(pl.lit("unknown", Transaction).alias("transaction"))
    borders = controls.group_by("entry").agg(_BORDERS)
    joined = groups.join(borders, on="entry", how="left", maintain_order="left")
    return joined.with_columns(_transaction())


_BORDERS = (
    pl.len().cast(pl.Int64).alias("_borders"),
    pl.col("start_ns").min().alias("_opened_ns"),
    pl.col("start_ns").max().alias("_closed_ns"),
)


def _transaction() -> pl.Expr:
    first = pl.col("first_ns")
    around = (pl.col("_opened_ns") <= first) & (pl.col("_closed_ns") >= first)
    return (
        pl.when(pl.col("_borders").is_null() | (pl.col("work") != "write"))
        .then(pl.lit("unknown", Transaction))
        .when(around & (pl.col("_borders") < pl.col("n")))
        .then(pl.lit("inside", Transaction))
        .otherwise(pl.lit("outside", Transaction))
        .alias("transaction")
    )


_SUBJECT = ("trace", "entry_label", *(c for c in _GROUP if c != "entry"))
_COUNTED = (
    pane(pl.col("entry_start_ns"), Repeats.pane_seconds),
    count_bin(pl.col("n")).alias("n_bin"),
    pl.struct(_SUBJECT).is_first_distinct().alias("traces"),
    pl.col("wasted_ns").alias("score"),
)
_ROW: tuple[pl.Expr | str, ...] = (
    "pane",
    *(c.name for c in Repeats.columns if c.merge == "key"),
    pl.lit(1, dtype=pl.Int64).alias("entries"),
    *("traces", "spans", "failed", "busy_ns", "wasted_ns", "first_ns", "last_ns"),
    pl.col("n").alias("repeats"),
    pl.col("entry_duration_ns").alias("entry_ns"),
    pl.col("n").alias("n_min"),
    pl.col("n").alias("n_max"),
)
_EXEMPLAR = pl.concat_list(pl.struct(*fields_of(Repeats.columns[-1]))).alias("exemplars")


TABLE: FactsTable = Repeats()

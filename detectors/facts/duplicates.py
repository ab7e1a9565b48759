"""The same read with the same known values, more than once in one entry, nothing written between.

Identity is (entry, shape, values): values that are hidden have none, and a statement without any
parameter is always the same. A write to the table begins a new stretch in which a read is new.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from detectors.facts.repeats import INTERVAL_MS_EDGES, spread_class
from detectors.kit.alike import alike, flags
from detectors.kit.bins import class_of, count_bin, pane
from detectors.kit.columns import Kind
from detectors.kit.contract import FactsTable, fields_of, key, least, most, total, worst
from detectors.kit.merge import none
from detectors.kit.sampling import mix
from detectors.kit.traits import Trait, has

_READ = ("entry", "shape", "values")
_FORMS = (Trait.LOCKING, Trait.VOLATILE, Trait.PARAMETERS, Trait.CURSOR)
_MS = 1_000_000


class Duplicates:
    """One row per (service, operation, read, form, evenness, count bin)."""

    name = "duplicates"
    pane_seconds = 60
    max_rows = 50_000
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("entry_label", pl.UInt64, "operation of the entry", text=True),
        key("entry_kind", Kind, "kind of the entry; unspecified when it is missing"),
        key("system", pl.UInt64, "database", text=True),
        key("operation", pl.UInt64, "verb", text=True),
        key("target", pl.UInt64, "table or collection", text=True),
        key("predicate", pl.UInt64, "columns filtered by", text=True),
        key("shape", pl.UInt64, "statement without values", text=True),
        key("form", pl.UInt32, "traits of the statement"),
        key("interval_class", pl.Int8, "median interval, see repeats.INTERVAL_MS_EDGES"),
        key("spread_class", pl.Int8, "evenness of intervals, see repeats.SPREAD_EDGES"),
        key("n_bin", pl.Int64, "most executions of one identity, see `bins.count_bin`"),
        total("entries", "entries with such a read"),
        total("traces", "traces with such a read, each counted once per subject"),
        total("repeats", "executions"),
        total("extra", "executions after the first of each identity"),
        total("wasted_ns", "time of an identity's executions less its slowest"),
        total("entry_ns", "duration of the entries"),
        least("n_min", "fewest executions of one identity"),
        most("n_max", "most executions of one identity"),
        least("first_ns", "earliest execution"),
        most("last_ns", "end of the latest execution"),
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
                "code_file": pl.UInt64,
                "code_line": pl.Int32,
            },
            "worst entries: by wasted time, with the spans that a waterfall shows",
            "label",
            "code_file",
        ),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per entry and shape; equal rows are added up by the engine."""
        lines = spans[_LINE_NEEDS].filter(_LINE)
        twice = _read_twice(lines)
        if not len(twice):
            return none(self)
        theirs = lines.filter(pl.Series(flags(spans, twice)[lines["entry"]]))
        whole = theirs.hstack(spans[_MORE][theirs["row"]].get_columns())
        groups = _by_entry(_identities(_in_stretches(whole)))
        return groups.with_columns(_COUNTED).select(*_ROW, _EXEMPLAR)


_IS_READ = (
    (pl.col("work") == "query")
    & pl.col("shape").is_not_null()
    & pl.col("values").is_not_null()
    & ~pl.col("failed")
)
"""A successful read whose values are known."""
_IS_WRITE = pl.col("work") == "write"
_LINE = _IS_READ | _IS_WRITE
_LINE_NEEDS = ["row", *_READ, "work", "failed"]
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
    "code_file",
    "code_line",
)
_MORE = [*_FIRST, "start_ns", "duration_ns", "traits", "span_id"]


def _read_twice(lines: pl.DataFrame) -> pl.Series:
    """The entries in which one read may have run twice; mostly there are none."""
    reads = lines.filter(_IS_READ)
    return reads["entry"].filter(pl.Series(alike(reads.select(_MIXED).to_series()))).unique()


_MIXED = mix(*(pl.col(c).cast(pl.UInt64) for c in _READ))


def _in_stretches(lines: pl.DataFrame) -> pl.DataFrame:
    """Reads of some entries, with `_writes`: writes to their table before them.

    A write whose table is not known counts for every table of the entry.
    """
    nowhere = _IS_WRITE & pl.col("target").is_null()
    writes = _IS_WRITE.cum_sum().over("entry", "target") + nowhere.cum_sum().over("entry")
    return lines.with_columns(writes.alias("_writes")).filter(_IS_READ)


def _identities(reads: pl.DataFrame) -> pl.DataFrame:
    """Reads -> a row per identity and stretch that was read at least twice."""
    by = [*_READ, "_writes"]
    return reads.group_by(by, maintain_order=True).agg(_MEASURES).filter(pl.col("n") >= 2)


def _measures() -> Iterator[pl.Expr]:
    start, end = pl.col("start_ns"), pl.col("start_ns") + pl.col("duration_ns")
    busy = (end - pl.max_horizontal(start, end.cum_max().shift(1))).clip(lower_bound=0)
    bits = (pl.when(has(t)).then(int(t)).otherwise(0).cast(pl.UInt32) for t in _FORMS)
    yield pl.col(_FIRST).first()
    yield pl.sum_horizontal(*bits).first().alias("form")
    yield pl.len().cast(pl.Int64).alias("n")
    yield (busy.sum() - pl.col("duration_ns").max()).clip(lower_bound=0).alias("wasted_ns")
    yield start.min().alias("first_ns")
    yield end.max().alias("last_ns")
    yield start.diff().median().fill_null(0).cast(pl.Int64).alias("_median_ns")
    yield start.diff().max().fill_null(0).alias("_longest_ns")
    yield pl.col("span_id").head(3).alias("span_ids")


_MEASURES = tuple(_measures())


def _by_entry(identities: pl.DataFrame) -> pl.DataFrame:
    """Identities -> a row per entry and shape, described by its most repeated identity."""
    return (
        identities.sort("n", "first_ns", "values", descending=[True, False, False])
        .group_by("entry", "shape", maintain_order=True)
        .agg(_OF_ENTRY)
        .with_columns(_EVENNESS)
    )


_DESCRIBED = (
    *_FIRST,
    *("form", "n", "first_ns", "last_ns", "span_ids", "_median_ns", "_longest_ns"),
)
_OF_ENTRY = (
    pl.col(_DESCRIBED).first(),
    pl.col("n").sum().alias("repeats"),
    (pl.col("n") - 1).sum().alias("extra"),
    pl.col("wasted_ns").sum(),
)
_EVENNESS = (
    class_of(pl.col("_median_ns") // _MS, INTERVAL_MS_EDGES).alias("interval_class"),
    spread_class(),
)
_COUNTED = (
    pane(pl.col("entry_start_ns"), Duplicates.pane_seconds),
    count_bin(pl.col("n")).alias("n_bin"),
    pl.col("wasted_ns").alias("score"),
    pl.struct("trace", "entry_label", "shape").is_first_distinct().alias("traces"),
)
_ROW: tuple[pl.Expr | str, ...] = (
    "pane",
    *(c.name for c in Duplicates.columns if c.merge == "key"),
    pl.lit(1, dtype=pl.Int64).alias("entries"),
    *("traces", "repeats", "extra", "wasted_ns", "first_ns", "last_ns"),
    pl.col("entry_duration_ns").alias("entry_ns"),
    pl.col("n").alias("n_min"),
    pl.col("n").alias("n_max"),
)
_EXEMPLAR = pl.concat_list(pl.struct(*fields_of(Duplicates.columns[-1]))).alias("exemplars")


TABLE: FactsTable = Duplicates()

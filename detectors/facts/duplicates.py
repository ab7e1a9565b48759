"""The same read with the same known values, more than once in one entry, nothing written between.

Identity is (entry, shape, values): values that are hidden have none, and a statement without any
parameter is always the same. A write to the table begins a new stretch in which a read is new.
"""

from __future__ import annotations

import polars as pl

from detectors.facts.repeats import INTERVAL_MS_EDGES, SPREAD_EDGES
from detectors.kit.bins import class_of, count_bin, pane
from detectors.kit.columns import Kind
from detectors.kit.contract import FactsTable, key, least, most, total, worst
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
        return self._of_spans(spans[_NEEDED])

    def _of_spans(self, spans: pl.DataFrame) -> pl.DataFrame:
        twice = _read_twice(spans)
        if not len(twice):
            return none(self)
        lines = _in_stretches(spans.lazy(), twice)
        return self._rows(_by_entry(_identities(lines))).collect()

    def _rows(self, groups: pl.LazyFrame) -> pl.LazyFrame:
        once = (pl.int_range(pl.len()).over("trace", "entry_label", "shape") == 0).cast(pl.Int64)
        exemplar = list(self.columns[-1].dtype.inner.to_schema())  # type: ignore[union-attr]
        return groups.with_columns(
            pane(pl.col("entry_start_ns"), self.pane_seconds),
            count_bin(pl.col("n")).alias("n_bin"),
            pl.col("wasted_ns").alias("score"),
            once.alias("traces"),
        ).select(
            "pane",
            *(c.name for c in self.columns if c.merge == "key"),
            pl.lit(1, dtype=pl.Int64).alias("entries"),
            "traces",
            "repeats",
            "extra",
            "wasted_ns",
            pl.col("entry_duration_ns").alias("entry_ns"),
            pl.col("n").alias("n_min"),
            pl.col("n").alias("n_max"),
            "first_ns",
            "last_ns",
            pl.concat_list(pl.struct(exemplar)).alias("exemplars"),
        )


def _is_read() -> pl.Expr:
    """A successful read whose values are known."""
    known = pl.col("shape").is_not_null() & pl.col("values").is_not_null()
    return (pl.col("work") == "query") & known & ~pl.col("failed")


def _read_twice(spans: pl.DataFrame) -> pl.Series:
    """The entries in which one read may have run twice; mostly there are none."""
    reads = spans.lazy().select(*_READ, "work", "failed").filter(_is_read())
    again = mix(*(pl.col(c).cast(pl.UInt64) for c in _READ)).is_duplicated()
    return reads.filter(again).select(pl.col("entry").unique()).collect()["entry"]


def _in_stretches(spans: pl.LazyFrame, entries: pl.Series) -> pl.LazyFrame:
    """Reads of some entries, with `_writes`: writes to their table before them.

    A write whose table is not known counts for every table of the entry.
    """
    is_read, is_write = _is_read(), pl.col("work") == "write"
    lines = spans.filter((is_read | is_write) & pl.col("entry").is_in(entries.implode()))
    nowhere = is_write & pl.col("target").is_null()
    return lines.with_columns(
        (is_write.cum_sum().over("entry", "target") + nowhere.cum_sum().over("entry")).alias(
            "_writes"
        )
    ).filter(is_read)


def _identities(reads: pl.LazyFrame) -> pl.LazyFrame:
    """Reads -> a row per identity and stretch that was read at least twice."""
    start, end = pl.col("start_ns"), pl.col("start_ns") + pl.col("duration_ns")
    busy = (end - pl.max_horizontal(start, end.cum_max().shift(1))).clip(lower_bound=0)
    form = pl.sum_horizontal(
        *(pl.when(has(t)).then(int(t)).otherwise(0).cast(pl.UInt32) for t in _FORMS)
    )
    return (
        reads.group_by(*_READ, "_writes", maintain_order=True)
        .agg(
            *(pl.col(c).first() for c in _FIRST),
            form.first().alias("form"),
            pl.len().cast(pl.Int64).alias("n"),
            (busy.sum() - pl.col("duration_ns").max()).clip(lower_bound=0).alias("wasted_ns"),
            start.min().alias("first_ns"),
            end.max().alias("last_ns"),
            start.diff().median().fill_null(0).cast(pl.Int64).alias("_median_ns"),
            start.diff().max().fill_null(0).alias("_longest_ns"),
            pl.col("span_id").head(3).alias("span_ids"),
        )
        .filter(pl.col("n") >= 2)
    )


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


_NEEDED = [
    *_FIRST,
    *("entry", "shape", "values", "work", "failed", "start_ns", "duration_ns", "traits"),
    "span_id",
]


def _by_entry(identities: pl.LazyFrame) -> pl.LazyFrame:
    """Identities -> a row per entry and shape, described by its most repeated identity."""
    tenths = pl.col("_longest_ns") * 10 // pl.col("_median_ns").clip(lower_bound=1)
    short = pl.col("_median_ns") < INTERVAL_MS_EDGES[0] * _MS
    described = (
        *_FIRST,
        "form",
        "n",
        "first_ns",
        "last_ns",
        "span_ids",
        "_median_ns",
        "_longest_ns",
    )
    return (
        identities.sort("n", "first_ns", "values", descending=[True, False, False])
        .group_by("entry", "shape", maintain_order=True)
        .agg(
            *(pl.col(c).first() for c in described),
            pl.col("n").sum().alias("repeats"),
            (pl.col("n") - 1).sum().alias("extra"),
            pl.col("wasted_ns").sum(),
        )
        .with_columns(
            class_of(pl.col("_median_ns") // _MS, INTERVAL_MS_EDGES).alias("interval_class"),
            pl.when(short)
            .then(0)
            .otherwise(class_of(tenths, SPREAD_EDGES))
            .cast(pl.Int8)
            .alias("spread_class"),
        )
    )


TABLE: FactsTable = Duplicates()

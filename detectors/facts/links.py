"""Which database reads an operation makes, and how they stand to its cache commands.

Two kinds of rows. A row with a `shape` counts a read of an operation; a row without one counts the
operation itself, so that the entries *without* a read are a subtraction. From both a rule tells
whether a cache stands in front of the read: misses are entries that looked up and read, hits those
that looked up and did not, and a fill is a value write that happens on misses more than on hits.

::

    GET /products/{id}                 entries 400  looked 400  value_writes 41   (the operation)
    GET /products/{id} SELECT products entries  41  looked  41  value_writes 41   filled 41
"""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import count, duration_bin, pane
from detectors.kit.columns import Kind
from detectors.kit.contract import FactsTable, key, least, most, total, worst
from detectors.kit.exemplars import draw, worst_rows
from detectors.kit.loads import loads
from detectors.kit.sampling import first_of
from detectors.kit.traits import Trait, has

_FORMS = (Trait.LOCKING, Trait.VOLATILE, Trait.PARAMETERS)


class Links:
    """One row per (service, operation, read, duration bin), and per (service, operation)."""

    name = "links"
    pane_seconds = 60
    max_rows = 50_000
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("entry_label", pl.UInt64, "operation of the entry", text=True),
        key("entry_kind", Kind, "kind of the entry"),
        key("system", pl.UInt64, "database", text=True),
        key("operation", pl.UInt64, "verb", text=True),
        key("target", pl.UInt64, "table or collection", text=True),
        key("predicate", pl.UInt64, "columns filtered by", text=True),
        key("shape", pl.UInt64, "statement without values; null: the operation's own", text=True),
        key("form", pl.UInt32, "traits of the statement"),
        key("bin", pl.Int16, "duration of the read, see `bins.duration_bin`"),
        total("entries", "entries with the read (the operation's own: all)"),
        total("ok", "those that succeeded"),
        total("looked", "those with a successful cache read, anywhere"),
        total("value_writes", "cache fills in the entries that looked"),
        total("fills", "the operation's own: cache fills in all entries"),
        total("evictions", "the operation's own: cache deletes in all entries"),
        total("traces", "traces with the read, each counted once per operation"),
        total("executions", "how often it ran"),
        total("behind", "executions after a cache read"),
        total("filled", "executions after a cache read and before a value write"),
        total("lasting", "filled ones whose value never expires"),
        total("unknown_expiry", "filled ones whose expiry cannot be seen"),
        total("keyed", "executions whose cache key is visible"),
        total("missed", "executions after a cache read that says miss"),
        total("found", "executions after a cache read that says hit"),
        total("duration_ns", "time of the executions"),
        total("entry_ns", "duration of the entries"),
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
                "span_ids": pl.List(pl.UInt64),
                "label": pl.UInt64,
                "code_file": pl.UInt64,
                "code_line": pl.Int32,
            },
            "slowest executions",
            "label",
            "code_file",
        ),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per group."""
        groups = loads(spans, _NEEDED).with_columns(_DESCRIBED).group_by(_KEYS).agg(_COUNTS)

        def shown(rows: pl.Series) -> pl.DataFrame:
            return spans[_SHOWN_NEEDS][rows].with_columns(_SHOWN)

        reads = draw(groups, shown, _ORDER, self.columns[-1])
        return pl.concat([reads, _own(spans)], how="diagonal").with_columns(_UNCOUNTED)


_NEEDED = (
    *("service", "environment", "entry_label", "entry_kind", "system", "operation", "target"),
    *("predicate", "trace", "trace_hi", "trace_lo", "entry", "entry_start_ns", "entry_duration_ns"),
    *("entry_ok", "start_ns", "duration_ns", "span_id", "row", "traits", "lookups"),
    *("value_writes", "looked", "filled", "expiry", "lookup_key", "lookup_hit"),
)


def _form() -> pl.Expr:
    bits = (pl.when(has(t)).then(int(t)).otherwise(0).cast(pl.UInt32) for t in _FORMS)
    return pl.sum_horizontal(*bits).alias("form")


_DESCRIBED = (
    pane(pl.col("entry_start_ns"), Links.pane_seconds),
    _form(),
    duration_bin(pl.col("duration_ns")).alias("bin"),
    first_of("entry", "shape").alias("once"),
    first_of("trace", "entry_label", "shape").alias("once_a_trace"),
)
"""What reads are grouped by and counted; `once` per entry and shape."""
_KEYS = ("pane", *(c.name for c in Links.columns if c.merge == "key"))
_ORDER = ("duration_ns", "trace_hi", "trace_lo", "entry_span", "start_ns", "span_id")
"""Which executions are the slowest, in the order of the exemplars' fields."""
_SHOWN_NEEDS = [
    *(*_ORDER, "entry_start_ns", "entry_duration_ns", "label", "code_file", "code_line"),
]
_SHOWN = (
    pl.col("duration_ns").alias("score"),
    pl.col("start_ns").alias("first_ns"),
    (pl.col("start_ns") + pl.col("duration_ns")).alias("last_ns"),
    pl.concat_list("span_id").alias("span_ids"),
)
"""What an exemplar shows beside columns of the span."""
_ONCE = pl.col("once")
_LOOKED = _ONCE & (pl.col("lookups") > 0)
_COUNTS = (
    count(_ONCE).alias("entries"),
    count(_ONCE & pl.col("entry_ok")).alias("ok"),
    count(_LOOKED).alias("looked"),
    pl.when(_LOOKED).then("value_writes").sum().alias("value_writes"),
    count(pl.col("once_a_trace")).alias("traces"),
    pl.len().cast(pl.Int64).alias("executions"),
    count(pl.col("looked")).alias("behind"),
    count(pl.col("filled")),
    count(pl.col("expiry") == "none").alias("lasting"),
    count(pl.col("expiry") == "unknown").alias("unknown_expiry"),
    count(pl.col("lookup_key").is_not_null()).alias("keyed"),
    count(~pl.col("lookup_hit")).alias("missed"),
    count(pl.col("lookup_hit")).alias("found"),
    pl.col("duration_ns").sum(),
    pl.when(_ONCE).then("entry_duration_ns").sum().alias("entry_ns"),
    pl.col("start_ns").min().alias("first_ns"),
    (pl.col("start_ns") + pl.col("duration_ns")).max().alias("last_ns"),
    worst_rows(_ORDER, "row"),
)
_UNCOUNTED = tuple(pl.col(c.name).fill_null(0) for c in Links.columns if c.merge == "sum")


def _own(spans: pl.DataFrame) -> pl.DataFrame:
    """The operations' own rows."""
    return spans[_OWN_NEEDS].filter("is_entry").group_by(_OWN_KEYS).agg(_OWN_COUNTS)


_OWN_NEEDS = [
    *("is_entry", "service", "environment", "entry_label", "entry_kind", "start_ns", "entry_ok"),
    *("lookups", "value_writes", "fills", "evictions"),
]
_OWN_KEYS = (
    pane(pl.col("start_ns"), Links.pane_seconds),
    *("service", "environment", "entry_label", "entry_kind"),
)
_OWN_COUNTS = (
    pl.len().cast(pl.Int64).alias("entries"),
    count(pl.col("entry_ok")).alias("ok"),
    count(pl.col("lookups") > 0).alias("looked"),
    pl.when(pl.col("lookups") > 0).then("value_writes").sum().alias("value_writes"),
    pl.col("fills").sum(),
    pl.col("evictions").sum(),
    pl.col("start_ns").min().alias("first_ns"),
    pl.col("start_ns").max().alias("last_ns"),
)


TABLE: FactsTable = Links()

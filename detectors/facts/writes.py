"""What a service writes: which tables, from which operations, and what it then does to caches."""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import count, pane
from detectors.kit.contract import FactsTable, key, most, total
from detectors.kit.sampling import first_of
from detectors.kit.traits import Trait, has


class Writes:
    """One row per (service, environment, operation of the entry, database, table, verb)."""

    name = "writes"
    pane_seconds = 60
    max_rows = 20_000
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("entry_label", pl.UInt64, "operation of the entry", text=True),
        key("system", pl.UInt64, "database system", text=True),
        key("namespace", pl.UInt64, "database", text=True),
        key("target", pl.UInt64, "table or collection", text=True),
        key("operation", pl.UInt64, "verb", text=True),
        total("writes", "how many"),
        total("failed", "how many failed"),
        total("traces", "traces with such a write, each counted once per operation"),
        total("refreshed", "writes with a cache fill after them in the entry"),
        total("cleared", "writes with a cache delete after them in the entry"),
        total("cleared_before", "writes with a cache delete before them in the entry"),
        total("bumped", "writes in entries that publish or count up versions"),
        most("last_ns", "latest end"),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per group of database writes."""
        writes = spans[_NEEDED].filter(_WRITES)
        return writes.with_columns(_ONCE).group_by(_KEYS).agg(_MEASURES)


_WRITES = (pl.col("category") == "db") & has(Trait.WRITE)
_ONCE = first_of("trace", "entry_label", "target", "operation").alias("traces")
_FLAGS = ("failed", "traces", "refreshed", "cleared", "cleared_before", "bumped")
_NEEDED = [
    *("service", "environment", "entry_label", "system", "namespace", "target", "operation"),
    *("category", "traits", "trace", "entry_start_ns", "start_ns", "duration_ns", "repeat"),
    *("failed", "refreshed", "cleared", "cleared_before", "bumped"),
]
_KEYS: tuple[pl.Expr | str, ...] = (
    pane(pl.col("entry_start_ns"), Writes.pane_seconds),
    *(c.name for c in Writes.columns if c.merge == "key"),
)
_MEASURES = (
    pl.col("repeat").cast(pl.Int64).sum().alias("writes"),
    *(count(pl.col(flag)) for flag in _FLAGS),
    (pl.col("start_ns") + pl.col("duration_ns")).max().alias("last_ns"),
)


TABLE: FactsTable = Writes()

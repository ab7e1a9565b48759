"""What a service writes: which tables, from which operations."""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import pane
from detectors.kit.contract import FactsTable, key, most, total
from detectors.kit.traits import Trait, has
from detectors.kit.work import failed


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
        most("last_ns", "latest end"),
    )

    def observe(self, spans: pl.LazyFrame) -> pl.LazyFrame:
        """A row per group of database writes."""
        keys = [c.name for c in self.columns if c.merge == "key"]
        return (
            spans.filter((pl.col("category") == "db") & has(Trait.WRITE))
            .group_by(pane(pl.col("entry_start_ns"), self.pane_seconds), *keys)
            .agg(
                pl.col("repeat").cast(pl.Int64).sum().alias("writes"),
                failed().sum().cast(pl.Int64),
                (pl.col("start_ns") + pl.col("duration_ns")).max().alias("last_ns"),
            )
        )


TABLE: FactsTable = Writes()

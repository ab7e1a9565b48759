"""What each operation does with each cache: reads, fills and deletes, and hits where spans say so.

A cache is told by the template of its keys (`product:{id}`); where keys are masked all of a service
are one.
"""

from __future__ import annotations

import polars as pl

from detectors.kit.aside import commands
from detectors.kit.bins import pane
from detectors.kit.contract import FactsTable, key, most, total
from detectors.kit.traits import Trait, has

ROLES = ("read", "fill", "evict", "other")
Role = pl.Enum(ROLES)


class Lookups:
    """One row per (service, operation, cache, role)."""

    name = "lookups"
    pane_seconds = 60
    max_rows = 20_000
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("entry_label", pl.UInt64, "operation of the entry", text=True),
        key("system", pl.UInt64, "redis, memcached …", text=True),
        key("cache", pl.UInt64, "key with ids replaced; null when masked", text=True),
        key("role", Role, "what is done"),
        total("commands", "how many"),
        total("hits", "reads that say hit"),
        total("misses", "reads that say miss"),
        most("last_ns", "latest end"),
    )

    def observe(self, spans: pl.LazyFrame) -> pl.LazyFrame:
        """A row per group of cache commands."""
        role = (
            pl.when(has(Trait.FILL))
            .then(pl.lit("fill"))
            .when(has(Trait.READ))
            .then(pl.lit("read"))
            .when(has(Trait.EVICT))
            .then(pl.lit("evict"))
            .otherwise(pl.lit("other"))
            .cast(Role)
            .alias("role")
        )
        return (
            commands(spans)
            .group_by(
                pane(pl.col("start_ns"), self.pane_seconds),
                "service",
                "environment",
                "entry_label",
                "system",
                pl.col("target").alias("cache"),
                role,
            )
            .agg(
                pl.len().cast(pl.Int64).alias("commands"),
                pl.col("hit").sum().cast(pl.Int64).alias("hits"),
                (~pl.col("hit")).sum().cast(pl.Int64).alias("misses"),
                (pl.col("start_ns") + pl.col("duration_ns")).max().alias("last_ns"),
            )
        )


TABLE: FactsTable = Lookups()

"""What each operation does with each cache: reads, fills and deletes, and hits where spans say so.

A cache is told by the template of its keys (`product:{id}`); where keys are masked all of a service
are one.
"""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import count, pane
from detectors.kit.contract import FactsTable, key, most, total
from detectors.kit.traits import Trait, has, has_any

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

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per group of cache commands."""
        return spans[_NEEDED].filter(_COMMAND).group_by(_KEYS).agg(_MEASURES)


_COMMAND = (
    (pl.col("category") == "cache")
    & has_any(Trait.READ | Trait.WRITE | Trait.FILL | Trait.EVICT)
    & pl.col("entry_span").is_not_null()
    & (pl.col("status") != "error")
)
"""Cache commands of entries that have a span, but those that failed."""
_NEEDED = [
    *("service", "environment", "entry_label", "entry_span", "system", "target", "category"),
    *("traits", "status", "hit", "start_ns", "duration_ns"),
]


def _role() -> pl.Expr:
    return (
        pl.when(has(Trait.FILL))
        .then(pl.lit("fill", Role))
        .when(has(Trait.READ))
        .then(pl.lit("read", Role))
        .when(has(Trait.EVICT))
        .then(pl.lit("evict", Role))
        .otherwise(pl.lit("other", Role))
        .alias("role")
    )


_KEYS = (
    pane(pl.col("start_ns"), Lookups.pane_seconds),
    *("service", "environment", "entry_label", "system"),
    pl.col("target").alias("cache"),
    _role(),
)
_MEASURES = (
    pl.len().cast(pl.Int64).alias("commands"),
    count(pl.col("hit")).alias("hits"),
    count(~pl.col("hit")).alias("misses"),
    (pl.col("start_ns") + pl.col("duration_ns")).max().alias("last_ns"),
)


TABLE: FactsTable = Lookups()

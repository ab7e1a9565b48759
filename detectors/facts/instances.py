"""Which processes of a service serve which operations, since when and until when."""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import count, pane
from detectors.kit.contract import FactsTable, Life, key, least, most, total
from detectors.kit.work import answered, refused


class Instances:
    """One row per (service, environment, version, instance, operation) of what is served.

    Not sampled: how many requests each instance served, and when it lived, is exact.
    """

    name = "instances"
    pane_seconds = 60
    max_rows = 20_000
    life = Life("instances", ("service", "environment", "instance"))
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("version", pl.UInt64, "service.version", text=True),
        key("instance", pl.UInt64, "identity of the process, null when it has none", text=True),
        key("entry_label", pl.UInt64, "operation", text=True),
        total("requests", "how many"),
        total("ok", "of them, answered with success"),
        total("failed", "of them, refused (401, 403, 404, 409, 410) or in error"),
        total("actors", "of them, by a known actor"),
        total("entities", "of them, about a known entity"),
        least("first_ns", "earliest start"),
        most("last_ns", "latest start"),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per group of SERVER entries."""
        return spans[_NEEDED].filter(_SERVES).group_by(_KEYS).agg(_MEASURES)


_SERVES = pl.col("is_entry") & (pl.col("kind") == "server")
_NEEDED = [
    *("service", "environment", "version", "instance", "entry_label", "is_entry", "kind"),
    *("actor", "entity", "start_ns", "status", "http_status", "rpc_status"),
]
_KEYS: tuple[pl.Expr | str, ...] = (
    pane(pl.col("start_ns"), Instances.pane_seconds),
    *(c.name for c in Instances.columns if c.merge == "key"),
)
_MEASURES = (
    pl.len().cast(pl.Int64).alias("requests"),
    count(answered()).alias("ok"),
    count(refused()).alias("failed"),
    count(pl.col("actor").is_not_null()).alias("actors"),
    count(pl.col("entity").is_not_null()).alias("entities"),
    pl.col("start_ns").min().alias("first_ns"),
    pl.col("start_ns").max().alias("last_ns"),
)


TABLE: FactsTable = Instances()

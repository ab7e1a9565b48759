"""Which attributes are there: what rules can see of each service, and what they cannot."""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import count, pane
from detectors.kit.columns import Category, Kind
from detectors.kit.contract import FactsTable, key, least, most, total
from detectors.kit.traits import Trait, has, has_any
from detectors.kit.work import Work


class Sight:
    """One row per (service, environment, category, kind, work): spans and how many carry what."""

    name = "sight"
    pane_seconds = 60
    max_rows = 20_000
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("category", Category, "what the spans do"),
        key("kind", Kind, "span kind"),
        key("work", Work, "kind of work, null when it cannot be told"),
        total("spans", "how many"),
        total("steady", "pings, transaction control, schema work and checks among them"),
        total("shaped", "a statement or URL is visible"),
        total("valued", "literals, parameters or ids are visible"),
        total("targeted", "a table, path, topic or method is named"),
        total("named", "the entry has a name that tells its operation"),
        total("rooted", "the span has no parent"),
        total("orphaned", "the span that it works for is missing"),
        total("instanced", "the process is named"),
        total("sampled", "the span says that it stands for more than itself"),
        total("failed", "spans in error"),
        least("sample_ppm", "lowest sampling probability seen"),
        least("first_ns", "earliest start"),
        most("last_ns", "latest end"),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per group of spans."""
        return spans.group_by(_KEYS).agg(_MEASURES)


_STEADY = Trait.PING | Trait.CONTROL | Trait.DDL | Trait.HEALTH
_NAMED = pl.col("route").is_not_null() | pl.col("path").is_not_null() | has(Trait.PARAMETERS)
_KEYS = (
    pane(pl.col("start_ns"), Sight.pane_seconds),
    *("service", "environment", "category", "kind", "work"),
)
_MEASURES = (
    pl.len().cast(pl.Int64).alias("spans"),
    count(has_any(_STEADY)).alias("steady"),
    count(pl.col("shape").is_not_null()).alias("shaped"),
    count(pl.col("values").is_not_null()).alias("valued"),
    count(pl.col("target").is_not_null()).alias("targeted"),
    count(_NAMED).alias("named"),
    count(pl.col("parent_span_id").is_null()).alias("rooted"),
    count(pl.col("entry_span").is_null()).alias("orphaned"),
    count(pl.col("instance").is_not_null()).alias("instanced"),
    count(pl.col("sample_ppm") < 1_000_000).alias("sampled"),
    count(pl.col("status") == "error").alias("failed"),
    pl.col("sample_ppm").min().cast(pl.Int64),
    pl.col("start_ns").min().alias("first_ns"),
    (pl.col("start_ns") + pl.col("duration_ns")).max().alias("last_ns"),
)


TABLE: FactsTable = Sight()

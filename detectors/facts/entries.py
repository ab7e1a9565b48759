"""How often each operation of a service ran, how it ended and how long it took."""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import duration_bin, pane
from detectors.kit.columns import Kind
from detectors.kit.contract import FactsTable, key, least, most, total

OUTCOMES = ("ok", "client_error", "error")
Outcome = pl.Enum(OUTCOMES)


class Entries:
    """One row per (service, environment, version, operation, kind, outcome, duration bin)."""

    name = "entries"
    pane_seconds = 60
    max_rows = 50_000
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("version", pl.UInt64, "service.version", text=True),
        key("entry_label", pl.UInt64, "operation of the entry", text=True),
        key("entry_kind", Kind, "kind of the entry span"),
        key("outcome", Outcome, "how it ended: 4xx are client errors"),
        key("bin", pl.Int16, "duration, see `bins.duration_bin`"),
        total("entries", "how many"),
        total("duration_ns", "time in all"),
        least("first_ns", "earliest start"),
        most("last_ns", "latest start"),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per group of entries; spans whose entry is missing are not entries."""
        return spans[_NEEDED].filter("is_entry").group_by(_KEYS).agg(_MEASURES)


_NEEDED = [
    *("service", "environment", "version", "entry_label", "entry_kind", "is_entry"),
    *("status", "http_status", "start_ns", "duration_ns"),
]


def _outcome() -> pl.Expr:
    status = pl.col("http_status").fill_null(0)
    return (
        pl.when((pl.col("status") == "error") | (status >= 500))
        .then(pl.lit("error", Outcome))
        .when(status >= 400)
        .then(pl.lit("client_error", Outcome))
        .otherwise(pl.lit("ok", Outcome))
        .alias("outcome")
    )


_KEYS = (
    pane(pl.col("start_ns"), Entries.pane_seconds),
    *("service", "environment", "version", "entry_label", "entry_kind"),
    _outcome(),
    duration_bin(pl.col("duration_ns")).alias("bin"),
)
_MEASURES = (
    pl.len().cast(pl.Int64).alias("entries"),
    pl.col("duration_ns").sum(),
    pl.col("start_ns").min().alias("first_ns"),
    pl.col("start_ns").max().alias("last_ns"),
)


TABLE: FactsTable = Entries()

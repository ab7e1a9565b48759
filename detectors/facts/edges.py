"""Who calls whom, in panes of five seconds: calls, errors, time on both sides."""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import duration_bin, pane
from detectors.kit.columns import Category
from detectors.kit.contract import FactsTable, key, most, total
from detectors.kit.work import failed, with_callee


class Edges:
    """One row per (caller, callee, operation, outcome, duration bin).

    The callee is the service of the answering span; where none is known, the peer, or the system
    of a database that names none.
    """

    name = "edges"
    pane_seconds = 5
    max_rows = 50_000
    columns = (
        key("caller", pl.UInt64, "calling service", text=True),
        key("environment", pl.UInt64, "deployment environment of the caller", text=True),
        key("callee", pl.UInt64, "service, peer or system that is called", text=True),
        key("instrumented", pl.Boolean, "the callee has spans of its own"),
        key("category", Category, "http, rpc, db, cache, messaging"),
        key("operation", pl.UInt64, "label of the answer, else of the call", text=True),
        key("failed", pl.Boolean, "whether the call failed"),
        key("bin", pl.Int16, "client duration, see `bins.duration_bin`"),
        total("calls", "how many operations"),
        total("client_ns", "time that the caller waited"),
        total("server_ns", "time of the answering spans"),
        total("answers", "answering spans"),
        most("last_ns", "latest end of a call"),
    )

    def observe(self, spans: pl.LazyFrame) -> pl.LazyFrame:
        """A row per group of outgoing spans."""
        callee = pl.coalesce("callee", "peer", "system")
        outgoing = pl.col("kind").is_in(["client", "producer"]) & pl.col("category").is_in(
            ["http", "rpc", "db", "cache", "messaging"]
        )
        return (
            with_callee(spans)
            .filter(outgoing & callee.is_not_null())
            .group_by(
                pane(pl.col("start_ns"), self.pane_seconds),
                pl.col("service").alias("caller"),
                "environment",
                callee.alias("callee"),
                pl.col("callee").is_not_null().alias("instrumented"),
                "category",
                pl.coalesce("callee_label", "label").alias("operation"),
                failed(),
                duration_bin(pl.col("duration_ns")).alias("bin"),
            )
            .agg(
                pl.col("repeat").cast(pl.Int64).sum().alias("calls"),
                pl.col("duration_ns").sum().alias("client_ns"),
                pl.col("server_ns").sum(),
                pl.col("servers").sum().cast(pl.Int64).alias("answers"),
                (pl.col("start_ns") + pl.col("duration_ns")).max().alias("last_ns"),
            )
        )


TABLE: FactsTable = Edges()

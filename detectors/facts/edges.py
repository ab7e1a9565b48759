"""Who calls whom, in panes of five seconds: calls, errors, time on both sides and between."""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import duration_bin, fixed_log, pane
from detectors.kit.columns import Category
from detectors.kit.contract import FactsTable, key, least, most, total
from detectors.kit.work import unanswered, unavailable


class Edges:
    """One row per (caller and its operation, callee and its operation, outcome, duration bin).

    The callee is the service of the answering span; where none is known, the peer, or the system
    of a database that names none. `gap` is what the caller waited beyond the longest answer: the
    wire and the queue, or the whole call when nobody answers with spans of their own. What a call
    lasts beyond its entry is waited for by nobody and no gap.
    """

    name = "edges"
    pane_seconds = 5
    max_rows = 50_000
    columns = (
        key("caller", pl.UInt64, "calling service", text=True),
        key("environment", pl.UInt64, "deployment environment of the caller", text=True),
        key("entry_label", pl.UInt64, "operation of the caller's entry", text=True),
        key("callee", pl.UInt64, "service, peer or system that is called", text=True),
        key("instrumented", pl.Boolean, "the callee has spans of its own"),
        key("category", Category, "http, rpc, db, cache, messaging, connection"),
        key("label", pl.UInt64, "what the caller calls it", text=True),
        key("operation", pl.UInt64, "label of the answer, else of the call", text=True),
        key("failed", pl.Boolean, "whether the call failed"),
        key("unavailable", pl.Boolean, "the answer says that the callee cannot serve now"),
        key("error_type", pl.UInt64, "what went wrong when no status tells", text=True),
        key("bin", pl.Int16, "client duration, see `bins.duration_bin`"),
        total("calls", "how many operations"),
        total("client_ns", "time that the caller waited"),
        total("server_ns", "time of the answering spans"),
        total("answers", "answering spans"),
        total("spans", "client spans, of which the gaps are"),
        total("gap_ns", "the gaps"),
        total("gap_log", "sum of `bins.fixed_log` of the gaps"),
        total("gap_log2", "sum of their squares"),
        least("first_ns", "earliest start of a call"),
        most("last_ns", "latest end of a call"),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per group of outgoing spans."""
        calls = spans[_NEEDED].filter(_CALLS)
        return calls.with_columns(_GAP).with_columns(_GAP_LOG).group_by(_KEYS).agg(_MEASURES)


_CALLEE = pl.coalesce("callee", "peer", "system")
_CALLS = pl.col("outgoing") & _CALLEE.is_not_null()
_NEEDED = [
    *("service", "environment", "entry_label", "callee", "peer", "system", "category", "label"),
    *("callee_label", "failed", "http_status", "rpc_status", "status", "error_type", "outgoing"),
    *("repeat", "start_ns", "duration_ns", "entry_start_ns", "entry_duration_ns"),
    *("server_ns", "servers"),
]


def _gap() -> pl.Expr:
    start = pl.col("start_ns")
    end = start + pl.col("duration_ns")
    closed = pl.col("entry_start_ns") + pl.col("entry_duration_ns")
    waited = pl.min_horizontal(end, closed) - start
    return (waited - pl.col("server_ns").fill_null(0)).clip(lower_bound=0).alias("gap_ns")


_GAP, _GAP_LOG = _gap(), fixed_log(pl.col("gap_ns")).alias("gap_log")
_KEYS = (
    pane(pl.col("start_ns"), Edges.pane_seconds),
    pl.col("service").alias("caller"),
    *("environment", "entry_label"),
    _CALLEE.alias("callee"),
    pl.col("callee").is_not_null().alias("instrumented"),
    *("category", "label"),
    pl.coalesce("callee_label", "label").alias("operation"),
    "failed",
    unavailable(),
    pl.when(unanswered()).then("error_type").alias("error_type"),
    duration_bin(pl.col("duration_ns")).alias("bin"),
)
_MEASURES = (
    pl.col("repeat").cast(pl.Int64).sum().alias("calls"),
    pl.col("duration_ns").sum().alias("client_ns"),
    pl.col("server_ns").sum(),
    pl.col("servers").sum().cast(pl.Int64).alias("answers"),
    pl.len().cast(pl.Int64).alias("spans"),
    pl.col("gap_ns").sum(),
    pl.col("gap_log").sum(),
    pl.col("gap_log").pow(2).sum().alias("gap_log2"),
    pl.col("start_ns").min().alias("first_ns"),
    (pl.col("start_ns") + pl.col("duration_ns")).max().alias("last_ns"),
)


TABLE: FactsTable = Edges()

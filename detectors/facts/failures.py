"""Calls in trouble: they fail, they hang, or the callee works on after the caller gave up."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from detectors.kit.bins import fine_bin, pane
from detectors.kit.columns import Category
from detectors.kit.contract import FactsTable, key, least, most, total, worst
from detectors.kit.exemplars import grouped
from detectors.kit.merge import none
from detectors.kit.work import unanswered, unavailable

LONG_NS = 5_000_000_000
"""Calls that are fine but longer than this are kept too: what hangs without a timeout ends late."""


class Failures:
    """One row per (caller and its operation, call, how it failed, duration bin, overrun bin).

    The overrun is how long the answering span lasts beyond its caller's, where the caller heard
    nothing: no status of HTTP, or cancelled or timed out by itself. A clock that is off shows here
    too; the rule allows for it.
    """

    name = "failures"
    pane_seconds = 60
    max_rows = 50_000
    columns = (
        key("caller", pl.UInt64, "calling service", text=True),
        key("environment", pl.UInt64, "deployment environment of the caller", text=True),
        key("entry_label", pl.UInt64, "operation of the caller's entry", text=True),
        key("category", Category, "http, rpc, db, cache, messaging, connection"),
        key("label", pl.UInt64, "what the caller calls it", text=True),
        key("verb", pl.UInt64, "verb or command", text=True),
        key("callee", pl.UInt64, "service, peer or system that is called", text=True),
        key("answer", pl.UInt64, "label of the answering span; null without one", text=True),
        key("failed", pl.Boolean, "whether the call failed"),
        key("unavailable", pl.Boolean, "the answer says that the callee cannot serve now"),
        key("unanswered", pl.Boolean, "the caller heard no answer"),
        key("error_type", pl.UInt64, "error or exception type", text=True),
        key("bin", pl.Int16, "client duration, see `bins.fine_bin`"),
        key("overrun_bin", pl.Int16, "overrun, see `bins.fine_bin`; null without one"),
        total("calls", "how many"),
        total("traces", "traces with such a call, each counted once per row"),
        total("client_ns", "time that the caller waited"),
        total("overrun_ns", "time that the callee worked on"),
        least("first_ns", "earliest start"),
        most("last_ns", "latest end"),
        worst(
            "exemplars",
            {
                "entry_span": pl.UInt64,
                "entry_start_ns": pl.Int64,
                "entry_duration_ns": pl.Int64,
                "first_ns": pl.Int64,
                "last_ns": pl.Int64,
                "call_span": pl.UInt64,
                "n": pl.Int64,
                "label": pl.UInt64,
                "entry_label": pl.UInt64,
                "answer": pl.UInt64,
                "answer_span": pl.UInt64,
                "answer_start_ns": pl.Int64,
                "answer_end_ns": pl.Int64,
                "span_ids": pl.List(pl.UInt64),
            },
            "the longest calls, by the later end of both sides",
            "label",
            "entry_label",
            "answer",
        ),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per kind of trouble; nothing where all is well."""
        troubled = spans[_NEEDED].filter(_TROUBLED)
        if not troubled.height:
            return none(self)
        rows = troubled.with_columns(_DESCRIBED).with_columns(_OVERRUN_BIN)
        return grouped(rows, _KEYS, _MEASURES, self.columns[-1])


_TROUBLED = pl.col("outgoing") & (pl.col("failed") | (pl.col("duration_ns") >= LONG_NS))
_NEEDED = [
    *("service", "environment", "entry_label", "category", "label", "operation", "callee", "peer"),
    *("system", "callee_label", "status", "http_status", "rpc_status", "failed", "error_type"),
    *("start_ns", "duration_ns", "answer_span", "answer_start_ns", "answer_end_ns", "trace"),
    *("trace_hi", "trace_lo", "span_id", "entry_span", "entry_start_ns", "entry_duration_ns"),
    "outgoing",
]


def _described() -> Iterator[pl.Expr]:
    """What troubled calls are grouped by and what exemplars show."""
    end = pl.col("start_ns") + pl.col("duration_ns")
    overrun = pl.when(unanswered()).then(pl.col("answer_end_ns") - end)
    yield pane(pl.col("start_ns"), Failures.pane_seconds)
    yield pl.col("service").alias("caller")
    yield pl.coalesce("callee", "peer", "system").alias("callee")
    yield pl.col("operation").alias("verb")
    yield pl.col("callee_label").alias("answer")
    yield unavailable()
    yield unanswered()
    yield pl.when("failed").then("error_type").alias("error_type")
    yield fine_bin(pl.col("duration_ns")).alias("bin")
    yield pl.when(overrun > 0).then(overrun).alias("overrun_ns")
    yield end.alias("last_ns")
    yield pl.col("start_ns").alias("first_ns")
    yield pl.col("span_id").alias("call_span")
    yield pl.lit(1, pl.Int64).alias("n")
    yield pl.concat_list("span_id").alias("span_ids")
    yield (pl.max_horizontal(end, "answer_end_ns") - pl.col("start_ns")).alias("score")


_DESCRIBED = tuple(_described())
_OVERRUN_BIN = fine_bin(pl.col("overrun_ns")).alias("overrun_bin")
_KEYS = ("pane", *(c.name for c in Failures.columns if c.merge == "key"))
_MEASURES = (
    pl.len().cast(pl.Int64).alias("calls"),
    pl.col("trace").n_unique().cast(pl.Int64).alias("traces"),
    pl.col("duration_ns").sum().alias("client_ns"),
    pl.col("overrun_ns").sum(),
    pl.col("first_ns").min(),
    pl.col("last_ns").max(),
)


TABLE: FactsTable = Failures()

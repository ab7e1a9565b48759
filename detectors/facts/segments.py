"""What services do themselves, in panes of five seconds: own time, steps, and how they end."""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import fixed_log, pane
from detectors.kit.contract import FactsTable, key, least, most, total, worst
from detectors.kit.exemplars import ROW, draw, worst_rows
from detectors.kit.segments import NEEDED, segments


class Segments:
    """One row per (service, operation, last step). Sums of logarithms, so that they add up.

    Own time is the entry less the union of its outgoing calls. A step is a call out or a local
    leaf.
    """

    name = "segments"
    pane_seconds = 5
    max_rows = 50_000
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("entry_label", pl.UInt64, "operation of the entry", text=True),
        key("ending", pl.UInt64, "label of the last step; null without one", text=True),
        key("ending_service", pl.UInt64, "who answers it; null when it is local", text=True),
        total("entries", "entries"),
        total("failed", "entries that failed: status error or 5xx"),
        total("own_ns", "own time"),
        total("total_ns", "duration"),
        total("own_log", "sum of `bins.fixed_log` of own times"),
        total("own_log2", "sum of their squares"),
        total("total_log", "sum of `bins.fixed_log` of durations"),
        total("total_log2", "sum of their squares"),
        total("steps", "steps"),
        total("steps2", "sum of the squares of steps per entry"),
        least("first_ns", "earliest start"),
        most("last_ns", "latest start"),
        worst(
            "exemplars",
            {
                "entry_span": pl.UInt64,
                "entry_start_ns": pl.Int64,
                "entry_duration_ns": pl.Int64,
                "own_ns": pl.Int64,
                "first_ns": pl.Int64,
                "last_ns": pl.Int64,
                "call_span": pl.UInt64,
                "label": pl.UInt64,
                "callee": pl.UInt64,
                "server_ns": pl.Int64,
            },
            "the longest entries, each with its longest call",
            "label",
            "callee",
        ),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per kind of segment."""
        return self._rows(spans.select(*dict.fromkeys((*_KEPT, *NEEDED))))

    def _rows(self, spans: pl.DataFrame) -> pl.DataFrame:
        found = _with_call(segments(spans), spans)
        by = ["pane", *(c.name for c in self.columns if c.merge == "key")]
        rows = found.with_columns(
            pane(pl.col("entry_start_ns"), self.pane_seconds),
            fixed_log(pl.col("own_ns")).alias("own_log"),
            fixed_log(pl.col("entry_duration_ns")).alias("total_log"),
            pl.col("entry_duration_ns").alias("score"),
        ).with_row_index(ROW)
        grouped = rows.group_by(by).agg(
            pl.len().cast(pl.Int64).alias("entries"),
            pl.col("failed").sum().cast(pl.Int64),
            pl.col("own_ns").sum(),
            pl.col("entry_duration_ns").sum().alias("total_ns"),
            pl.col("own_log").sum(),
            pl.col("own_log").pow(2).sum().alias("own_log2"),
            pl.col("total_log").sum(),
            pl.col("total_log").pow(2).sum().alias("total_log2"),
            pl.col("steps").sum(),
            pl.col("steps").pow(2).sum().alias("steps2"),
            pl.col("entry_start_ns").min().alias("first_ns"),
            pl.col("entry_start_ns").max().alias("last_ns"),
            worst_rows(_ORDER),
        )
        named = [c.name for c in self.columns]
        return draw(grouped, rows, _ORDER, self.columns[-1]).select("pane", *named)


_ORDER = ["score", "trace_hi", "trace_lo", "entry_span"]
"""No two entries agree in all of them."""
_KEPT = (
    *("environment", "entry_label", "trace_hi", "trace_lo", "span_id", "http_status"),
    *("start_ns", "duration_ns", "status", "service", "label", "callee", "server_ns"),
)


def _with_call(found: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Adds the columns of the entry and of its longest call."""
    entry = spans[found["row"]].select(
        *("service", "environment", "entry_label", "trace_hi", "trace_lo"),
        pl.col("span_id").alias("entry_span"),
        pl.col("start_ns").alias("entry_start_ns"),
        pl.col("duration_ns").alias("entry_duration_ns"),
        ((pl.col("status") == "error") | (pl.col("http_status").fill_null(0) >= 500)).alias(
            "failed"
        ),
    )
    call = spans[found["longest"].clip(lower_bound=0)].select(
        pl.col("start_ns").alias("first_ns"),
        (pl.col("start_ns") + pl.col("duration_ns")).alias("last_ns"),
        pl.col("span_id").alias("call_span"),
        *("label", "callee", "server_ns"),
    )
    has_call = found["longest"] >= 0
    call = call.select(pl.when(has_call).then(pl.col(c)).alias(c) for c in call.columns)
    return pl.concat([found, entry, call], how="horizontal")


TABLE: FactsTable = Segments()

"""What services do themselves, in panes of five seconds: own time, steps, and how they end."""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import count, fixed_log, pane
from detectors.kit.contract import FactsTable, key, least, most, total, worst
from detectors.kit.exemplars import ROW, draw, worst_rows
from detectors.kit.segments import segments


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
        entries = spans[_NEEDED].filter("is_entry")
        found = entries.hstack(segments(spans).get_columns()).with_columns(_MEASURED)
        groups = found.with_row_index(ROW).group_by(_KEYS).agg(_MEASURES)

        def shown(rows: pl.Series) -> pl.DataFrame:
            chosen = found[rows]
            return chosen.hstack(spans[_CALL_NEEDS][chosen["longest"]].select(_CALL).get_columns())

        return draw(groups, shown, _ORDER, self.columns[-1])


_NEEDED = [
    *("service", "environment", "entry_label", "trace_hi", "trace_lo", "span_id", "start_ns"),
    *("duration_ns", "status", "http_status", "is_entry"),
]
_MEASURED = (
    pl.col("span_id").alias("entry_span"),
    pl.col("start_ns").alias("entry_start_ns"),
    pl.col("duration_ns").alias("entry_duration_ns"),
    pl.col("duration_ns").alias("score"),
    ((pl.col("status") == "error") | (pl.col("http_status").fill_null(0) >= 500)).alias("failed"),
    fixed_log(pl.col("own_ns")).alias("own_log"),
    fixed_log(pl.col("duration_ns")).alias("total_log"),
)
_CALL_NEEDS = ["start_ns", "duration_ns", "span_id", "label", "callee", "server_ns"]
_CALL = (
    pl.col("start_ns").alias("first_ns"),
    (pl.col("start_ns") + pl.col("duration_ns")).alias("last_ns"),
    pl.col("span_id").alias("call_span"),
    *("label", "callee", "server_ns"),
)
"""What an exemplar shows of the longest call."""
_ORDER = ["score", "trace_hi", "trace_lo", "entry_span"]
"""No two entries agree in all of them."""
_KEYS = (
    pane(pl.col("start_ns"), Segments.pane_seconds),
    *("service", "environment", "entry_label", "ending", "ending_service"),
)
_MEASURES = (
    pl.len().cast(pl.Int64).alias("entries"),
    count(pl.col("failed")),
    pl.col("own_ns").sum(),
    pl.col("duration_ns").sum().alias("total_ns"),
    pl.col("own_log").sum(),
    pl.col("own_log").pow(2).sum().alias("own_log2"),
    pl.col("total_log").sum(),
    pl.col("total_log").pow(2).sum().alias("total_log2"),
    pl.col("steps").sum(),
    pl.col("steps").pow(2).sum().alias("steps2"),
    pl.col("start_ns").min().alias("first_ns"),
    pl.col("start_ns").max().alias("last_ns"),
    worst_rows(_ORDER),
)


TABLE: FactsTable = Segments()

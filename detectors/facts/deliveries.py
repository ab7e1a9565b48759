"""How often each message is delivered, and whether the work on it fails: what crosses a queue.

A delivery is a CONSUMER entry. It names what was sent by its one span link, or by a parent that is
a PRODUCER span or in another process. So deliveries of one message meet wherever they were traced:
linked ones are each a trace of its own, which closes by itself and may be observed elsewhere.
Facts add up by the message, nothing is joined across traces.

::

    shop     publish charge   |=|
    worker     run charge         |==| fails, back to the queue     delivery 1
    worker     run charge                |==| fails, back again     delivery 2
    worker     run charge                       |==|                delivery 3: one message
"""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import count, pane
from detectors.kit.contract import SampledTable, key, least, most, sampled, total, worst
from detectors.kit.exemplars import with_worst
from detectors.kit.merge import none
from detectors.kit.sampling import LEVEL, at_level, in_sample, mix

_ONE_LINK = 3
"""Numbers of a link: trace_hi, trace_lo, span_id."""


class Deliveries:
    """One row per (service, operation, message)."""

    name = "deliveries"
    pane_seconds = 5
    max_rows = 20_000
    columns = (
        key("service", pl.UInt64, "consuming service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("entry_label", pl.UInt64, "operation", text=True),
        sampled("message", "hash of the span that sent it, and of its id where it has one"),
        LEVEL,
        total("deliveries", "how many"),
        total("failed", "of them, in error or with a call that failed"),
        total("spent_ns", "time of the failed ones"),
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
                "n": pl.Int64,
                "label": pl.UInt64,
                "span_ids": pl.List(pl.UInt64),
            },
            "the longest that failed",
            "label",
        ),
    )

    def observe(self, spans: pl.DataFrame, level: int = 0) -> pl.DataFrame:
        """A row per message; deliveries that say themselves that they are a retry are left out."""
        entries = spans[_NEEDED].filter(_DELIVERY)
        if not entries.height:
            return none(self)
        found = _delivered(spans, entries)
        if level:
            found = found.filter(in_sample(pl.col("message"), level))
        counted = found.with_columns(_PANE).group_by(_KEYS).agg(*_MEASURES, at_level(level))
        failed = found.filter("failed").with_columns(_PANE, *_SHOWN)
        return with_worst(counted, failed, _KEYS, self.columns[-1])


_NEEDED = [
    *("service", "environment", "entry", "entry_label", "kind", "label", "trace_hi", "trace_lo"),
    *("span_id", "parent_span_id", "parent_row", "is_entry", "remote_parent", "links"),
    *("message_id", "start_ns", "duration_ns", "resends", "failed"),
]
_DELIVERY = (
    (pl.col("kind") == "consumer") & pl.col("is_entry") & (pl.col("resends").fill_null(0) == 0)
)
_PANE = pane(pl.col("start_ns"), Deliveries.pane_seconds)
_KEYS = ("pane", "service", "environment", "entry_label", "message")
_MEASURES = (
    pl.len().cast(pl.Int64).alias("deliveries"),
    count(pl.col("failed")),
    pl.when("failed").then("duration_ns").otherwise(0).sum().alias("spent_ns"),
    pl.col("start_ns").min().alias("first_ns"),
    pl.col("last_ns").max(),
)


def _delivered(spans: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """The entries of known messages, with `message`, `failed` and `last_ns`."""
    broken = spans[_CALL_NEEDS].filter(_BROKEN)["entry"].unique()
    above = spans["kind"].gather(entries["parent_row"].clip(lower_bound=0))
    return (
        entries.with_columns(above.alias("_above"))
        .with_columns(
            _SENT,
            pl.col("failed") | pl.col("entry").is_in(broken.implode()),
            (pl.col("start_ns") + pl.col("duration_ns")).alias("last_ns"),
        )
        .filter(pl.col("_sent").is_not_null())
        .with_columns(_MESSAGE)
    )


_CALL_NEEDS = ["entry", "entry_kind", "outgoing", "failed"]
_BROKEN = (pl.col("entry_kind") == "consumer") & pl.col("outgoing") & pl.col("failed")
_BY_PARENT = (pl.col("parent_row") >= 0) & (pl.col("_above") == "producer")
_SENT = (
    pl.when(pl.col("links").list.len() == _ONE_LINK)
    .then(pl.col("links").list.get(2, null_on_oob=True))
    .when(_BY_PARENT | pl.col("remote_parent").fill_null(value=False))
    .then("parent_span_id")
    .alias("_sent")
)
"""The span that sent the message; null where it is not known."""
_MESSAGE = mix(pl.col("_sent"), pl.col("message_id")).alias("message")
_SHOWN = (
    pl.col("duration_ns").alias("score"),
    pl.col("span_id").alias("entry_span"),
    pl.col("start_ns").alias("entry_start_ns"),
    pl.col("duration_ns").alias("entry_duration_ns"),
    pl.col("start_ns").alias("first_ns"),
    pl.lit(1, pl.Int64).alias("n"),
    pl.concat_list("span_id").alias("span_ids"),
)
"""What exemplars show."""


TABLE: SampledTable = Deliveries()

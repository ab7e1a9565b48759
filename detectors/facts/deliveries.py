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

from detectors.kit.bins import pane
from detectors.kit.contract import SampledTable, key, least, most, sampled, total, worst
from detectors.kit.exemplars import worst_of
from detectors.kit.merge import none
from detectors.kit.sampling import LEVEL, at_level, in_sample, mix

_KEPT = [
    *("service", "environment", "entry", "entry_label", "entry_kind", "category", "kind"),
    *("label", "trace_hi", "trace_lo", "span_id", "parent_span_id", "parent_row", "is_entry"),
    *("remote_parent", "links", "message_id", "start_ns", "duration_ns", "resends", "failed"),
    "outgoing",
]
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
        return self._rows(spans[_KEPT], level)

    def _rows(self, spans: pl.DataFrame, level: int) -> pl.DataFrame:
        consuming = (pl.col("kind") == "consumer") & pl.col("is_entry")
        entries = spans.filter(consuming & (pl.col("resends").fill_null(0) == 0))
        if not entries.height:
            return none(self)
        found = _delivered(spans, entries).filter(in_sample(pl.col("message"), level))
        keys = ["pane", "service", "environment", "entry_label", "message"]
        rows = found.with_columns(pane(pl.col("start_ns"), self.pane_seconds))
        counted = rows.group_by(keys).agg(
            pl.len().cast(pl.Int64).alias("deliveries"),
            pl.col("failed").sum().cast(pl.Int64),
            pl.when("failed").then("duration_ns").otherwise(0).sum().alias("spent_ns"),
            pl.col("start_ns").min().alias("first_ns"),
            pl.col("last_ns").max(),
        )
        shown = worst_of(_exemplars(rows.filter("failed")), keys, self.columns[-1])
        whole = counted.join(shown, on=keys, how="left", nulls_equal=True)
        return whole.with_columns(at_level(level)).select(
            "pane", *(pl.col(c.name).cast(c.dtype) for c in self.columns)
        )


def _delivered(spans: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """The entries of known messages, with `message`, `failed` and `last_ns`."""
    working = (pl.col("entry_kind") == "consumer") & pl.col("outgoing") & pl.col("failed")
    broken = spans.filter(working)["entry"].unique()
    above = spans["kind"].gather(entries["parent_row"].clip(lower_bound=0))
    sent_by_parent = (pl.col("parent_row") >= 0) & (above == "producer")
    linked = pl.col("links").list.len() == _ONE_LINK
    return (
        entries.with_columns(
            pl.when(linked)
            .then(pl.col("links").list.get(2, null_on_oob=True))
            .when(sent_by_parent | pl.col("remote_parent").fill_null(value=False))
            .then("parent_span_id")
            .alias("_sent"),
            pl.col("failed") | pl.col("entry").is_in(broken.implode()),
            (pl.col("start_ns") + pl.col("duration_ns")).alias("last_ns"),
        )
        .filter(pl.col("_sent").is_not_null())
        .with_columns(mix(pl.col("_sent"), pl.col("message_id")).alias("message"))
    )


def _exemplars(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        pl.col("duration_ns").alias("score"),
        pl.col("span_id").alias("entry_span"),
        pl.col("start_ns").alias("entry_start_ns"),
        pl.col("duration_ns").alias("entry_duration_ns"),
        pl.col("start_ns").alias("first_ns"),
        pl.lit(1, pl.Int64).alias("n"),
        pl.concat_list("span_id").alias("span_ids"),
    )


TABLE: SampledTable = Deliveries()

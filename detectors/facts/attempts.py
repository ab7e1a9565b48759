"""How often each logical call is tried, how it ends and how long it waits between, in panes."""

from __future__ import annotations

import polars as pl

from detectors.kit.attempts import (
    NEEDED,
    deliveries,
    gaps_between_answers,
    gaps_between_spans,
    measure,
    split,
)
from detectors.kit.bins import gap_bin, growth_bin, pane
from detectors.kit.columns import Category
from detectors.kit.contract import FactsTable, key, least, most, total, worst
from detectors.kit.exemplars import worst_of
from detectors.kit.merge import none


class Attempts:
    """One row per (service, operation, call) and whether all went well; one per kind of gap.

    A group is the calls of one entry with the same statement or URL and the same values. What the
    groups without a failure do is the healthy form of the operation. Rows with a `gap_bin` count
    retries and nothing else, rows without one count groups.
    """

    name = "attempts"
    pane_seconds = 5
    max_rows = 50_000
    columns = (
        key("service", pl.UInt64, "calling service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("entry_label", pl.UInt64, "operation of the entry", text=True),
        key("category", Category, "http, rpc, db, cache, messaging, connection"),
        key("label", pl.UInt64, "what is called", text=True),
        key("peer", pl.UInt64, "address of the other side, else its system", text=True),
        key("callee", pl.UInt64, "service that answers, where known", text=True),
        key("operation", pl.UInt64, "label of the answer, where known", text=True),
        key("healthy", pl.Boolean, "no span failed; peer, callee and operation are null then"),
        key("gap_bin", pl.Int16, "end of an attempt to start of the next, see `bins.gap_bin`"),
        key("growth_bin", pl.Int16, "gap over the gap before, see `bins.growth_bin`"),
        total("groups", "groups of calls"),
        total("traces", "traces with such a group, each counted once"),
        total("logical", "logical calls"),
        total("lost", "logical calls that failed in the end"),
        total("attempts", "attempts, those inside spans included"),
        total("hidden", "attempts inside spans"),
        total("unseen", "failed calls whose attempts would not show"),
        total("extra_ns", "time of the attempts after the first"),
        total("retries", "attempts with a gap before them"),
        total("gap_ns", "time between attempts"),
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
            "groups with the most attempts",
            "label",
        ),
    )

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """A row per kind of group and of gap; exemplars only of groups that were tried again."""
        return self._rows(spans[NEEDED])

    def _rows(self, spans: pl.DataFrame) -> pl.DataFrame:
        fine, rest, repeated = split(spans)
        parts = [_healthy(fine, self.pane_seconds)]
        groups = measure(rest) if rest.height else None
        if groups is not None:
            parts.append(self._failing(groups))
        gaps = [gaps_between_spans(rest, groups)] if groups is not None else []
        if repeated.height:
            gaps.append(gaps_between_answers(repeated, spans).select(*_GAP))
        if (spans["kind"] == "consumer").any():
            parts.append(_deliveries(spans, self.pane_seconds))
        if gaps:
            parts.append(_gaps(gaps, self.pane_seconds))
        return self._complete(parts)

    def _complete(self, parts: list[pl.DataFrame]) -> pl.DataFrame:
        """The rows of all parts: sums that a part does not have are 0, anything else is null."""
        whole = pl.concat([none(self), *parts], how="diagonal_relaxed")
        sums = [c.name for c in self.columns if c.merge == "sum"]
        return whole.with_columns(pl.col(sums).fill_null(0))

    def _failing(self, groups: pl.DataFrame) -> pl.DataFrame:
        by = ["pane", *_SAID, "peer", "callee", "operation"]
        rows = groups.with_columns(
            pane(pl.col("first_ns"), self.pane_seconds),
            pl.coalesce("peer", "system").alias("peer"),
            pl.col("callee_label").alias("operation"),
            pl.col("attempts").alias("n"),
            pl.col("attempts").alias("score"),
        ).with_columns(pl.struct("trace", *by[1:]).is_first_distinct().alias("first"))
        counted = rows.group_by(by).agg(
            pl.len().cast(pl.Int64).alias("groups"),
            pl.col("first").sum().cast(pl.Int64).alias("traces"),
            *(pl.col(c).sum() for c in ("logical", "lost", "attempts", "hidden", "unseen")),
            pl.col("extra_ns").sum(),
            pl.col("first_ns").min(),
            pl.col("last_ns").max(),
        )
        tried = rows.filter(pl.col("attempts") > pl.col("logical"))
        shown = worst_of(tried, by, self.columns[-1])
        found = counted.join(shown, on=by, how="left", nulls_equal=True)
        return found.with_columns(pl.lit(False).alias("healthy"))


_SAID = ("service", "environment", "entry_label", "category", "label")
_GAP = (*_SAID, "start_ns", "gap_ns", "before_ns")


def _healthy(fine: pl.DataFrame, seconds: int) -> pl.DataFrame:
    return (
        fine.with_columns(pane(pl.col("start_ns"), seconds))
        .group_by("pane", *_SAID)
        .agg(
            pl.lit(True).alias("healthy"),
            pl.col("first").sum().cast(pl.Int64).alias("groups"),
            (pl.len() - (pl.col("again") > 0).sum()).cast(pl.Int64).alias("logical"),
            pl.col("sends").sum().alias("attempts"),
            (pl.col("sends") - 1).sum().alias("hidden"),
            pl.col("start_ns").min().alias("first_ns"),
            pl.col("end_ns").max().alias("last_ns"),
        )
    )


def _deliveries(spans: pl.DataFrame, seconds: int) -> pl.DataFrame:
    """Never `healthy`: a run that will be tried again is not in error either."""
    return (
        deliveries(spans)
        .with_columns(pane(pl.col("start_ns"), seconds))
        .group_by("pane", *_SAID)
        .agg(
            pl.lit(False).alias("healthy"),
            pl.col("logical").sum().alias("groups"),
            pl.col("logical").sum(),
            pl.col("logical").sum().alias("traces"),
            pl.col("lost").sum(),
            pl.len().cast(pl.Int64).alias("attempts"),
            pl.col("extra_ns").sum(),
            pl.col("start_ns").min().alias("first_ns"),
            pl.col("end_ns").max().alias("last_ns"),
        )
    )


def _gaps(parts: list[pl.DataFrame], seconds: int) -> pl.DataFrame:
    gap, before = pl.col("gap_ns"), pl.col("before_ns")
    return (
        pl.concat([part.select(*_GAP) for part in parts])
        .with_columns(
            pane(pl.col("start_ns"), seconds),
            gap_bin(gap).alias("gap_bin"),
            growth_bin(gap, before).alias("growth_bin"),
        )
        .group_by("pane", *_SAID, "gap_bin", "growth_bin")
        .agg(
            pl.lit(False).alias("healthy"),
            pl.len().cast(pl.Int64).alias("retries"),
            gap.sum(),
            pl.col("start_ns").min().alias("first_ns"),
            pl.col("start_ns").max().alias("last_ns"),
        )
    )


TABLE: FactsTable = Attempts()

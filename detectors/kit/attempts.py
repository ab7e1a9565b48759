"""Attempts: which calls of an entry are one call, tried again.

Attempts of one logical call are failures, then at most one success, which is last. Calls after
a success, or several at once, are a loop over calls of their own. Where the library retries by
itself, one CLIENT span has several SERVER children of one route, or says how often it sent.

::

    shop     POST /pay              |============================|
    shop       POST payment/charge    |===| fails                      attempt 1
    shop       POST payment/charge            |===| fails              attempt 2
    shop       POST payment/charge                      |===|          attempt 3: one logical call
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from detectors.kit.alike import alike
from detectors.kit.bins import count

GROUP = "group"
"""What makes calls one call, as one number: entry, statement or URL, and values where visible."""


def group() -> pl.Expr:
    """Entry, shape and values mixed (multipliers of splitmix64): one number joins fast."""
    shape = pl.coalesce("shape", "label")
    return (
        (pl.col("entry").cast(pl.UInt64) * pl.lit(0x9E3779B97F4A7C15, pl.UInt64))
        ^ (shape * pl.lit(0xBF58476D1CE4E5B9, pl.UInt64))
        ^ (pl.col("values").fill_null(1) * pl.lit(0x94D049BB133111EB, pl.UInt64))
    ).alias(GROUP)


def _sent() -> Iterator[pl.Expr]:
    """`end_ns`, `group`, `sends`, `again` of outgoing spans.

    sends: how often the span was sent, as far as it shows. again: the span says that it repeats an
    earlier one (HTTP counts resends over sibling spans; botocore counts them within one span).
    """
    resends = pl.col("resends").fill_null(0).cast(pl.Int64)
    ordinal = pl.col("category") == "http"
    tries = pl.col("tries").fill_null(1).clip(lower_bound=1).cast(pl.Int64)
    inside = pl.when(ordinal).then(0).otherwise(resends) + 1
    yield (pl.col("start_ns") + pl.col("duration_ns")).alias("end_ns")
    yield group()
    yield pl.max_horizontal(tries, inside).alias("sends")
    yield pl.when(ordinal).then(resends).otherwise(0).alias("again")


_SENT = tuple(_sent())
_TELLING = [
    *("row", "service", "environment", "entry_label", "category", "label", "entry", "shape"),
    *("values", "start_ns", "duration_ns", "resends", "tries", "outgoing", "failed"),
]
"""What is told of all calls."""
_MORE = [
    *("peer", "system", "callee", "callee_label", "servers", "trace", "trace_hi", "trace_lo"),
    *("span_id", "entry_span", "entry_start_ns", "entry_duration_ns"),
]
"""And of those that failed or were tried several times."""


def sent(spans: pl.DataFrame) -> pl.DataFrame:
    """Outgoing spans with `_SENT`, in order of start within a trace.

    failing: a call of the group failed. first: it is the first of its group.
    """
    calls = spans[_TELLING].filter("outgoing").with_columns(_SENT)
    numbers = calls[GROUP]
    several = np.flatnonzero(alike(numbers))
    first = np.ones(calls.height, np.bool_)
    first[several] = numbers[several].is_first_distinct()
    return calls.with_columns(failing=_failing(calls), first=pl.Series(first))


def _failing(calls: pl.DataFrame) -> pl.Series:
    """Whether a call of the same group failed: only entries in which one did are looked at."""
    failing = calls["failed"].to_numpy().copy()
    entry = calls["entry"].to_numpy()
    troubled = np.zeros(int(entry.max(initial=0)) + 1, np.bool_)
    troubled[entry[failing]] = True
    suspects = np.flatnonzero(troubled[entry])
    numbers = calls[GROUP].to_numpy()
    failing[suspects] = np.isin(numbers[suspects], numbers[failing])
    return pl.Series(failing)


def whole(calls: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Calls with the columns `_MORE`."""
    return calls.hstack(spans[_MORE][calls["row"]].get_columns())


def deliveries(spans: pl.DataFrame) -> pl.DataFrame:
    """CONSUMER entries that say how often they were tried: a row each, as `measure` gives them.

    Each delivery is an entry of its own, often in a trace of its own that a link joins to the
    producer's. So nothing is paired: deliveries that are no repetition are the logical calls, all
    deliveries the attempts, those in error the lost ones (a retried Celery run is not in error).
    """
    return spans[_DELIVERY_NEEDS].filter(_DELIVERY).select(_DELIVERED)


_DELIVERY_NEEDS = [
    *("service", "environment", "entry_label", "category", "label", "kind", "is_entry"),
    *("start_ns", "duration_ns", "resends", "failed"),
]
_DELIVERY = (
    (pl.col("kind") == "consumer") & pl.col("is_entry") & (pl.col("category") == "messaging")
)
_AGAIN = pl.col("resends").fill_null(0) > 0
_DELIVERED = (
    *("service", "environment", "entry_label", "category", "label"),
    "start_ns",
    (pl.col("start_ns") + pl.col("duration_ns")).alias("end_ns"),
    (~_AGAIN).cast(pl.Int64).alias("logical"),
    pl.col("failed").cast(pl.Int64).alias("lost"),
    pl.when(_AGAIN).then("duration_ns").otherwise(0).alias("extra_ns"),
)


def measure(calls: pl.DataFrame) -> pl.DataFrame:
    """`calls` of groups with a failure -> a row per group: how often it was tried, how it ended.

    spans, attempts, logical, lost (logical calls that failed in the end), hidden (attempts inside
    spans), extra_ns (time of the attempts after the first), unseen (failed HTTP and RPC spans
    without an answer and without a count: attempts inside them would not show); Int64 all.
    """
    return calls.group_by(GROUP, maintain_order=True).agg(_MEASURED).with_columns(_TOLD)


def _measured() -> Iterator[pl.Expr]:
    """Spans of a group, in order of start -> what `_told` derives the measures from."""
    unseen = pl.col("failed") & pl.col("servers").is_null() & pl.col("resends").is_null()
    remote = pl.col("category").is_in(["http", "rpc"])
    start, end, sends = pl.col("start_ns"), pl.col("end_ns"), pl.col("sends")
    overlaps = (start < end.cum_max().shift(1)).any()
    head_failed = pl.col("failed").head(pl.len() - 1).all()
    inside = (end - start) * (sends - 1) // sends
    yield pl.col(_FIRST).first()
    yield pl.col("callee", "callee_label").min()
    yield pl.len().cast(pl.Int64).alias("spans")
    yield count(pl.col("failed")).alias("failures")
    yield (head_failed & ~overlaps.fill_null(value=False)).alias("one_call")
    yield pl.col("failed").last().alias("last_failed")
    yield sends.sum()
    yield pl.col("again").max()
    yield count(pl.col("again") > 0).alias("repeats")
    yield count(unseen & remote).alias("unseen")
    yield start.min().alias("first_ns")
    yield end.max().alias("last_ns")
    yield (end - start).slice(1).sum().alias("extra_ns")
    yield inside.alias("inside").sum()
    yield inside.first().alias("inside_first")
    yield pl.col("span_id").head(3).alias("span_ids")


def _told() -> Iterator[pl.Expr]:
    one_call, sends = pl.col("one_call"), pl.col("sends")
    sent_once = pl.col("spans") - pl.col("repeats")
    yield (
        pl.when(one_call)
        .then(pl.max_horizontal(sends, pl.col("again") + 1))
        .otherwise(sends)
        .alias("attempts")
    )
    yield (sends - pl.col("spans")).alias("hidden")
    yield pl.when(one_call).then(1).otherwise(sent_once.clip(lower_bound=1)).alias("logical")
    yield (
        pl.when(one_call)
        .then(pl.col("last_failed").cast(pl.Int64))
        .otherwise(pl.min_horizontal("failures", sent_once))
        .alias("lost")
    )
    yield (
        pl.when(one_call)
        .then(pl.col("extra_ns") + pl.col("inside_first"))
        .otherwise("inside")
        .alias("extra_ns")
    )


_FIRST = (
    *("service", "environment", "entry_label", "category", "label", "peer", "system", "trace"),
    *("trace_hi", "trace_lo", "entry_span", "entry_start_ns", "entry_duration_ns"),
)
_MEASURED, _TOLD = tuple(_measured()), tuple(_told())


def gaps_between_spans(calls: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """A row per retry among `calls`, of those `groups` that are attempts of one call.

    The columns of `calls`, gap_ns (end of an attempt to the start of the next) and before_ns (the
    gap before that, null for the first retry of a call).
    """
    retried = groups[GROUP].filter(groups["one_call"] & (groups["spans"] > 1))
    if not len(retried):
        return calls.clear()
    return _with_gaps(calls.filter(calls[GROUP].is_in(retried.implode())), GROUP)


def gaps_between_answers(calls: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """As `gaps_between_spans`, for calls of several tries: between the answers of one span."""
    several = calls.filter(pl.col("tries") > 1).drop("start_ns", "end_ns")
    answers = spans[_ANSWER_NEEDS].filter(_ANSWER).select(_ANSWERED)
    return _with_gaps(several.join(answers, on="row"), "row")


_ANSWER_NEEDS = ["kind", "parent_row", "start_ns", "duration_ns"]
_ANSWER = (pl.col("kind") == "server") & (pl.col("parent_row") >= 0)
_ANSWERED = (
    pl.col("parent_row").cast(pl.UInt32).alias("row"),
    "start_ns",
    (pl.col("start_ns") + pl.col("duration_ns")).alias("end_ns"),
)


def _with_gaps(attempts: pl.DataFrame, group: str) -> pl.DataFrame:
    """Attempts -> a row per retry, an attempt of a group that is not its first."""
    ordered = attempts.sort(group, "start_ns", "end_ns")
    same = (pl.col(group) == pl.col(group).shift(1)).fill_null(value=False)
    gap = (pl.col("start_ns") - pl.col("end_ns").shift(1)).clip(lower_bound=0)
    again = same & same.shift(1, fill_value=False)
    return (
        ordered.with_columns(pl.when(same).then(gap).alias("gap_ns"), again.alias("_again"))
        .with_columns(pl.when("_again").then(pl.col("gap_ns").shift(1)).alias("before_ns"))
        .filter(pl.col("gap_ns").is_not_null())
    )

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

import polars as pl

GROUP = "group"
"""What makes calls one call, as one number: entry, statement or URL, and values where visible."""


def calls(spans: pl.LazyFrame) -> pl.LazyFrame:
    """Spans -> the outgoing ones with `group`, `failed`, `sends`, `again`.

    In order of start within a trace. sends: how often the span was sent, as far as it shows.
    again: the span says that it repeats an earlier one (HTTP counts resends over sibling spans;
    botocore counts them within one span). told: it says how often it was sent.
    """
    resends = pl.col("resends").fill_null(0).cast(pl.Int64)
    ordinal = pl.col("category") == "http"
    tries = pl.col("tries").fill_null(1).clip(lower_bound=1).cast(pl.Int64)
    inside = pl.when(ordinal).then(0).otherwise(resends) + 1
    return spans.filter("outgoing").select(
        *_KEPT,
        (pl.col("start_ns") + pl.col("duration_ns")).alias("end_ns"),
        group(),
        "failed",
        pl.max_horizontal(tries, inside).alias("sends"),
        pl.when(ordinal).then(resends).otherwise(0).alias("again"),
        pl.col("resends").is_not_null().alias("told"),
    )


_KEPT = (
    *("row", "service", "environment", "entry_label", "category", "label", "peer", "system"),
    *("callee", "callee_label", "servers", "tries", "trace", "trace_hi", "trace_lo", "span_id"),
    *("entry_span", "entry_start_ns", "entry_duration_ns", "start_ns"),
)
NEEDED = [
    *(*_KEPT, "entry", "shape", "values", "kind"),
    *("duration_ns", "resends", "parent_row", "is_entry", "outgoing", "failed"),
]
"""Columns that `calls` and the gaps read."""


def deliveries(spans: pl.DataFrame) -> pl.DataFrame:
    """CONSUMER entries that say how often they were tried: a row each, as `_measured` gives them.

    Each delivery is an entry of its own, often in a trace of its own that a link joins to the
    producer's. So nothing is paired: deliveries that are no repetition are the logical calls, all
    deliveries the attempts, those in error the lost ones (a retried Celery run is not in error).
    """
    again = pl.col("resends").fill_null(0) > 0
    return spans.filter(
        (pl.col("kind") == "consumer") & pl.col("is_entry") & (pl.col("category") == "messaging")
    ).select(
        *("service", "environment", "entry_label", "category", "label"),
        "start_ns",
        (pl.col("start_ns") + pl.col("duration_ns")).alias("end_ns"),
        (~again).cast(pl.Int64).alias("logical"),
        pl.col("failed").cast(pl.Int64).alias("lost"),
        again.alias("again"),
        pl.when(again).then("duration_ns").otherwise(0).alias("extra_ns"),
    )


def split(spans: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Spans -> `calls` of groups without a failure, those of the others, those with several tries.

    The first have the columns `FINE` only, with `first` on one span of each group.
    """
    seen = calls(spans.lazy())
    told = seen.select(GROUP, "failed", "tries").collect()
    lost = told.filter("failed")[GROUP].unique().implode()
    failing = pl.col(GROUP).is_in(lost)
    first = pl.col(GROUP).is_first_distinct().alias("first")
    fine = seen.filter(~failing).select(*FINE, GROUP).with_columns(first).drop(GROUP).collect()
    rest = seen.filter(failing).collect()
    several = seen.filter(pl.col("tries") > 1)
    repeated = several.collect() if (told["tries"].max() or 0) > 1 else rest.clear()  # type: ignore[operator]
    return fine, rest, repeated


FINE = (
    *("service", "environment", "entry_label", "category", "label"),
    *("sends", "again", "start_ns", "end_ns"),
)
"""What is told of calls that went well."""


def group() -> pl.Expr:
    """Entry, shape and values mixed (multipliers of splitmix64): one number joins fast."""
    shape = pl.coalesce("shape", "label")
    return (
        (pl.col("entry").cast(pl.UInt64) * pl.lit(0x9E3779B97F4A7C15, pl.UInt64))
        ^ (shape * pl.lit(0xBF58476D1CE4E5B9, pl.UInt64))
        ^ (pl.col("values").fill_null(1) * pl.lit(0x94D049BB133111EB, pl.UInt64))
    ).alias(GROUP)


def measure(calls: pl.DataFrame) -> pl.DataFrame:
    """`calls` of groups with a failure -> a row per group: how often it was tried, how it ended.

    spans, attempts, logical, lost (logical calls that failed in the end), hidden (attempts inside
    spans), extra_ns (time of the attempts after the first), unseen (failed HTTP and RPC spans
    without an answer and without a count: attempts inside them would not show); Int64 all.
    """
    sent_once = pl.col("spans") - pl.col("repeats")
    return _measured(calls).with_columns(
        pl.when("one_call")
        .then(pl.max_horizontal("sends", pl.col("again") + 1))
        .otherwise("sends")
        .alias("attempts"),
        (pl.col("sends") - pl.col("spans")).alias("hidden"),
        pl.when("one_call").then(1).otherwise(sent_once.clip(lower_bound=1)).alias("logical"),
        pl.when("one_call")
        .then(pl.col("last_failed").cast(pl.Int64))
        .otherwise(pl.min_horizontal("failures", sent_once))
        .alias("lost"),
        pl.when("one_call")
        .then(pl.col("extra_ns") + pl.col("inside_first"))
        .otherwise("inside")
        .alias("extra_ns"),
    )


def _measured(found: pl.DataFrame) -> pl.DataFrame:
    """Spans of groups with a failure, in order of start -> a row per group with its measures."""
    unseen = pl.col("failed") & pl.col("servers").is_null() & ~pl.col("told")
    remote = pl.col("category").is_in(["http", "rpc"])
    start, end = pl.col("start_ns"), pl.col("end_ns")
    overlaps = (start < end.cum_max().shift(1)).any()
    head_failed = pl.col("failed").head(pl.len() - 1).all()
    return found.group_by(GROUP, maintain_order=True).agg(
        *(pl.col(c).first() for c in _FIRST),
        pl.col("callee").min(),
        pl.col("callee_label").min(),
        pl.len().cast(pl.Int64).alias("spans"),
        pl.col("failed").sum().cast(pl.Int64).alias("failures"),
        (head_failed & ~overlaps.fill_null(value=False)).alias("one_call"),
        pl.col("failed").last().alias("last_failed"),
        pl.col("sends").sum(),
        pl.col("again").max(),
        (pl.col("again") > 0).sum().cast(pl.Int64).alias("repeats"),
        (unseen & remote).sum().cast(pl.Int64).alias("unseen"),
        start.min().alias("first_ns"),
        end.max().alias("last_ns"),
        (end - start).slice(1).sum().alias("extra_ns"),
        ((end - start) * (pl.col("sends") - 1) // pl.col("sends")).alias("inside").sum(),
        ((end - start) * (pl.col("sends") - 1) // pl.col("sends")).first().alias("inside_first"),
        pl.col("span_id").head(3).alias("span_ids"),
    )


_FIRST = (
    *("service", "environment", "entry_label", "category", "label", "peer", "system", "trace"),
    *("trace_hi", "trace_lo", "entry_span", "entry_start_ns", "entry_duration_ns"),
)


def gaps_between_spans(calls: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """A row per retry among `calls`, of those `groups` that are attempts of one call.

    The columns of `calls`, gap_ns (end of an attempt to the start of the next) and before_ns (the
    gap before that, null for the first retry of a call).
    """
    retried = groups.filter(pl.col("one_call") & (pl.col("spans") > 1))[GROUP]
    attempts = calls.filter(pl.col(GROUP).is_in(retried.implode()))
    return _with_gaps(attempts.sort(GROUP, "start_ns", "end_ns"), GROUP)


def gaps_between_answers(calls: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """As `gaps_between_spans`, for calls of several tries: between the answers of one span."""
    several = calls.drop("start_ns", "end_ns")
    answers = spans.filter((pl.col("kind") == "server") & (pl.col("parent_row") >= 0)).select(
        pl.col("parent_row").cast(pl.UInt32).alias("row"),
        "start_ns",
        (pl.col("start_ns") + pl.col("duration_ns")).alias("end_ns"),
    )
    return _with_gaps(several.join(answers, on="row").sort("row", "start_ns", "end_ns"), "row")


def _with_gaps(attempts: pl.DataFrame, group: str) -> pl.DataFrame:
    """Attempts in order of their group and start -> a row per retry."""
    same = (pl.col(group) == pl.col(group).shift(1)).fill_null(value=False)
    gap = (pl.col("start_ns") - pl.col("end_ns").shift(1)).clip(lower_bound=0)
    again = same & same.shift(1, fill_value=False)
    return (
        attempts.with_columns(pl.when(same).then(gap).alias("gap_ns"), again.alias("_again"))
        .with_columns(pl.when("_again").then(pl.col("gap_ns").shift(1)).alias("before_ns"))
        .filter(pl.col("gap_ns").is_not_null())
    )

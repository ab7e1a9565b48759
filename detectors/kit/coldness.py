"""How often a request reads its backend: for the first time on an instance, and again there.

::

    instance a   GET /p/5 read   GET /p/5        GET /p/5
    instance b                          GET /p/5 read     GET /p/5
                                        └ first here, already served by another: `cold` when it read

A cache that instances share has no such read; one that lives in a process has one on each.
"""

from __future__ import annotations

import polars as pl

from detectors.kit.fleet import OPERATION, SUBJECT, joined_on, least_of_others, numbered

READ = ("shape", "read_operation", "target", "predicate")
_PAIR = (*SUBJECT, "entry_label", "instance")
_SERVED = (*SUBJECT, "entry_label")
_NUMBERS = {"_operation": OPERATION, "_served": _SERVED, "_pair": _PAIR}


def served_pairs(requests: pl.DataFrame) -> pl.DataFrame:
    """A row per (entity, operation, instance) with success; panes added up.

    Adds first_ok_ns, last_ok_ns, `late` (another instance had answered before this one was first
    asked) and `opening` (nobody was asked before).
    """
    needed = ("ok", "first_ok_ns", "first_done_ns", "last_ok_ns")
    pairs = (
        numbered(requests.select(*_PAIR, *needed).filter(pl.col("ok") > 0), _NUMBERS)
        .group_by("_pair")
        .agg(
            pl.col(*_PAIR, "_operation", "_served").first(),
            pl.col("ok").sum(),
            pl.col("first_ok_ns").min(),
            pl.col("first_done_ns").min(),
            pl.col("last_ok_ns").max(),
        )
    )
    return pairs.with_columns(
        (least_of_others(pairs, "first_done_ns", "_served") < pl.col("first_ok_ns"))
        .fill_null(value=False)
        .alias("late"),
        (pl.col("first_ok_ns") == pl.col("first_ok_ns").min().over("_served")).alias("opening"),
    )


def _asked(requests: pl.DataFrame) -> pl.DataFrame:
    """What `chances` needs of rows of requests with success, with the numbers that it joins by."""
    numbers = {"_pair": _PAIR, "_operation": OPERATION}
    asked = numbered(requests, numbers).select(*numbers, "pane", "ok", "first_ok_ns")
    return asked.filter(pl.col("ok") > 0)


def _reads(reads: pl.DataFrame) -> pl.DataFrame:
    """What `chances` needs of rows of reads, with the numbers that it joins and groups by."""
    numbers = {"_pair": _PAIR, "_operation": OPERATION, "_read": (*OPERATION, *READ)}
    needed = ("pane", "ok", "first_ok_ns", "spent_ns")
    return numbered(reads, numbers).select(*numbers, *OPERATION, *READ, *needed)


def chances(requests: pl.DataFrame, reads: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """A row per operation, identity and backend read.

    firsts, cold: late first requests, and those that read; repeats, repeated: later ones in
    the same pairs, and those that read; openings, opened: first requests anywhere, and those
    that read; steady: share of repeats that read, in the minutes in which the firsts happened;
    instances, entities; reads, read_ns of all requests in those pairs.
    """
    served = pairs.select("_pair", pl.col("first_ok_ns").alias("_first"), "late", "opening")
    reads = _reads(reads)
    shapes = reads.select("_read", "_operation", *OPERATION, *READ).unique("_read")
    told = reads.drop(*OPERATION, *READ).join(served, on="_pair")
    asked = _asked(requests).join(served, on="_pair").filter("late")
    first = (pl.col("first_ok_ns") == pl.col("_first")).cast(pl.Int64)
    per_minute = asked.group_by("_operation", "pane").agg(
        first.sum().alias("firsts"), (pl.col("ok") - first).sum().alias("repeats")
    )
    read_per_minute = (
        told.filter("late")
        .group_by("_read", "pane")
        .agg(
            first.sum().alias("cold"),
            (pl.col("ok") - first).sum().alias("repeated"),
            pl.col("ok").sum().alias("reads"),
            pl.col("spent_ns").sum().alias("read_ns"),
        )
    )
    minutes = shapes.select("_read", "_operation").join(per_minute, on="_operation", how="left")
    minutes = joined_on(minutes, read_per_minute, ("_read", "pane")).with_columns(
        pl.col("firsts", "repeats", "cold", "repeated", "reads", "read_ns").fill_null(0)
    )
    summed = minutes.group_by("_read").agg(
        pl.col("firsts", "repeats", "cold", "repeated", "reads", "read_ns").sum(), _steady()
    )
    size = (
        pairs.filter("late")
        .group_by("_operation")
        .agg(
            pl.col("instance").n_unique().cast(pl.Int64).alias("instances"),
            pl.col("entity").n_unique().cast(pl.Int64).alias("entities"),
        )
    )
    whole = (
        shapes.join(summed, on="_read")
        .join(size, on="_operation", how="left")
        .join(_openings(told, pairs), on="_read", how="left")
        .drop("_read", "_operation")
    )
    counts = pl.col("instances", "entities", "openings", "opened").fill_null(0)
    return whole.with_columns(counts).sort(*OPERATION, *READ, nulls_last=True)


def _steady() -> pl.Expr:
    """Share of repeats that read, each minute weighted by its firsts.

    A change of the whole service in between (a deploy, a switch) shows in the minutes before it.
    """
    both = (pl.col("firsts") > 0) & (pl.col("repeats") > 0)
    share = (pl.col("repeated") / pl.col("repeats")).filter(both)
    weight = pl.col("firsts").filter(both)
    return ((share * weight).sum() / weight.sum()).alias("steady")


def _openings(told: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Per read: first requests for an entity anywhere, and those that read."""
    counted = (
        pairs.filter("opening")
        .group_by("_operation")
        .agg(pl.len().cast(pl.Int64).alias("openings"))
    )
    first = (pl.col("first_ok_ns") == pl.col("_first")).cast(pl.Int64)
    opened = (
        told.filter("opening")
        .group_by("_read")
        .agg(pl.col("_operation").first(), first.sum().alias("opened"))
    )
    return opened.join(counted, on="_operation", how="left").drop("_operation")


def stale_entities(
    requests: pl.DataFrame, reads: pl.DataFrame, pairs: pl.DataFrame
) -> pl.DataFrame:
    """Per operation: entities written through one instance and served later by another unread.

    Columns OPERATION, `stale`. A lower bound: of each instance only the last write is known.
    """
    written = (
        requests.filter(pl.col("written_ns").is_not_null())
        .group_by(*SUBJECT, pl.col("instance").alias("_writer"))
        .agg(pl.col("written_ns").max())
    )
    if not written.height:
        return pairs.clear().select(*OPERATION, pl.lit(0, pl.Int64).alias("stale"))
    last_read = (
        numbered(reads, {"_pair": _PAIR})
        .group_by("_pair")
        .agg(pl.col("last_ok_ns").max().alias("_last_read"))
    )
    served = joined_on(pairs, written, SUBJECT, "inner")
    served = served.join(last_read, on="_pair", how="left")
    stale = (
        (pl.col("instance") != pl.col("_writer"))
        & (pl.col("written_ns") < pl.col("last_ok_ns"))
        & (pl.col("_last_read") < pl.col("written_ns"))
    )
    return (
        served.filter(stale)
        .group_by(*OPERATION)
        .agg(pl.col("entity").n_unique().cast(pl.Int64).alias("stale"))
    )

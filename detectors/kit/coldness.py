"""How often a request reads its backend: for the first time on an instance, and again there.

::

    instance a   GET /p/5 read   GET /p/5        GET /p/5
    instance b                          GET /p/5 read     GET /p/5
                                        └ first here, already served by another: `cold` when it read

A cache that instances share has no such read; one that lives in a process has one on each.
"""

from __future__ import annotations

import polars as pl

from detectors.kit.fleet import OPERATION, SUBJECT, joined_on, least_of_others

READ = ("shape", "read_operation", "target", "predicate")
_PAIR = [*SUBJECT, "entry_label", "instance"]


def served_pairs(requests: pl.DataFrame) -> pl.DataFrame:
    """A row per (entity, operation, instance) with success; panes added up.

    Adds first_ok_ns, last_ok_ns, `late` (another instance had answered before this one was first
    asked) and `opening` (nobody was asked before).
    """
    over = [*SUBJECT, "entry_label"]
    pairs = (
        requests.filter(pl.col("ok") > 0)
        .group_by(_PAIR)
        .agg(
            pl.col("ok").sum(),
            pl.col("first_ok_ns").min(),
            pl.col("first_done_ns").min(),
            pl.col("last_ok_ns").max(),
        )
    )
    return pairs.with_columns(
        (least_of_others("first_done_ns", over) < pl.col("first_ok_ns"))
        .fill_null(value=False)
        .alias("late"),
        (pl.col("first_ok_ns") == pl.col("first_ok_ns").min().over(over)).alias("opening"),
    )


def chances(requests: pl.DataFrame, reads: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """A row per operation, identity and backend read.

    firsts, cold: late first requests, and those that read; repeats, repeated: later ones in
    the same pairs, and those that read; openings, opened: first requests anywhere, and those
    that read; steady: share of repeats that read, in the minutes in which the firsts happened;
    instances, entities; reads, read_ns of all requests in those pairs.
    """
    late = pairs.filter("late").select(*_PAIR, pl.col("first_ok_ns").alias("_first"))
    asked = joined_on(requests.filter(pl.col("ok") > 0), late, _PAIR, "inner")
    read = joined_on(reads, late, _PAIR, "inner")
    first = (pl.col("first_ok_ns") == pl.col("_first")).cast(pl.Int64)
    per_minute = asked.group_by(*OPERATION, "pane").agg(
        first.sum().alias("firsts"), (pl.col("ok") - first).sum().alias("repeats")
    )
    read_per_minute = read.group_by(*OPERATION, *READ, "pane").agg(
        first.sum().alias("cold"),
        (pl.col("ok") - first).sum().alias("repeated"),
        pl.col("ok").sum().alias("reads"),
        pl.col("spent_ns").sum().alias("read_ns"),
    )
    shapes = reads.select(*OPERATION, *READ).unique()
    minutes = joined_on(shapes, per_minute, OPERATION)
    minutes = joined_on(minutes, read_per_minute, [*OPERATION, *READ, "pane"]).with_columns(
        pl.col("firsts", "repeats", "cold", "repeated", "reads", "read_ns").fill_null(0)
    )
    summed = minutes.group_by(*OPERATION, *READ).agg(
        pl.col("firsts", "repeats", "cold", "repeated", "reads", "read_ns").sum(), _steady()
    )
    size = late.group_by(*OPERATION).agg(
        pl.col("instance").n_unique().cast(pl.Int64).alias("instances"),
        pl.col("entity").n_unique().cast(pl.Int64).alias("entities"),
    )
    whole = joined_on(
        joined_on(summed, size, OPERATION), openings(reads, pairs), [*OPERATION, *READ]
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


def openings(reads: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Per operation and read: first requests for an entity anywhere, and those that read."""
    opening = pairs.filter("opening").select(*_PAIR, pl.col("first_ok_ns").alias("_first"))
    counted = opening.group_by(*OPERATION).agg(pl.len().cast(pl.Int64).alias("openings"))
    first = (pl.col("first_ok_ns") == pl.col("_first")).cast(pl.Int64)
    opened = (
        joined_on(reads, opening, _PAIR, "inner")
        .group_by(*OPERATION, *READ)
        .agg(first.sum().alias("opened"))
    )
    return joined_on(opened, counted, OPERATION)


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
    last_read = reads.group_by(_PAIR).agg(pl.col("last_ok_ns").max().alias("_last_read"))
    served = joined_on(joined_on(pairs, last_read, _PAIR), written, SUBJECT, "inner")
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

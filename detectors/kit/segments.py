"""Segments: what a service did for one entry, apart from what it waited for.

A segment is an entry span with the spans that work for it in the same service. Its own time is the
entry's duration less the union of its outgoing calls, each cut to the entry: calls that overlap
count once, and what runs on after the entry counts nowhere, so own time is never negative.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from detectors.kit import forest
from detectors.kit.forest import Mask, Rows

_NAMED = ["label", "callee", "peer", "outgoing"]
_ENDING = (
    pl.col("label").alias("ending"),
    pl.when("outgoing").then(pl.coalesce("callee", "peer")).alias("ending_service"),
)


def segments(spans: pl.DataFrame) -> pl.DataFrame:
    """Spans in order -> a row per entry span, in that order.

    own_ns, steps (calls out and local leaves, Int64), ending (UInt64, label of the last step; null
    when there is none), ending_service (UInt64, who answered it; null when it is local), longest
    (UInt32, row of the longest call out; null when there is none).
    """
    entry = spans["entry"].to_numpy().astype(np.int64)
    is_entry = spans["is_entry"].to_numpy()
    rows = np.flatnonzero(is_entry)
    place = np.full(int(entry.max(initial=-1)) + 1, -1, np.int64)
    place[entry[rows]] = np.arange(len(rows))
    owner = place[entry]
    owner[rows] = -1
    outgoing = spans["outgoing"].to_numpy()
    last, steps = _steps(spans, entry, owner, outgoing, len(rows))
    out = np.flatnonzero(outgoing & (owner >= 0))
    out = out[np.argsort(owner[out], kind="stable")]
    owner = owner[out]
    start, duration = (forest.times(spans, n) for n in ("start_ns", "duration_ns"))
    begin, length, whole = start[out] - start[rows][owner], duration[out], duration[rows]
    return (
        spans[_NAMED][_known(last)]
        .select(_ENDING)
        .with_columns(
            own_ns=pl.Series(whole - forest.covered(owner, begin, begin + length, whole)),
            steps=pl.Series(steps),
            longest=_known(_longest(owner, length, out, len(rows))),
        )
    )


def _known(rows: Rows) -> pl.Series:
    """Rows, null where they are -1: what is gathered by them is null then."""
    return pl.Series(rows, dtype=pl.Int64).set(pl.Series(rows < 0), None).cast(pl.UInt32)


def _steps(
    spans: pl.DataFrame, entry: Rows, owner: Rows, outgoing: Mask, count: int
) -> tuple[Rows, Rows]:
    """Row of the last step of each segment (-1: none) and how many steps it has.

    owner: the segment that each span works in; -1 for entries and where the entry is missing.
    """
    parent = spans["parent_row"].to_numpy().astype(np.int64)
    child = np.flatnonzero((parent >= 0) & (owner >= 0))
    above = parent[child]
    inner = np.zeros(len(entry), np.bool_)
    inner[above[entry[above] == entry[child]]] = True
    step = np.flatnonzero((owner >= 0) & (outgoing | ~inner))
    owner = owner[step]
    last = np.full(count, -1, np.int64)
    last[owner] = step  # rows are in order of start: the last one stays
    return last, np.bincount(owner, minlength=count).astype(np.int64)


def _longest(owner: Rows, duration: Rows, rows: Rows, count: int) -> Rows:
    """Row of the longest call of each segment, the earliest of equals; -1 without one."""
    most = np.zeros(count, np.int64)
    np.maximum.at(most, owner, duration)
    is_longest = duration == most[owner]
    longest = np.full(count, -1, np.int64)
    longest[owner[is_longest][::-1]] = rows[is_longest][::-1]  # of equals the first stays
    return longest

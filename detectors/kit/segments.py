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

NEEDED = (
    *("entry", "is_entry", "parent_row", "label", "start_ns", "duration_ns", "callee", "peer"),
    "outgoing",
)
"""Columns that `segments` reads."""


def segments(spans: pl.DataFrame) -> pl.DataFrame:
    """Spans in canonical order -> a row per entry span, in that order.

    row (UInt32), own_ns, steps (calls out and local leaves, Int64), ending (UInt64, label of the
    last step; null when there is none), ending_service (UInt64, who answered it; null when it is
    local), longest (Int64, row of the longest call out; -1).
    """
    entry = spans["entry"].to_numpy().astype(np.int64)
    is_entry = spans["is_entry"].to_numpy()
    outgoing = spans["outgoing"].to_numpy()
    rows = np.flatnonzero(is_entry)
    place = np.full(int(entry.max()) + 1 if len(entry) else 0, -1, np.int64)
    place[entry[rows]] = np.arange(len(rows))
    start, duration = (forest.times(spans, n) for n in ("start_ns", "duration_ns"))
    out = np.flatnonzero(outgoing & ~is_entry & (place[entry] >= 0))
    out = out[np.argsort(place[entry[out]], kind="stable")]
    owner = place[entry[out]]
    begin = start[out] - start[rows][owner]
    last, steps = _steps(spans, entry, is_entry, outgoing, place, len(rows))
    named = np.maximum(last, 0)
    there = pl.Series(last >= 0)
    ending = spans.select("label", pl.coalesce("callee", "peer").alias("callee"))[named]
    remote = (
        pl.Series(outgoing[named] & (last >= 0)) if len(rows) else pl.Series([], dtype=pl.Boolean)
    )
    return pl.DataFrame(
        {
            "row": rows.astype(np.uint32),
            "own_ns": duration[rows]
            - forest.covered(owner, begin, begin + duration[out], duration[rows]),
            "steps": steps,
            "longest": _longest(owner, duration[out], out, len(rows)),
        }
    ).with_columns(
        ending=pl.when(there).then(ending["label"]),
        ending_service=pl.when(remote).then(ending["callee"]),
    )


def _steps(  # noqa: PLR0913 - columns of one frame
    spans: pl.DataFrame, entry: Rows, is_entry: Mask, outgoing: Mask, place: Rows, count: int
) -> tuple[Rows, Rows]:
    """Row of the last step of each segment (-1: none) and how many steps it has."""
    parent = spans["parent_row"].to_numpy().astype(np.int64)
    own_child = (parent >= 0) & ~is_entry
    inner = np.zeros(len(entry), np.bool_)
    inner[parent[own_child & (entry[np.maximum(parent, 0)] == entry)]] = True
    step = np.flatnonzero(~is_entry & (outgoing | ~inner) & (place[entry] >= 0))
    owner = place[entry[step]]
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

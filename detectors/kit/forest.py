"""Traces as arrays: the order of rows, who is whose parent, and climbing without recursion.

Rows are spans. Everything works on whole numpy columns: sorting replaces hashing per row, and
pointer jumping (each row looks at its pointer's pointer) climbs a chain of any depth in a
logarithmic number of passes (Wyllie, "The Complexity of Parallel Computations", 1979).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Ids = NDArray[np.uint64]
Mask = NDArray[np.bool_]

MAX_TIME_NS = 1 << 61
"""Times and durations are held below this, so that sums of two never overflow 64 bits."""

# Odd multipliers of splitmix64 (Steele et al., 2014): all they do is spread bits.
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_STIR = np.uint64(0xBF58476D1CE4E5B9)
_FOLD = np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)


def ids(frame: pl.DataFrame, name: str) -> Ids:
    """A UInt64 column with nulls as 0."""
    return _filled(frame[name]).to_numpy()


def _filled(column: pl.Series) -> pl.Series:
    """Nulls as 0; where there are none, asking is cheaper than filling."""
    return column.fill_null(0) if column.null_count() else column


def present(frame: pl.DataFrame, name: str) -> Mask:
    """Where a column is not null."""
    return frame[name].is_not_null().to_numpy()


def physical(frame: pl.DataFrame, name: str) -> NDArray[np.integer]:
    """The physical numbers of an enum column; nulls as 0, which is `unspecified` or `unset`."""
    return _filled(frame[name].to_physical()).to_numpy()


def times(frame: pl.DataFrame, name: str) -> Rows:
    """A column of nanoseconds, nulls as 0, clipped to 0 … `MAX_TIME_NS`."""
    column = _filled(frame[name])
    if column.len() and (column.min() < 0 or column.max() > MAX_TIME_NS):  # type: ignore[operator]
        column = column.clip(0, MAX_TIME_NS)
    return column.to_numpy()


def spread(high: Ids | np.uint64, low: Ids) -> Ids:
    """Two 64-bit numbers mixed into one, every bit of it well spread; not collision-free."""
    mixed = (low + high * _SPREAD) * _STIR
    mixed ^= mixed >> _HALF
    mixed *= _FOLD
    return mixed


@dataclass(frozen=True, slots=True)
class Order:
    """The canonical order of rows: (trace_hi, trace_lo, start_ns, -duration_ns, span_id).

    rows: input row at each place, None when the input is in order already.
    trace: dense trace number at each place, ascending (int64).
    """

    rows: Rows | None
    trace: Rows


def canonical_order(frame: pl.DataFrame) -> Order:
    """The order of the rows of a frame with the span columns."""
    high, low, span = (ids(frame, n) for n in ("trace_hi", "trace_lo", "span_id"))
    start, duration = times(frame, "start_ns"), times(frame, "duration_ns")
    if _in_order(high, low, start, duration, span):
        return Order(None, numbers(high, low))
    by_trace = _sort_traces(high, low)
    dense = numbers(high[by_trace], low[by_trace])
    trace = np.empty_like(dense)
    trace[by_trace] = dense
    begins = np.flatnonzero(np.diff(dense, prepend=-1))
    since = start - np.minimum.reduceat(start[by_trace], begins)[trace]
    bits = int(since.max()).bit_length()
    if bits + len(begins).bit_length() > 63:
        return Order(np.lexsort((span, -duration, start, trace)), dense)
    key = (trace << bits) | since
    rows = np.argsort(key)
    _settle_ties(rows, key, duration, span)
    return Order(rows, dense)


def _in_order(high: Ids, low: Ids, start: Rows, duration: Rows, span: Ids) -> bool:
    if np.any(high[1:] < high[:-1]):
        return False

    def steps(column: Ids | Rows) -> tuple[Mask, Mask]:
        return column[1:] > column[:-1], column[1:] == column[:-1]

    later = ~(span[1:] < span[:-1])
    for column in (-duration, start, low, high):
        up, same = steps(column)
        later = up | (same & later)
    return bool(later.all())


def _sort_traces(high: Ids, low: Ids) -> Rows:
    """Rows by trace id. Upper halves are nearly always distinct: one key is enough then."""
    rows = np.argsort(high)
    sorted_high, sorted_low = high[rows], low[rows]
    same = sorted_high[1:] == sorted_high[:-1]
    if np.any(same & (sorted_low[1:] != sorted_low[:-1])):
        return np.lexsort((low, high))
    return rows


def numbers(high: Ids, low: Ids) -> Rows:
    """Dense numbers of runs of equal trace ids."""
    new = np.zeros(len(high), np.int64)
    np.logical_or(high[1:] != high[:-1], low[1:] != low[:-1], out=new[1:], casting="unsafe")
    return np.cumsum(new)


def _settle_ties(rows: Rows, key: Rows, duration: Rows, span: Ids) -> None:
    """Order rows of equal trace and start, in place, by -duration and span id."""
    ordered = key[rows]
    tied = np.zeros(len(rows), np.bool_)
    same = ordered[1:] == ordered[:-1]
    tied[1:] |= same
    tied[:-1] |= same
    places = np.flatnonzero(tied)
    if len(places):
        among = rows[places]
        rows[places] = among[np.lexsort((span[among], -duration[among], key[among]))]


def find_rows(trace: Rows, span: Ids, wanted: Ids, asked: Mask) -> Rows:
    """The first row of the same trace whose span id is `wanted`; -1 for none or where not asked."""
    count = len(span)
    found = np.full(count, -1, np.int64)
    askers = np.flatnonzero(asked)
    if not len(askers):
        return found
    low = np.uint64((1 << count.bit_length()) - 1)
    sought = _sortable(trace, count)
    keys = (sought(trace, span) & ~low) | np.arange(count, dtype=np.uint64)
    keys.sort()
    held = (keys & low).astype(np.int64)
    prefix = keys & ~low
    again = np.flatnonzero(prefix[1:] == prefix[:-1])
    one, two = held[again], held[again + 1]
    if np.any((trace[one] != trace[two]) | (span[one] != span[two])):
        return _find_rows_exactly(trace, span, wanted, askers)
    queries = sought(trace[askers], wanted[askers]) & ~low
    places = np.minimum(np.searchsorted(keys, queries), count - 1)
    rows = held[places]
    right = (trace[rows] == trace[askers]) & (span[rows] == wanted[askers])
    found[askers[right]] = rows[right]
    return found


def _sortable(trace: Rows, count: int) -> Callable[[Rows, Ids], Ids]:
    """What mixes (trace, span id) to a number whose lower bits may be cut off for a row.

    Dense trace numbers stay on top: what is looked for then lies near what was looked for before,
    and finding it takes half the time.
    """
    bits = int(trace.max()).bit_length() if trace.min() >= 0 else 64
    if bits + count.bit_length() + _ENOUGH_BITS > 64:
        return lambda traces, spans: spread(traces.astype(np.uint64), spans)
    up, down = np.uint64(64 - bits), np.uint64(bits)

    def by_trace(traces: Rows, spans: Ids) -> Ids:
        return (traces.astype(np.uint64) << up) | (spread(np.uint64(0), spans) >> down)

    return by_trace


_ENOUGH_BITS = 28
"""Of a mixed span id, beside its trace: two of one trace hardly ever agree in all of them."""


def _find_rows_exactly(trace: Rows, span: Ids, wanted: Ids, askers: Rows) -> Rows:
    """As `find_rows`, without mixing: for the rare case that two ids mix to the same number."""
    count = len(span)
    ranks = np.unique(np.concatenate((span, wanted)), return_inverse=True)[1]
    trace = np.unique(trace, return_inverse=True)[1]  # dense, so that the product has room
    keys = trace * (2 * count) + ranks[:count]
    queries = (trace * (2 * count) + ranks[count:])[askers]
    order = np.argsort(keys, kind="stable")
    places = np.minimum(np.searchsorted(keys[order], queries), count - 1)
    rows = order[places]
    right = keys[rows] == queries
    found = np.full(count, -1, np.int64)
    found[askers[right]] = rows[right]
    return found


def climb(step: Rows) -> Rows:
    """Follow `step` (row -> row, a fixed point where it ends) to the end of each chain.

    On a cycle it ends after a bounded number of passes, somewhere on the cycle.
    """
    for _ in range(len(step).bit_length() + 1):
        further = step[step]
        if np.array_equal(further, step):
            break
        step = further
    return step


def upward(parent: Rows) -> Rows:
    """Steps for `climb`: the parent, or the row itself where there is none."""
    return np.where(parent < 0, np.arange(len(parent)), parent)


def cycle_cuts(parent: Rows) -> Rows:
    """The rows to be cut from their parent so that no cycle is left: the first row of each."""
    step = upward(parent)
    top = climb(step)
    lost = parent[top] >= 0
    if not lost.any():
        return np.empty(0, np.int64)
    on_cycle = np.unique(top[lost])
    least = np.arange(len(parent))
    for _ in range(len(on_cycle).bit_length() + 1):
        least = np.minimum(least, least[step])
        step = step[step]
    return np.asarray(on_cycle[least[on_cycle] == on_cycle])


def covered(owner: Rows, begin: Rows, end: Rows, duration: Rows) -> Rows:
    """How much of each owner the union of its intervals covers, cut to 0 … its duration (ns).

    owner: ascending; begin, end: relative to the start of the owner, begins ascending within one.
    The result has a place for each of `duration`.
    """
    busy_of = np.zeros_like(duration)
    if not len(owner):
        return busy_of
    end = np.clip(end, 0, duration[owner])
    begin = np.clip(begin, 0, duration[owner])
    new = np.diff(owner, prepend=-1) != 0
    busy = np.maximum(end - np.maximum(begin, _reached_before(end, new)), 0)
    places = np.flatnonzero(new)
    busy_of[owner[places]] = np.add.reduceat(busy, places)
    return busy_of


def _reached_before(end: Rows, new: Mask) -> Rows:
    """The largest `end` before each row within its run (`new` marks where runs begin); else 0."""
    run = np.cumsum(new) - 1
    width = int(end.max()) + 1
    if width * (int(run[-1]) + 1) < 1 << 62:
        reached = np.maximum.accumulate(end + run * width) - run * width
    else:  # ranks in (run, end) order grow with the run and cannot overflow
        order = np.lexsort((end, run))
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        reached = end[order][np.maximum.accumulate(rank)]
    before = np.zeros_like(end)
    before[1:] = reached[:-1]
    before[new] = 0
    return before

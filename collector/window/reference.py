"""The window in numpy: one slab per second of arrival.

When a slab is due (its second ended `quiet_s` ago) the rows whose trace appears in a later slab
move there; those of traces that await a span of their own process are set aside; all others leave
as whole traces. So a row is touched once or twice, never per tick.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sized
from math import floor
from typing import cast

import numpy as np
import polars as pl

from collector.window.model import Limits, Window
from collector.window.remembered import Remembered
from collector.window.slabs import Chunk, Slab, cut, join, within
from detectors.kit import forest
from detectors.kit.columns import empty_spans
from detectors.kit.forest import Ids, Mask

_ARRIVAL = "_arrival"
_NS = 1_000_000_000


class ReferenceWindow(Window):
    """Buffers span columns by arrival and gives whole traces."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self._rows = 0
        self._fresh: dict[int, list[tuple[pl.DataFrame, int]]] = {}
        self._slabs: dict[int, Slab] = {}
        self._waiting = Slab()
        self._closed = Remembered()
        self._counts: Counter[str] = Counter()
        self._last_end_ns = 0
        self._ready: list[pl.DataFrame] = []

    def add(self, spans: Sized, arrival_s: float) -> None:
        """Buffer a frame with the span columns that arrived at `arrival_s`."""
        if len(spans):
            frame = pl.DataFrame(cast("pl.DataFrame", spans))
            self._fresh.setdefault(floor(arrival_s), []).append((frame, int(arrival_s * _NS)))
            self._rows += frame.height

    @property
    def rows(self) -> int:
        """Spans of open traces."""
        return self._rows

    @property
    def closed_rows(self) -> int:
        """Spans of closed traces that were not taken yet."""
        return sum(frame.height for frame in self._ready)

    @property
    def open_traces(self) -> int:
        """Number of traces with buffered spans."""
        self._settle()
        keys = [s.traces()[0] for s in (*self._slabs.values(), self._waiting)]
        return len(np.unique(np.concatenate(keys)))

    @property
    def counts(self) -> Counter[str]:
        """What had to be done."""
        self._settle()
        return self._counts

    @property
    def last_end_ns(self) -> int:
        """The latest end of a span."""
        self._settle()
        return self._last_end_ns

    def advance(self, now_s: float) -> None:
        """Closes the traces that are due."""
        self._settle()
        closed = self._close_huge()
        for second in sorted(self._slabs):
            if second + 1 + self.limits.quiet_s <= now_s:
                closed += self._close_slab(second)
        closed += self._close_expired(now_s)
        self._emit(closed, now_s)

    def finish(self, now_s: float | None = None) -> None:
        """Closes all traces."""
        self._settle()
        chunks = [c for s in (*self._slabs.values(), self._waiting) for c in s.chunks]
        last = max(self._slabs, default=0) + 1.0
        self._slabs, self._waiting = {}, Slab()
        self._emit(chunks, last if now_s is None else now_s)

    def take(self, rows: int) -> pl.DataFrame:
        """Closed traces of at most so many spans, as far as frames fit."""
        taken, room = self._ready[:1], rows - sum(frame.height for frame in self._ready[:1])
        for frame in self._ready[1:]:
            if frame.height > room:
                break
            taken.append(frame)
            room -= frame.height
        del self._ready[: len(taken)]
        return pl.concat(taken, rechunk=True) if taken else empty_spans()

    def _settle(self) -> None:
        """Index what was added since: many small frames become one per second of arrival."""
        for second, added in sorted(self._fresh.items()):
            frame = pl.concat([f for f, _ in added], rechunk=True)
            arrivals = np.repeat([a for _, a in added], [f.height for f, _ in added])
            frame = frame.with_columns(pl.Series(_ARRIVAL, arrivals, pl.Int64))
            keys = forest.spread(forest.ids(frame, "trace_hi"), forest.ids(frame, "trace_lo"))
            self._slabs.setdefault(second, Slab()).add(Chunk(frame, keys))
            traces, sizes = np.unique(keys, return_counts=True)
            self._counts["late"] += int(sizes[self._closed.known(traces)].sum())
            ends = forest.times(frame, "start_ns") + forest.times(frame, "duration_ns")
            self._last_end_ns = max(self._last_end_ns, int(ends.max()))
        self._fresh.clear()

    def _close_slab(self, second: int) -> list[Chunk]:
        slab = self._slabs.pop(second)
        traces = slab.traces()[0]
        later = np.full(len(traces), -1, np.int64)
        for other in sorted(self._slabs):
            later[within(traces, self._slabs[other].traces()[0])] = other
        for other in np.unique(later[later >= 0]).tolist():
            for chunk in slab.pull(traces[later == other]):
                self._slabs[other].add(chunk)
        ending = slab.chunks + self._waiting.pull(traces[later < 0])
        if not ending:
            return []
        whole = join(ending)
        waits = _awaits_parent(whole)
        self._waiting.add(whole.take(waits))
        return [whole.take(~waits)]

    def _aged(self, chunk: Chunk, now_s: float) -> Mask:
        oldest = int((now_s - self.limits.max_age_s) * _NS)
        return chunk.frame[_ARRIVAL].to_numpy() <= oldest

    def _close_expired(self, now_s: float) -> list[Chunk]:
        """Traces whose first span arrived `max_age_s` ago, wherever their rows are."""
        chunks = [c for s in (*self._slabs.values(), self._waiting) for c in s.chunks]
        aged = [c.keys[mask] for c in chunks if (mask := self._aged(c, now_s)).any()]
        if not aged:
            return []
        wanted = np.unique(np.concatenate(aged))
        self._counts["aged"] += len(wanted)
        return self._pull(wanted)

    def _close_huge(self) -> list[Chunk]:
        slabs = (*self._slabs.values(), self._waiting)
        # The sum of the largest trace of each slab bounds every trace: nearly always enough.
        if sum(int(s.traces()[1].max(initial=0)) for s in slabs) < self.limits.max_spans:
            return []
        keys = np.concatenate([s.traces()[0] for s in slabs])
        sizes = np.concatenate([s.traces()[1] for s in slabs])
        traces, places = np.unique(keys, return_inverse=True)
        total = np.zeros(len(traces), np.int64)
        np.add.at(total, places, sizes)
        huge = traces[total >= self.limits.max_spans]
        self._counts["huge"] += len(huge)
        return self._pull(huge)

    def _pull(self, wanted: Ids) -> list[Chunk]:
        slabs = (*self._slabs.values(), self._waiting)
        return [chunk for slab in slabs for chunk in slab.pull(wanted)] if len(wanted) else []

    def _emit(self, chunks: list[Chunk], now_s: float) -> None:
        """Frames of whole traces are ready, times clamped; their traces are remembered."""
        chunks = [c for c in chunks if len(c.keys)]
        if not chunks:
            return
        whole = join(chunks)
        self._rows -= len(whole.keys)
        traces = np.unique(whole.keys)
        self._counts["closed"] += len(traces)
        self._closed.add(traces, now_s)
        clamped, count = clamp_times(whole.frame, whole.keys, int(self.limits.max_skew_s * _NS))
        self._counts["clamped"] += count
        self._ready += cut(Chunk(clamped, whole.keys))


def clamp_times(frame: pl.DataFrame, traces: Ids, skew_ns: int) -> tuple[pl.DataFrame, int]:
    """Event time held within `skew_ns` of arrival; `_arrival` is taken off; spans moved.

    A trace that lies wholly outside is moved as a whole, so that its structure stays; in a trace
    that is partly inside, the spans outside are moved one by one. Durations stay.
    """
    start = forest.times(frame, "start_ns")
    end = start + forest.times(frame, "duration_ns")
    arrival = frame[_ARRIVAL].to_numpy()
    frame = frame.drop(_ARRIVAL)
    low, high = arrival - skew_ns, arrival + skew_ns
    outside = (end < low) | (end > high)
    if not outside.any():
        return frame, 0
    rows = np.flatnonzero(within(traces, np.unique(traces[outside])))
    order = rows[np.argsort(traces[rows], kind="stable")]
    begins = np.flatnonzero(np.diff(traces[order], prepend=~traces[order][:1]) != 0)
    sizes = np.diff(begins, append=len(order))
    # How far the nearest end of the trace is outside: later by `behind`, or earlier by `ahead`.
    behind = np.maximum(np.minimum.reduceat((low - end)[order], begins), 0)
    ahead = np.maximum(np.minimum.reduceat((end - high)[order], begins), 0)
    shift = np.zeros(len(start), np.int64)
    shift[order] = np.repeat(behind - ahead, sizes)
    alone = np.zeros(len(start), np.bool_)
    alone[order] = np.repeat((behind == 0) & (ahead == 0), sizes)
    shift = np.where(alone, np.clip(end, low, high) - end, shift)
    moved = pl.Series("start_ns", start + shift)
    return frame.with_columns(moved), int(np.count_nonzero(shift))


def _awaits_parent(chunk: Chunk) -> Mask:
    """Rows of traces in which a span with a local parent misses it."""
    local = ~chunk.frame["remote_parent"].fill_null(value=True).to_numpy()
    asked = local & forest.present(chunk.frame, "parent_span_id")
    if not asked.any():
        return np.zeros(len(chunk.keys), np.bool_)
    parent = forest.find_rows(
        chunk.keys.view(np.int64),
        forest.ids(chunk.frame, "span_id"),
        forest.ids(chunk.frame, "parent_span_id"),
        asked,
    )
    return within(chunk.keys, np.unique(chunk.keys[asked & (parent < 0)]))

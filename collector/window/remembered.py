"""Traces that were closed a while ago: a span of theirs that comes now is late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collector.window.slabs import within
from detectors.kit.forest import Ids, Mask

_TRACES = 200_000
_SECONDS = 300.0
_GENERATION_SECONDS = 30.0
_GENERATION_TRACES = 50_000


@dataclass(frozen=True, slots=True)
class _Generation:
    """Traces (mixed ids, ascending) that were closed between two moments."""

    traces: Ids
    since_s: float
    until_s: float

    def with_later(self, later: _Generation) -> _Generation:
        traces = np.sort(np.concatenate((self.traces, later.traces)), kind="stable")
        return _Generation(traces, self.since_s, later.until_s)


class Remembered:
    """Closed traces of the last five minutes, and no more than 200,000 of them.

    One sorted array of all would be sorted anew with each tick, which cost as much as the rest of
    the window. So there are generations: one joins the one before it where that is not much
    larger, which sorts each trace a few times, and is forgotten as a whole.
    """

    def __init__(self) -> None:
        self._generations: list[_Generation] = []

    def __len__(self) -> int:
        return sum(len(g.traces) for g in self._generations)

    @property
    def generations(self) -> int:
        """How many arrays a trace is looked for in."""
        return len(self._generations)

    def known(self, traces: Ids) -> Mask:
        """Which of some traces were closed."""
        found = np.zeros(len(traces), np.bool_)
        for generation in self._generations:
            found |= within(traces, generation.traces)
        return found

    def add(self, traces: Ids, now_s: float) -> None:
        """Traces (ascending) that are closed now."""
        kept = [g for g in self._generations if g.until_s > now_s - _SECONDS]
        kept.append(_Generation(traces[-_TRACES:], now_s, now_s))
        while len(kept) > 1 and _join(*kept[-2:]):
            later = kept.pop()
            kept[-1] = kept[-1].with_later(later)
        while sum(len(g.traces) for g in kept) > _TRACES:
            kept.pop(0)
        self._generations = kept


def _join(earlier: _Generation, later: _Generation) -> bool:
    """Whether two generations become one: of like size, and few enough to be forgotten at once."""
    like = len(earlier.traces) <= 2 * len(later.traces)
    few = len(earlier.traces) + len(later.traces) <= _GENERATION_TRACES
    return like and few and later.until_s - earlier.since_s <= _GENERATION_SECONDS

"""How often to judge: at an interval, but never so often that judging takes much of a core.

What a judgement costs goes with the patterns in the horizon: some milliseconds for a few services,
most of a second for hundreds of thousands of rows of facts. An interval alone would make a large
installation pay a tenth of a core for it, and an idle one several hundredths.
"""

from __future__ import annotations

SHARE = 0.005
"""Of a core: a judgement of 0.15 s comes every half a minute."""
IDLE_INTERVALS = 6
"""Where no facts came, only every so many intervals are judged, however little it costs: time alone
changes little, but findings have to resolve."""
MOST_S = 90.0
"""The longest pause: findings resolve, and `spanlint_last_judgement_timestamp_seconds` moves."""


class Pace:
    """Says when the next judgement is due. Pure of clocks: times are seconds of one of them.

    The first is due one interval after the first question.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._judged_s: float | None = None
        self._costs_s: tuple[float, ...] = ()

    def judged(self, at_s: float, cost_s: float) -> None:
        """A judgement began at `at_s` and took `cost_s` of CPU."""
        self._judged_s = at_s
        self._costs_s = (*self._costs_s[-1:], cost_s)

    def due(self, now_s: float, *, news: bool) -> bool:
        """Whether to judge now; news: whether facts came since the last judgement."""
        if self._judged_s is None:
            self._judged_s = now_s
        return now_s - self._judged_s >= self.pause_s(news=news)

    def pause_s(self, *, news: bool) -> float:
        """Seconds from the beginning of one judgement to that of the next.

        The cheaper of the last two counts: the first after a start is cold, and one may be unlucky.
        """
        if not self._costs_s:
            return self._interval_s
        intervals = 1 if news else IDLE_INTERVALS
        cost_s = min(self._costs_s) if len(self._costs_s) > 1 else 0.0
        return max(intervals * self._interval_s, min(cost_s / SHARE, MOST_S))

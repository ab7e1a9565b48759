"""Judging takes a small share of a core, whatever a judgement costs, and never rests for long."""

from __future__ import annotations

import pytest

from collector.pace import MOST_S, Pace

TICK_S = 0.5


def judged_at(
    cost_s: float, seconds: int, *, news: bool = True, interval_s: float = 5.0
) -> list[float]:
    """When a process judges that asks twice a second, where each judgement costs the same."""
    pace, found = Pace(interval_s), []
    for tick in range(int(seconds / TICK_S)):
        now_s = 100 + tick * TICK_S
        if pace.due(now_s, news=news):
            found.append(now_s - 100)
            pace.judged(now_s, cost_s)
    return found


def test_cheap_judgements_come_at_the_interval() -> None:
    assert judged_at(0.005, 21) == [5, 10, 15, 20]
    assert judged_at(0.025, 21) == [5, 10, 15, 20]
    assert judged_at(0.001, 4, interval_s=1.0) == [1, 2, 3]


@pytest.mark.parametrize("news", [True, False])
@pytest.mark.parametrize("cost_s", [0.2, 0.3, 0.45])
def test_dear_judgements_take_a_two_hundredth_of_a_core(cost_s: float, news: bool) -> None:
    found = judged_at(cost_s, 7_200, news=news)

    assert 0.004 < len(found) * cost_s / 7_200 < 0.0052


def test_where_nothing_came_cheap_ones_come_every_six_intervals() -> None:
    assert judged_at(0.005, 100, news=False) == [5, 35, 65, 95]


@pytest.mark.parametrize("news", [True, False])
def test_the_longest_pause_is_bounded(news: bool) -> None:
    found = judged_at(1_000.0, 1_000, news=news)

    pauses = {b - a for a, b in zip(found[1:], found[2:], strict=False)}
    assert pauses == {MOST_S}
    assert judged_at(1_000.0, 500, interval_s=200.0) == [200, 400]


def test_news_are_judged_at_once_after_a_long_rest() -> None:
    pace = Pace(5.0)
    for _ in range(2):
        pace.judged(100, 0.1)

    assert not pace.due(120, news=False)
    assert pace.due(120, news=True)
    assert pace.due(140, news=False)


def test_one_cold_or_unlucky_judgement_slows_nothing_down() -> None:
    pace = Pace(5.0)
    pace.judged(100, 3.0)
    assert pace.due(105, news=True)
    pace.judged(105, 0.01)
    pace.judged(110, 3.0)
    assert pace.due(115, news=True)
    pace.judged(115, 3.0)
    assert not pace.due(174, news=True)

"""Closed traces are known for five minutes, whatever they were closed with, and are bounded."""

from __future__ import annotations

import numpy as np
import pytest

from collector.window.remembered import Remembered


def traces(*numbers: int) -> np.ndarray:
    return np.array(sorted(numbers), np.uint64)


def test_each_trace_is_known_after_many_ticks_and_no_other() -> None:
    closed = Remembered()
    for tick in range(200):
        closed.add(traces(tick * 10, tick * 10 + 3), 1_000 + tick)

    asked = traces(*range(2_010))
    assert asked[closed.known(asked)].tolist() == sorted(
        n for tick in range(200) for n in (tick * 10, tick * 10 + 3)
    )


def test_a_trace_is_forgotten_after_five_minutes_and_half_a_minute_at_most() -> None:
    closed = Remembered()
    for second in range(400):
        closed.add(traces(second), float(second))

    known = closed.known(traces(*range(400)))
    assert known[400 - 300 :].all()
    assert not known[: 400 - 331].any()


@pytest.mark.parametrize("at_once", [1_000, 30_000, 150_000, 250_000])
def test_the_newest_are_kept_where_there_are_too_many(at_once: int) -> None:
    closed = Remembered()
    for tick in range(700_000 // at_once):
        closed.add(np.arange(tick * at_once, (tick + 1) * at_once, dtype=np.uint64), tick / 10)
        newest = np.arange((tick + 1) * at_once - 1_000, (tick + 1) * at_once, dtype=np.uint64)
        assert len(closed) <= 200_000
        assert closed.known(newest).all()
    assert len(closed) >= 150_000


def test_what_one_tick_costs_does_not_grow_with_what_is_known() -> None:
    """Each trace is joined a few times: generations stay few and unequal."""
    closed = Remembered()
    for tick in range(600):
        closed.add(np.arange(tick * 100, tick * 100 + 100, dtype=np.uint64), tick / 2)
        assert closed.generations <= 20

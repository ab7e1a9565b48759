"""The analysing thread's work, step by step: clocks are given, nothing sleeps."""

from __future__ import annotations

from typing import Any

import pytest

from collector import detect
from collector.analysis import Analysis
from collector.decode.protobuf import decode_traces
from collector.handover import Handover
from collector.settings import Settings
from collector.store import STAGE_RUNS, Counters, Store
from detectors.kit.texts import Texts
from support.sketch import EPOCH_NS, Case, Line, request

NOW_S = EPOCH_NS / 1e9 + 60
OBSERVED = "spanlint_spans_observed_total"
SPANS = 13


class Analysed:
    """An analysis, and a processor whose every judgement costs `cost_s`."""

    def __init__(self, cost_s: float = 0.0, **settings: Any) -> None:
        self.texts = Texts()
        self.counters = Counters(Store(""), 100)
        self.handover = Handover()
        self._arrived = 0
        self._spent_s = 0.0
        self._cost_s = cost_s
        self.analysis = Analysis(
            Settings(**({"max_skew_s": 3_600, "horizon_s": 3_600} | settings)),
            self.texts,
            Store(""),
            self.counters,
            self.handover,
            self._cpu,
        )

    def _cpu(self) -> float:
        self._spent_s += self._cost_s
        return self._spent_s

    def arrive(self, at_s: float = NOW_S) -> None:
        """A trace with a loop in it."""
        entry = Line("shop", "GET /books", 0, 120, [])
        entry.children = [Line("shop", "SELECT * FROM authors WHERE id = %s", 8, 110, ["x12"])]
        self._arrived += 1
        body = request(Case(f"lazy {self._arrived}", [entry])).SerializeToString()
        frame = decode_traces(body, self.texts).frame
        self.handover.decoded += frame.height
        self.handover.put(frame, at_s)

    def steps(self, first: int, last: int) -> list[int]:
        """A step a second; the seconds after which a judgement was new."""
        found = []
        for second in range(first, last):
            before = self.analysis.view.judged_at
            if not self.analysis.idle(float(second)):
                self.analysis.step(NOW_S + second, float(second))
            if self.analysis.view.judged_at != before:
                found.append(second)
        return found

    def runs(self, stage: str) -> float:
        return self.counters.value(STAGE_RUNS, (stage,))


def test_what_was_handed_over_becomes_a_finding_and_is_not_held_any_more() -> None:
    analysed = Analysed()
    analysed.arrive()
    assert (analysed.handover.held, analysed.analysis.view.cases) == (SPANS, ())

    assert analysed.steps(0, 11) == [5], "the first judgement, of nothing"
    assert analysed.handover.held == SPANS, "its trace is open"
    assert analysed.steps(11, 20) == [11]

    assert [c.finding.code for c in analysed.analysis.view.cases] == ["N101"]
    assert analysed.handover.held == 0
    assert analysed.counters.value(OBSERVED) == SPANS


def test_it_is_idle_where_nothing_is_held_and_nothing_is_due() -> None:
    analysed = Analysed()
    assert analysed.analysis.idle(0.0)
    assert analysed.analysis.idle(4.9)
    assert not analysed.analysis.idle(5.0)

    analysed.steps(5, 6)
    assert analysed.analysis.idle(7.0)

    analysed.arrive()
    assert not analysed.analysis.idle(7.0)
    analysed.steps(7, 30)
    assert analysed.handover.held == 0
    assert analysed.analysis.idle(30.0)


def test_what_judging_costs_paces_it_while_spans_come() -> None:
    dear, cheap = Analysed(cost_s=0.1), Analysed(cost_s=0.01)
    found: dict[Analysed, list[int]] = {dear: [], cheap: []}

    for second in range(120):
        for analysed in found:
            analysed.arrive(NOW_S + second)
            found[analysed] += analysed.steps(second, second + 1)

    assert found[dear] == [5, 11, 31, 51, 71, 91, 111], "the first is cold, and paces nothing"
    assert found[cheap] == [5, 11, *range(16, 120, 5)]


def test_what_judging_costs_paces_it_when_nothing_comes() -> None:
    assert Analysed(cost_s=0.25).steps(0, 200) == [5, 35, 85, 135, 185]
    assert Analysed(cost_s=0.01).steps(0, 121) == [5, 35, 65, 95]


def test_whoever_looks_sees_what_is_closed_and_judges_nothing() -> None:
    analysed = Analysed()
    analysed.arrive()
    analysed.analysis.look()
    assert analysed.analysis.view.open_traces == 1
    assert analysed.counters.value(OBSERVED) == 0

    analysed.analysis._take()
    analysed.analysis._detector.tick(NOW_S + 11)
    analysed.analysis.look()

    assert analysed.analysis.view.open_traces == 0
    assert analysed.counters.value(OBSERVED) == SPANS
    assert analysed.handover.held == 0
    assert (analysed.runs("merge"), analysed.runs("judge")) == (0, 0)
    assert analysed.analysis.view.judged_at == 0


def test_finishing_judges_what_nobody_took_yet() -> None:
    analysed = Analysed()
    for _ in range(3):
        analysed.arrive()

    analysed.analysis.finish(NOW_S + 1)

    assert analysed.handover.held == 0
    assert analysed.counters.value(OBSERVED) == 3 * SPANS
    assert [c.finding.code for c in analysed.analysis.view.cases] == ["N101"]


def test_spans_that_a_defect_lost_are_not_held_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    analysed = Analysed()
    analysed.arrive()
    analysed.steps(0, 11)
    with monkeypatch.context() as patched:
        patched.setattr(detect, "observe", broken)
        with pytest.raises(ZeroDivisionError):
            analysed.steps(11, 13)
    analysed.steps(13, 20)
    assert analysed.handover.held == 0

    analysed.arrive(NOW_S + 20)
    analysed.steps(20, 40)
    assert analysed.counters.value(OBSERVED) == SPANS

"""Findings over time: new, ongoing, resolved, regressed, muted, forgotten; their cost so far."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from collector import ledger as ledgers
from collector.ledger import FORGOTTEN, OCCURRENCES, WASTED, Ledger
from collector.settings import Mute
from collector.store import Counters, Store
from detectors.kit.contract import Finding
from detectors.kit.engine import Judgement

S = 1_000_000_000
DAY = 86_400 * S
NOW = 1_790_000_000 * S
LATER = NOW + 60 * S
HORIZON = 900 * S
RUNS = {("shop", "GET /books")}
FOUND = Finding(
    "N101", "n-plus-one-query", "warning", "local", "observed", "", "shop", None, "GET /books",
    "SELECT authors", 3, 3, 5 * S, NOW - 60 * S, NOW, "f" * 16, (), (), panes={NOW: (3, 5 * S)},
)  # fmt: skip


def seen(*findings: Finding, failed: str = "") -> Judgement:
    return Judgement(findings, (), {failed: "why"} if failed else {})


def at(seconds: float, **changes: object) -> Finding:
    """The finding as it is seen so much later."""
    moment = NOW + int(seconds * S)
    return replace(FOUND, last_seen_ns=moment, **changes)  # type: ignore[arg-type]


@pytest.fixture
def counters() -> Counters:
    return Counters(Store(""), 100)


@pytest.fixture
def ledger(counters: Counters) -> Ledger:
    return Ledger(Store(""), counters, (), HORIZON)


def state(ledger: Ledger) -> str:
    [case] = ledger.cases()
    return case.state


def test_a_finding_is_new_and_after_a_horizon_ongoing(ledger: Ledger) -> None:
    assert [c.state for c in ledger.update(seen(FOUND), NOW, RUNS)] == ["new"]
    assert ledger.update(seen(at(5)), NOW + 5 * S, RUNS) == []
    assert [c.state for c in ledger.update(seen(at(901)), NOW + 901 * S, RUNS)] == ["ongoing"]


def test_it_is_resolved_after_a_horizon_without_evidence_while_its_operation_runs(
    ledger: Ledger,
) -> None:
    ledger.update(seen(FOUND), NOW, RUNS)

    assert ledger.update(seen(), NOW + 899 * S, RUNS) == []
    assert ledger.update(seen(), NOW + 3_600 * S, set()) == [], "nobody asked for it"
    assert [c.state for c in ledger.update(seen(), NOW + 3_600 * S, RUNS)] == ["resolved"]
    assert not ledger.cases()[0].active


def test_what_began_outside_is_resolved_by_the_operations_that_it_reached(ledger: Ledger) -> None:
    reached = {"affected": [{"service": "shop", "operation": "GET /books"}]}
    outside = replace(FOUND, service="postgresql", operation="SELECT books", details=reached)
    ledger.update(seen(outside), NOW, RUNS)

    ledger.update(seen(), NOW + HORIZON, {("shop", "GET /orders")})
    assert state(ledger) == "new"
    ledger.update(seen(), NOW + HORIZON, RUNS)
    assert state(ledger) == "resolved"


def test_it_is_regressed_when_it_comes_back(ledger: Ledger) -> None:
    ledger.update(seen(FOUND), NOW, RUNS)
    ledger.update(seen(), NOW + 901 * S, RUNS)

    [case] = ledger.update(seen(at(2_000)), NOW + 2_000 * S, RUNS)

    assert case.state == "regressed"
    assert case.first_seen_ns == FOUND.first_seen_ns
    assert case.active


@pytest.mark.parametrize("how", ["failed", "parked"])
def test_a_rule_that_did_not_judge_resolves_nothing(ledger: Ledger, how: str) -> None:
    ledger.update(seen(FOUND), NOW, RUNS)

    judgement = seen(failed="N101" if how == "failed" else "")
    parked = {"N101"} if how == "parked" else set()
    assert ledger.update(judgement, NOW + 3_600 * S, RUNS, parked) == []
    assert state(ledger) == "new"


def test_what_is_muted_is_not_active_until_it_expires(counters: Counters) -> None:
    mute = Mute("SHOP-1", code="N101", service="shop", expires="2026-09-22")
    ledger = Ledger(Store(""), counters, (mute,), HORIZON)

    ledger.update(seen(FOUND), NOW, RUNS)
    assert (ledger.cases()[0].muted, ledger.cases()[0].active) == ("SHOP-1", False)

    ledger.update(seen(at(30 * 86_400)), NOW + 30 * DAY, RUNS)
    assert (ledger.cases()[0].muted, ledger.cases()[0].active) == ("", True)


@pytest.mark.parametrize(
    ("other", "covers"),
    [
        ({"service": "stock"}, False),
        ({"operation": "GET /x"}, False),
        ({"fingerprint": "0" * 16}, False),
        ({"code": "N102"}, False),
        ({}, True),
    ],
)
def test_a_mute_covers_what_all_of_it_names(other: dict[str, str], covers: bool) -> None:
    named = {"code": "N101", "service": "shop", "operation": "GET /books"} | other

    assert Mute("why", **named).covers(FOUND, dt.date(2026, 1, 1)) is covers


def test_counters_add_what_is_new_in_each_pane(ledger: Ledger, counters: Counters) -> None:
    labels = ("N101", "shop", "GET /books")
    for panes, occurrences, wasted in (
        ({NOW: (3, 5 * S)}, 3, 5),
        ({NOW: (3, 5 * S)}, 3, 5),
        ({NOW: (4, 6 * S), LATER: (1, S)}, 5, 7),
        ({LATER: (2, S)}, 6, 7),
        ({NOW: (4, 6 * S)}, 6, 7),
    ):
        ledger.update(seen(replace(FOUND, panes=panes)), NOW, RUNS)
        assert counters.value(OCCURRENCES, labels) == occurrences
        assert counters.value(WASTED, labels[:2]) == wasted


def test_a_week_later_it_is_forgotten(ledger: Ledger) -> None:
    ledger.update(seen(FOUND), NOW, RUNS)
    ledger.update(seen(), NOW + DAY, RUNS)

    ledger.update(seen(), NOW + 7 * DAY, RUNS)
    assert state(ledger) == "resolved"
    ledger.update(seen(), NOW + 9 * DAY, RUNS)
    assert ledger.cases() == []


def test_an_operation_that_is_gone_takes_its_findings_with_it_after_a_week(ledger: Ledger) -> None:
    ledger.update(seen(FOUND), NOW, RUNS)

    ledger.update(seen(), NOW + 6 * DAY, set())
    assert state(ledger) == "new"
    ledger.update(seen(), NOW + 8 * DAY, set())
    assert ledger.cases() == []


def test_findings_without_number_are_bounded(
    counters: Counters, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ledgers, "MAX_CASES", 50)
    store = Store(str(tmp_path / "state.sqlite"))
    ledger = Ledger(store, counters, (), HORIZON)

    for number in range(40):
        several = [
            at(
                number * 60,
                fingerprint=f"{number:08x}{k:08x}",
                panes={NOW + number * 60 * S: (1, 1)},
            )
            for k in range(10)
        ]
        ledger.update(seen(*several), NOW + number * 60 * S, RUNS)
        assert len(ledger.cases()) <= 50
        assert len(store.findings()) == len(ledger.cases())
    ledger.update(seen(), NOW + DAY, RUNS)

    assert counters.value(FORGOTTEN) == 350
    assert ledger._counted == {}
    assert min(c.last_seen_ns for c in ledger.cases()) == NOW + 35 * 60 * S


def test_first_seen_and_state_survive_a_restart(counters: Counters, tmp_path: Path) -> None:
    path = str(tmp_path / "state.sqlite")
    store = Store(path)
    ledger = Ledger(store, counters, (), HORIZON)
    ledger.update(seen(FOUND), NOW, RUNS)
    ledger.update(seen(at(901)), NOW + 901 * S, RUNS)
    store.close()

    again = Ledger(Store(path), counters, (), HORIZON)
    assert [(c.state, c.first_seen_ns) for c in again.cases()] == [("ongoing", FOUND.first_seen_ns)]
    later = at(1_000, first_seen_ns=NOW + 950 * S)
    assert again.update(seen(later), NOW + 1_000 * S, RUNS) == []
    assert again.cases()[0].first_seen_ns == FOUND.first_seen_ns

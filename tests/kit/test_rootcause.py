"""Root cause on made-up services: the first suspect is where the fault was put."""

from __future__ import annotations

import pytest

from detectors.kit.engine import merge_facts
from detectors.kit.rootcause import Diagnosis, diagnose
from detectors.kit.shifts import Window, low_median
from support.judging import facts_of, judge_facts
from support.topology import SHOP, Faults, Traffic

MINUTE_NS = 60_000_000_000
EDGES = [(caller, callee) for caller, callees in SHOP.items() for callee in callees]


def traffic(fault: Faults, seed: int, traces: int = 60) -> Traffic:
    """A minute as it should be, a minute with the fault."""
    made = Traffic(seed)
    made.run(traces, 0.0, 60 / traces, Faults())
    made.run(traces, 60.0, 60 / traces, fault)
    return made


def diagnosed(made: Traffic) -> Diagnosis:
    facts = facts_of(made.frame(), made.texts)
    return diagnose(facts, Window(0, MINUTE_NS), Window(MINUTE_NS, 2 * MINUTE_NS))


@pytest.mark.parametrize("edge", EDGES, ids="-".join)
def test_delay_on_one_edge_is_found_there(edge: tuple[str, str]) -> None:
    found = diagnosed(traffic(Faults(delay={edge: 30.0}), seed=len("".join(edge))))

    first = found.suspects[0]
    assert first.clues[0].kind == "edge"
    assert first.clues[0].where == " → ".join(edge)
    assert all(s.rank > 1 for s in found.suspects[1:])


@pytest.mark.parametrize("service", SHOP)
def test_slow_service_is_found_and_not_who_waits(service: str) -> None:
    found = diagnosed(traffic(Faults(slow={service: 6.0}), seed=len(service)))

    first = found.suspects[0]
    assert (first.service, first.clues[0].kind) == (service, "own")
    assert first.clues[0].where == f"GET /{service}"
    assert first.impact_ns > 0
    assert all(s.score < first.score / 10 for s in found.suspects[1:])


def test_slow_wire_of_one_service_blames_it_and_not_its_callees() -> None:
    delay = {("cart", callee): 30.0 for callee in SHOP["cart"]}

    found = diagnosed(traffic(Faults(delay=delay), seed=3))

    assert found.suspects[0].service == "cart"


@pytest.mark.parametrize(("service", "last"), [("cart", "price"), ("search", "price")])
def test_calls_that_vanish_point_at_the_last_one(service: str, last: str) -> None:
    """An exception is swallowed after the first call: no error, no status, only fewer calls."""
    found = diagnosed(traffic(Faults(skip={service: (1, 0.8)}), seed=5, traces=120))

    first = found.suspects[0]
    assert (first.service, first.clues[0].kind) == (last, "cut")
    assert first.clues[0].where.startswith(f"{service} GET /{service} ends on")


def test_clean_drift_is_below_any_alert() -> None:
    for seed in range(8):
        facts = facts_of(traffic(Faults(drift=1.25), seed).frame(), Traffic(0).texts)
        assert not [f for f in judge_facts(facts).findings if f.code.startswith("F")]


def test_nothing_changed_scores_next_to_nothing() -> None:
    for seed in range(8):
        found = diagnosed(traffic(Faults(), seed))
        assert all(s.score < 0.25 for s in found.suspects), found.suspects


def test_calls_that_run_on_move_no_blame() -> None:
    """Both windows leave a call running; only the price service is slower in the second."""
    made = Traffic(11)
    made.run(60, 0.0, 1.0, Faults(background={("cart", "users"): 3.0}))
    made.run(60, 60.0, 1.0, Faults(background={("cart", "users"): 900.0}, slow={"price": 8.0}))

    found = diagnosed(made)

    assert found.suspects[0].service == "price"


def test_merged_facts_give_the_same_diagnosis() -> None:
    made = traffic(Faults(delay={("cart", "stock"): 30.0}), seed=2)
    spans = made.frame()
    parts = [facts_of(part, made.texts) for part in spans.partition_by("trace_lo")[::-1]]

    merged = merge_facts(parts)

    windows = Window(0, MINUTE_NS), Window(MINUTE_NS, 2 * MINUTE_NS)
    assert diagnose(merged, *windows) == diagnosed(made)


def test_it_says_what_stands_behind_it_and_what_it_cannot_tell() -> None:
    made = Traffic(1)
    made.run(4, 0.0, 1.0, Faults())
    made.run(4, 60.0, 1.0, Faults())

    found = diagnosed(made)

    assert found.entries_before == found.entries_after > 0
    quiet = Traffic(1, {"gateway": []})
    quiet.run(4, 0.0, 1.0, Faults())
    quiet.run(4, 60.0, 1.0, Faults())
    assert "only 4 entries stand behind one of the windows" in diagnosed(quiet).undecided


def test_an_edge_is_named_live() -> None:
    made = traffic(Faults(delay={("cart", "stock"): 200.0}), seed=4)

    found = judge_facts(facts_of(made.frame(), made.texts)).findings

    assert [(f.code, f.service, f.subject) for f in found] == [("F107", "cart", "cart → stock")]


@pytest.mark.parametrize(
    ("values", "expected"), [([], 0), ([3.0], 3), ([1.0, 9.0], 1), ([1.0, 5.0, 9.0], 5)]
)
def test_low_median(values: list[float], expected: float) -> None:
    assert low_median(values) == expected

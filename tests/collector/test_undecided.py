"""What a rule cannot see or cannot decide resolves no finding."""

from __future__ import annotations

import pytest

from collector.ledger import Ledger
from collector.store import Counters, Store
from detectors.kit.contract import State, Visibility
from detectors.kit.engine import Judgement
from support.zoo import whole

HOUR = 3_600_000_000_000
OPERATION = "GET /products/{pid}"


def after(state: State, reason: str) -> str:
    """The state of a case an hour after its finding is not found any more."""
    (found,) = [f for f in whole("h").findings if f.code == "S101"]
    store = Store("")
    ledger = Ledger(store, Counters(store, 100), (), HOUR // 4)
    running = {("shop", OPERATION)}
    ledger.update(Judgement((found,), ()), found.last_seen_ns, running)
    row = Visibility("S101", "shop", state, reason)

    ledger.update(Judgement((), (row,)), found.last_seen_ns + HOUR, running)

    (case,) = ledger.cases()
    return case.state


@pytest.mark.parametrize(
    ("state", "reason", "resolved"),
    [
        ("seen", f"{OPERATION}: 0 % of first requests on another instance read", True),
        ("exempt", f"{OPERATION} reads a shared cache", True),
        ("below_threshold", f"not decidable: {OPERATION} was not seen to read a backend", False),
        ("below_threshold", "not decidable: POST /carts was not seen to read a backend", True),
        ("blind", "instances cannot be told apart", False),
    ],
)
def test_a_case_is_resolved_only_by_who_can_tell(state: State, reason: str, resolved: bool) -> None:
    assert (after(state, reason) == "resolved") == resolved

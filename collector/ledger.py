"""Findings over time: new, ongoing, resolved, regressed; muted with a reason; their cost so far."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from collector.settings import Mute
from collector.store import Counters, Store
from detectors.kit.contract import Finding
from detectors.kit.engine import Judgement
from detectors.kit.fleet import UNDECIDABLE

Lifecycle = Literal["new", "ongoing", "resolved", "regressed"]
OCCURRENCES = "spanlint_occurrences_total"
WASTED = "spanlint_wasted_seconds_total"
KEPT_NS = 7 * 24 * 3_600 * 1_000_000_000
"""A finding is remembered for a week after it was resolved, to be recognised when it comes back, or
after it was last seen, when its operation does not run any more."""
MAX_CASES = 10_000
"""Findings remembered; the longest unseen go first. Subjects may be without number."""
FORGOTTEN = "spanlint_findings_forgotten_total"


@dataclass(frozen=True, slots=True)
class Case:
    """A finding with its history. Times in ns since the Unix epoch."""

    finding: Finding
    state: Lifecycle
    first_seen_ns: int
    last_seen_ns: int
    changed_ns: int
    muted: str = ""

    @property
    def active(self) -> bool:
        """Whether it is there and not muted."""
        return self.state != "resolved" and not self.muted


class Ledger:
    """The cases of a process; `update` takes each judgement."""

    def __init__(
        self, store: Store, counters: Counters, mutes: tuple[Mute, ...], horizon_ns: int
    ) -> None:
        self._store = store
        self._counters = counters
        self._mutes = mutes
        self._horizon_ns = horizon_ns
        self._counted: dict[str, dict[int, tuple[int, int]]] = {}
        cases = [msgspec.json.decode(body, type=Case) for body in store.findings()]
        self._cases = {c.finding.fingerprint: c for c in cases}

    def cases(self) -> list[Case]:
        """All cases, the active ones first, then in the order of the engine: severity and cost."""
        rank = {"critical": 0, "warning": 1, "info": 2}
        return sorted(
            self._cases.values(),
            key=lambda c: (
                not c.active,
                rank[c.finding.severity],
                -c.finding.wasted_ns,
                c.finding.code,
                c.finding.service,
                c.finding.operation,
                c.finding.fingerprint,
            ),
        )

    def case(self, fingerprint: str) -> Case | None:
        """One case, if it is known."""
        return self._cases.get(fingerprint)

    def update(
        self,
        judgement: Judgement,
        now_ns: int,
        operations: AbstractSet[tuple[str, str]],
        parked: AbstractSet[str] = frozenset(),
    ) -> list[Case]:
        """Takes a judgement; gives the cases whose state changed.

        operations: (service, operation) of the entries in the judged horizon: a finding that is not
        there any more is resolved only when its operation still runs, or one that it reached (a
        database in which an error began has no entries), and its rule is not blind. parked: codes
        of rules that did not judge, and whose silence says nothing.
        """
        unheard = parked | judgement.failed.keys()
        today = dt.datetime.fromtimestamp(now_ns / 1e9, tz=dt.UTC).date()
        found = {f.fingerprint: f for f in judgement.findings}
        updated = {f: self._seen(finding, now_ns, today) for f, finding in found.items()}
        for fingerprint, case in self._cases.items():
            heard = case.finding.code not in unheard and _looked(case, judgement)
            if fingerprint not in found and heard:
                updated[fingerprint] = self._unseen(case, now_ns, operations)
        gone = self._gone(updated, now_ns)
        changed = {f: c for f, c in updated.items() if self._cases.get(f) != c}
        moved = [
            c for f, c in changed.items() if f not in self._cases or self._cases[f].state != c.state
        ]
        self._cases |= changed
        for fingerprint in gone:
            del self._cases[fingerprint]
        self._forget_panes(found, now_ns - 2 * self._horizon_ns)
        kept = {f: msgspec.json.encode(c) for f, c in changed.items() if f not in gone}
        self._store.save_findings(kept, gone)
        return moved

    def _forget_panes(self, found: Mapping[str, Finding], before_ns: int) -> None:
        """Panes that no judgement tells any more, and findings that have none left."""
        told = {f: finding.panes for f, finding in found.items()}
        kept = {
            f: {p: n for p, n in panes.items() if p >= before_ns or p in told.get(f, {})}
            for f, panes in self._counted.items()
        }
        self._counted = {f: panes for f, panes in kept.items() if panes}

    def _gone(self, cases: Mapping[str, Case], now_ns: int) -> set[str]:
        """Cases to forget: those of long ago, and those for which there is no room."""
        by_age = sorted(cases, key=lambda f: (cases[f].last_seen_ns, f))
        old = {f for f, c in cases.items() if max(c.last_seen_ns, _resolved(c)) < now_ns - KEPT_NS}
        room = [f for f in by_age if f not in old]
        over = room[: max(0, len(room) - MAX_CASES)]
        self._counters.add(FORGOTTEN, (), len(over))
        return old | set(over)

    def _seen(self, finding: Finding, now_ns: int, today: dt.date) -> Case:
        self._count(finding)
        muted = next((m.reason for m in self._mutes if m.covers(finding, today)), "")
        known = self._cases.get(finding.fingerprint)
        if known is None:
            first = finding.first_seen_ns
            return Case(finding, "new", first, finding.last_seen_ns, now_ns, muted)
        state: Lifecycle = known.state
        changed_ns = known.changed_ns
        if known.state == "resolved":
            state, changed_ns = "regressed", now_ns
        elif known.state != "ongoing" and now_ns - known.changed_ns > self._horizon_ns:
            state, changed_ns = "ongoing", now_ns
        last = max(known.last_seen_ns, finding.last_seen_ns)
        first = min(known.first_seen_ns, finding.first_seen_ns)
        return Case(finding, state, first, last, changed_ns, muted)

    def _unseen(self, case: Case, now_ns: int, operations: AbstractSet[tuple[str, str]]) -> Case:
        still_runs = not operations.isdisjoint(_touched(case.finding))
        quiet = now_ns - case.last_seen_ns >= self._horizon_ns
        if case.state == "resolved" or not (still_runs and quiet):
            return case
        return replace(case, state="resolved", changed_ns=now_ns)

    def _count(self, finding: Finding) -> None:
        """Adds what is new in each pane to the counters."""
        counted = self._counted.setdefault(finding.fingerprint, {})
        labels = (finding.code, finding.service, finding.operation)
        for pane, (occurrences, wasted_ns) in finding.panes.items():
            before, before_ns = counted.get(pane, (0, 0))
            self._counters.add(OCCURRENCES, labels, occurrences - before)
            self._counters.add(WASTED, labels[:2], (wasted_ns - before_ns) / 1e9)
            counted[pane] = (max(occurrences, before), max(wasted_ns, before_ns))


def _resolved(case: Case) -> int:
    """When it was resolved, in ns; 0 when it is not."""
    return case.changed_ns if case.state == "resolved" else 0


def _looked(case: Case, judgement: Judgement) -> bool:
    """Whether the rule could see the service: what it cannot see is not gone.

    A rule about several instances cannot tell, either, after a start of its own: caches were warm.
    """
    finding = case.finding
    return not any(
        (row.code, row.service) == (finding.code, finding.service)
        and (row.state == "blind" or _undecided(row.reason, finding.operation))
        for row in judgement.visibility
    )


def _undecided(reason: str, operation: str) -> bool:
    return reason.startswith(UNDECIDABLE) and operation in reason


def _touched(finding: Finding) -> set[tuple[str, str]]:
    """(service, operation) of a finding, and of those that it says it reached."""
    reached = finding.details.get("affected", ())
    return {(finding.service, finding.operation)} | {
        (other["service"], other["operation"]) for other in reached
    }

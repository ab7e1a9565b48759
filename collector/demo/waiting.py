"""Findings of the running spanlint, awaited; and whether they are what the cases say."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from collector.demo.cases import Case

POLL_S = 0.25

Found = dict[str, Any]
"""A finding as `GET /api/v1/findings` gives it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One form of an endpoint: the code that it must give (None: nothing), and the codes found."""

    service: str
    operation: str
    what: str
    expected: str | None
    found: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether exactly what was expected was found."""
        return self.found == ((self.expected,) if self.expected else ())


def findings(admin: str) -> list[Found]:
    """All findings now. Raises httpx.HTTPError when spanlint does not answer."""
    answer = httpx.get(f"{admin}/api/v1/findings", timeout=10).raise_for_status()
    found: list[Found] = answer.json()
    return found


def wait_for(admin: str, cases: Iterable[Case], requests: int, patience_s: float) -> list[Found]:
    """Findings as soon as every case is there with all its requests, or when patience ends.

    The good forms were asked before the bad ones, so what is wrong with them is there by then too.
    """
    wanted = {(c.code, c.service, c.operation(c.bad)) for c in cases}
    deadline = time.monotonic() + patience_s
    while True:
        found = findings(admin)
        complete = {
            (f["code"], f["service"], f["operation"]) for f in found if f["occurrences"] >= requests
        }
        if wanted <= complete or time.monotonic() > deadline:
            return found
        time.sleep(POLL_S)


def compare(cases: Sequence[Case], found: Iterable[Found]) -> list[Row]:
    """A row per form, and one per finding that belongs to no form."""
    at: dict[tuple[str, str], list[str]] = {}
    for finding in found:
        at.setdefault((finding["service"], finding["operation"]), []).append(finding["code"])
    rows = []
    for case in cases:
        whats = [part.strip() for part in case.what.split("|")]
        forms = zip((case.bad, case.good), whats, (case.code, None), strict=True)
        for form, what, expected in forms:
            codes = tuple(sorted(at.pop((case.service, case.operation(form)), [])))
            rows.append(Row(case.service, case.operation(form), what, expected, codes))
    for (service, operation), others in sorted(at.items()):
        rows.append(Row(service, operation, "not an endpoint of the demo", None, tuple(others)))
    return rows

"""The endpoints of the shop: a bad and a good form of each, and what must be found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SMALLEST, SIZES = 10, 6
"""Requests ask for 10, 11 … 15 items in turn, so that the repeats can be seen to grow with data."""


@dataclass(frozen=True, slots=True)
class Case:
    """An endpoint in its two forms.

    code: the rule that must find the bad form. path: of the endpoint, less its form. bad, good: the
    last part of the path. subject: of the finding. constant: how often the bad form repeats
    whatever is asked for; 0 when it repeats once per item. needs: a server that may be missing.
    """

    code: str
    service: str
    method: str
    path: str
    bad: str
    good: str
    what: str
    subject: str
    constant: int = 0
    needs: str = ""

    def operation(self, form: str) -> str:
        """The entry as spanlint names it: method and route."""
        return f"{self.method} {self.path}/{form}"

    def sizes(self, requests: int) -> list[int]:
        """How many items each request asks for."""
        return [SMALLEST + i % SIZES for i in range(requests)]

    def repeats(self, requests: int) -> tuple[int, int]:
        """The fewest and the most repeats that one request of the bad form makes."""
        sizes = self.sizes(requests)
        return (self.constant, self.constant) if self.constant else (min(sizes), max(sizes))


CASES = (
    Case(
        "N101", "shop", "GET", "/books", "lazy", "eager",
        "each book's author, loaded when touched | selectinload",
        "SELECT authors by id",
    ),
    Case(
        "N102", "shop", "GET", "/orders", "each", "bulk",
        "one call to catalogue per product | one call with all ids",
        "GET catalogue /products/{id}",
    ),
    Case(
        "N103", "pricing", "GET", "/prices", "each", "mget",
        "one Redis GET per price | one MGET",
        "GET",
        needs="Redis",
    ),
    Case(
        "N104", "catalogue", "POST", "/import", "rows", "batch",
        "INSERT and commit per row | one executemany",
        "INSERT products",
    ),
    Case(
        "N105", "shop", "POST", "/checkout", "each", "batch",
        "one Celery task per order line | one task with all lines",
        "publish index_line",
        needs="Redis",
    ),
    Case(
        "N106", "shop", "GET", "/home", "asking", "once",
        "the settings read by every helper | once per request",
        "SELECT settings",
        constant=5,
    ),
)  # fmt: skip


def playable(present: Iterable[str]) -> tuple[Case, ...]:
    """The cases whose servers are there."""
    there = {"", *present}
    return tuple(case for case in CASES if case.needs in there)

"""What a rule could see of each service: the facts `sight`, read for one kind of work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.contract import FactsView, State, Visibility
from detectors.kit.derived import once

Row = Mapping[str, Any]

ENOUGH_RATIO = 0.5
"""An attribute counts as present when at least this share of the spans carry it."""
ROOTED_RATIO = 0.9
"""Parents count as absent when at least this share of the spans have none …"""
ROOTED_SPANS = 5
"""… of at least so many: a few queries at start-up are roots everywhere."""


@dataclass(frozen=True, slots=True)
class Looking:
    """What a rule looks at: `categories` and `kinds` of spans, the `works` among them it judges.

    what: `database reads`, for sentences. needs_values: whether hidden values make it blind.
    """

    what: str
    categories: tuple[str, ...]
    works: tuple[str, ...]
    kinds: tuple[str, ...] = ("client", "internal", "producer")
    needs_values: bool = False
    statement: str = "a statement"
    reveal_statement: str = ""


def blind_spots(facts: FactsView, looking: Looking) -> dict[str, tuple[State, str, str]]:
    """service -> (state, reason, reveal) for every service with spans, `seen` where it can see."""
    return {
        service: _look([row for row in rows if _meant(row, looking)], looking, _unnamed(rows))
        for service, rows in _sights(facts).items()
    }


@once
def _sights(facts: FactsView) -> dict[str, list[Row]]:
    """service -> counts by (category, kind, work), panes added up: a few rows each.

    all, named: of all spans; the others of panes in which there was more than steady work.
    """
    by = ("service", "category", "kind", "work")
    working = pl.col("spans") > pl.col("steady")
    summed = (
        facts.table("sight")
        .group_by(by)
        .agg(
            pl.col("spans").sum().alias("all"),
            pl.col("named").sum(),
            pl.col("spans", "shaped", "rooted", "valued").filter(working).sum(),
        )
        .sort(by)
    )
    found: dict[str, list[Row]] = {}
    for row in summed.iter_rows(named=True):
        found.setdefault(facts.text(row["service"]), []).append(row)
    return found


def _meant(row: Row, looking: Looking) -> bool:
    """Whether a rule looks at such spans."""
    return (
        row["category"] in looking.categories
        and row["kind"] in looking.kinds
        and (row["work"] is None or row["work"] in looking.works)
    )


def _look(rows: Sequence[Row], looking: Looking, unnamed: bool) -> tuple[State, str, str]:  # noqa: FBT001
    total = _sum(rows, "spans")
    if not total:
        return (
            "exempt",
            f"no {looking.what}",
            ("nothing to do if it makes none; else instrument the client that makes them"),
        )
    if _sum(rows, "shaped") < total * ENOUGH_RATIO:
        return (
            "blind",
            f"{looking.statement} is missing on most {looking.what}",
            (looking.reveal_statement),
        )
    rooted = _sum(rows, "rooted")
    if total >= ROOTED_SPANS and rooted >= total * ROOTED_RATIO:
        return (
            "blind",
            f"{looking.what} have no parent span",
            ("instrument the framework or wrap the work in a span, and propagate the context"),
        )
    if unnamed:
        return (
            "blind",
            "requests carry neither http.route nor a path",
            "record http.route (or url.path) on SERVER spans: it tells operations apart",
        )
    if looking.needs_values and not _sum(rows, "valued"):
        return (
            "blind",
            f"values of {looking.what} are hidden",
            (
                "record parameters: capture_parameters=True (Python), "
                "otel.instrumentation.jdbc.experimental.capture-query-parameters (Java), "
                "enhancedDatabaseReporting (Node)"
            ),
        )
    return "seen", f"{total} {looking.what}", ""


def _unnamed(rows: Sequence[Row]) -> bool:
    """Whether most HTTP SERVER spans of a service tell no operation."""
    servers = [row for row in rows if row["category"] == "http" and row["kind"] == "server"]
    return _sum(servers, "named") < _sum(servers, "all") * ENOUGH_RATIO


def _sum(rows: Iterable[Row], count: str) -> int:
    return sum(int(row[count]) for row in rows)


def verdicts(
    code: str,
    spots: Mapping[str, tuple[State, str, str]],
    fired: set[str],
    held_back: Mapping[str, tuple[State, str]],
    left_out: Mapping[str, int] | None = None,
) -> tuple[Visibility, ...]:
    """One row per service: blind before all, then fired, then why it was silent.

    left_out: by service, how many findings more there are than are given.
    """
    rows = []
    for service, (state, reason, reveal) in spots.items():
        if state == "seen" and service not in fired and service in held_back:
            state, reason = held_back[service]  # noqa: PLW2901
        if more := (left_out or {}).get(service):
            reason += f"; {more} more findings than the most costly that are given"  # noqa: PLW2901
        rows.append(Visibility(code, service, state, reason, reveal))
    return tuple(rows)

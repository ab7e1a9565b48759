"""What a rule could see of each service: the facts `sight`, read for one kind of work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from detectors.kit.contract import FactsView, State, Visibility

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
    sight = facts.table("sight")
    unnamed = _unnamed_entries(sight)
    found: dict[str, tuple[State, str, str]] = {}
    for service in sight["service"].unique().sort().to_list():
        rows = sight.filter(
            (pl.col("service") == service)
            & pl.col("category").is_in(looking.categories)
            & pl.col("kind").is_in(looking.kinds)
        )
        found[facts.text(service)] = _look(rows, looking, service in unnamed)
    return found


def _look(rows: pl.DataFrame, looking: Looking, unnamed: bool) -> tuple[State, str, str]:  # noqa: FBT001
    relevant = rows.filter(pl.col("work").is_in(looking.works) | pl.col("work").is_null())
    spans = int((relevant["spans"] - relevant["steady"]).sum())
    if not spans:
        return (
            "exempt",
            f"no {looking.what}",
            ("nothing to do if it makes none; else instrument the client that makes them"),
        )
    working = relevant.filter(pl.col("spans") > pl.col("steady"))
    total = int(working["spans"].sum())
    if int(working["shaped"].sum()) < total * ENOUGH_RATIO:
        return (
            "blind",
            f"{looking.statement} is missing on most {looking.what}",
            (looking.reveal_statement),
        )
    rooted = int(working["rooted"].sum())
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
    if looking.needs_values and not int(working["valued"].sum()):
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


def _unnamed_entries(sight: pl.DataFrame) -> set[int]:
    """Services most of whose HTTP SERVER spans tell no operation."""
    servers = (
        sight.filter((pl.col("category") == "http") & (pl.col("kind") == "server"))
        .group_by("service")
        .agg(pl.col("spans").sum(), pl.col("named").sum())
    )
    return set(servers.filter(pl.col("named") < pl.col("spans") * ENOUGH_RATIO)["service"])


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

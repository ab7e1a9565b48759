"""Identity, severity and exemplars of findings: what every rule does the same way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from detectors.kit.contract import (
    EXEMPLARS_KEPT,
    SEVERITIES,
    Bar,
    Exemplar,
    FactsView,
    Severity,
)
from detectors.kit.texts import code

MAX_FINDINGS = 500
"""Findings of one rule in one judgement, the most costly ones: subjects may be without number
(tables named by day and tenant), and who would read more?"""


def most_costly(
    rows: pl.DataFrame, subject: Sequence[str], most: int = MAX_FINDINGS
) -> tuple[pl.DataFrame, dict[int, int]]:
    """The rows of the subjects that waste most, and by service (code) how many were left out.

    rows: facts that fire, with `wasted_ns`; `subject` begins with `service`. Ties go by the
    subject itself, so that every process leaves out the same.
    """
    costs = rows.group_by(subject).agg(pl.col("wasted_ns").sum().alias("_cost"))
    if costs.height <= most:
        return rows, {}
    ranked = costs.sort("_cost", *subject, descending=[True, *([False] * len(subject))])
    kept = rows.join(
        ranked.head(most), on=subject, how="semi", nulls_equal=True, maintain_order="left"
    )
    return kept, dict(ranked.slice(most).group_by("service").len().iter_rows())


def fingerprint(rule_code: str, service: str, operation: str, subject: str) -> str:
    """16 hex digits: the same across runs, replicas and versions of a service."""
    return f"{code(chr(0).join((rule_code, service, operation, subject))):016x}"


def subject_of(operation: str, target: str, predicate: str) -> str:
    """`SELECT authors by id`: what is repeated, whatever columns are selected."""
    named = joined(operation, target)
    return f"{named} by {predicate}" if predicate else named


def joined(*parts: str) -> str:
    """The parts that are not empty, with a space between."""
    return " ".join(part for part in parts if part)


def stepped(base: Severity, steps: int) -> Severity:
    """`base` raised (or, when negative, lowered) by so many steps, within bounds."""
    index = SEVERITIES.index(base) + steps
    return SEVERITIES[max(0, min(index, len(SEVERITIES) - 1))]


def share(part_ns: int, whole_ns: int) -> float:
    """Ratio rounded to a thousandth, 0 when there is no whole, never above 1."""
    return round(min(part_ns / whole_ns, 1.0), 3) if whole_ns > 0 else 0.0


def weighted_median(values: Sequence[tuple[int, int]]) -> int:
    """Median of (value, weight) pairs: the smallest value that half of the weight reaches."""
    ordered = sorted(values)
    half = sum(weight for _, weight in ordered) / 2
    reached = 0
    for value, weight in ordered:
        reached += weight
        if reached >= half:
            return value
    return 0


def worst_exemplars(lists: Iterable[Sequence[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """The worst of several rows' exemplars, worst first, one per trace."""
    ranked = sorted(
        (e for rows in lists for e in rows),
        key=lambda e: (-e["score"], e["trace_hi"], e["trace_lo"], e["first_ns"]),
    )
    kept: dict[tuple[int, int], Mapping[str, Any]] = {}
    for exemplar in ranked:
        kept.setdefault((exemplar["trace_hi"], exemplar["trace_lo"]), exemplar)
        if len(kept) == EXEMPLARS_KEPT:
            break
    return list(kept.values())


def as_exemplars(chosen: Iterable[Mapping[str, Any]]) -> tuple[Exemplar, ...]:
    """Facts' exemplars -> hex ids as people paste them into a tracing UI."""
    return tuple(
        Exemplar(
            f"{e['trace_hi']:016x}{e['trace_lo']:016x}",
            tuple(f"{s:016x}" for s in e["span_ids"]),
        )
        for e in chosen
    )


def waterfall(
    facts: FactsView, worst: Mapping[str, Any], service: str, operation: str
) -> tuple[Bar, ...]:
    """Entry, source, helper and repeats of an exemplar, times relative to the entry's start."""
    zero = worst["entry_start_ns"]
    bars = [Bar(0, service, operation, 0, worst["entry_duration_ns"])]
    if worst.get("source") is not None:
        started = worst["source_start_ns"] - zero
        bars.append(
            Bar(1, service, facts.text(worst["source"]), started, worst["source_duration_ns"])
        )
    first = worst["first_ns"] - zero
    extent = worst["last_ns"] - worst["first_ns"]
    depth = 1
    if worst.get("helper") is not None:
        bars.append(Bar(1, service, facts.text(worst["helper"]), first, extent))
        depth = 2
    label = facts.text(worst["label"])
    bars.append(Bar(depth, service, label, first, extent, worst["n"], mark=True))
    return tuple(bars)


def code_location(facts: FactsView, worst: Mapping[str, Any]) -> dict[str, Any]:
    """`code_file` and `code_line` of an exemplar, when its spans carry them."""
    if worst["code_file"] is None:
        return {}
    return {"code_file": facts.text(worst["code_file"]), "code_line": worst["code_line"]}

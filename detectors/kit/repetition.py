"""How the N family judges: facts `repeats` -> groups that are faults, and why others are not.

A rule says which kind of work it looks at and which clauses exempt a group; this turns rows into
findings. The order of clauses is the order in which a person would name them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.contract import (
    Context,
    Evidence,
    FactsView,
    Finding,
    Rule,
    Severity,
    State,
    Verdict,
)
from detectors.kit.knobs import knob
from detectors.kit.pricing import (
    as_exemplars,
    code_location,
    fingerprint,
    joined,
    most_costly,
    share,
    stepped,
    subject_of,
    waterfall,
    weighted_median,
    worst_exemplars,
)
from detectors.kit.sightlines import Looking, blind_spots, verdicts
from detectors.kit.traits import Trait

FAILED_PERCENT_OF_CLASS = (0, 10, 25, 50, 100)
"""Upper bound of each `failed_class` of facts `repeats`."""
EVEN_SPREAD_CLASS = 1
"""Intervals whose longest is at most twice the median are even: a timer, not a loop."""
POLL_INTERVAL_CLASS = 3
"""Median intervals from 500 ms on (`repeats.INTERVAL_MS_EDGES`) can be a poll."""
WAIT_INTERVAL_CLASS = 1
"""From 10 ms on they can be, in an entry …"""
WAIT_IDLE_CLASS = 2
"""… whose own time is at least 80 % (`repeats.IDLE_PERCENT_EDGES`): it sleeps between."""
STEADY_TRACES = 20
"""A count that never varies over so many traces does not grow with data."""


@dataclass(frozen=True, slots=True)
class RepetitionSettings:
    """Knobs that all rules of the family share; each sets its own `min_repeats`."""

    min_repeats: int = knob(5, "repeats in one entry from which on it is a fault", low=2)
    max_failed_percent: int = knob(
        25,
        "a loop of which more fails is left to the F rules; 10, 25, 50 and 100 are told apart",
        unit="%",
        high=100,
    )
    critical_share: float = knob(
        0.5, "critical when the repeats waste this share of the request …", high=1
    )
    critical_wasted_ms: float = knob(100.0, "… and at least this much per request", unit="ms")


@dataclass(frozen=True, slots=True)
class Clause:
    """A reason to leave a group alone: `when` holds for a row of facts `repeats`."""

    reason: str
    when: pl.Expr


def form(trait: Trait) -> pl.Expr:
    """Rows most of whose repeats have `trait`."""
    return (pl.col("form") & int(trait)) != 0


RETRIES = Clause("attempts of one call, all failed but at most the last", pl.col("attempts"))
POLLING = Clause(
    "spread evenly over time: polling",
    # who asks for another thing each time does not wait for one: bodies are read after the span
    (pl.col("values") != "distinct")
    & (pl.col("spread_class") <= EVEN_SPREAD_CLASS)
    & (
        (pl.col("interval_class") >= POLL_INTERVAL_CLASS)
        | (
            (pl.col("interval_class") >= WAIT_INTERVAL_CLASS)
            & (pl.col("idle_class") >= WAIT_IDLE_CLASS)
        )
    ),
)
FAILING = Clause(
    "too many of the repeats fail: a failing loop is a failure first",
    pl.col("failed_percent") > pl.col("max_failed_percent"),
)
PAGING = Clause("pages of one larger read", form(Trait.PAGED))
BATCHES = Clause("batches of many values each", form(Trait.LISTED))
TOGETHER = Clause("sent together in a pipeline or batch", form(Trait.PIPELINE))
SAME_VALUES = Clause("the same values each time", pl.col("values") == "same")


@dataclass(frozen=True, slots=True)
class Repetition:
    """What a rule of the family looks at and what it leaves alone."""

    looking: Looking
    clauses: tuple[Clause, ...]
    lowered_kinds: tuple[str, ...] = ("consumer", "internal")
    """Entries of these kinds (workers, scripts) are a severity lower: nobody waits for them."""


_SUBJECT = ("service", "entry_label", "operation", "target", "predicate", "peer")


def judge_repetition(
    rule: Rule, repetition: Repetition, facts: FactsView, context: Context
) -> Verdict:
    """The verdict of a rule of the N family."""
    rows = facts.table("repeats").filter(pl.col("work").is_in(repetition.looking.works))
    rows = _with_peer(_with_settings(rows, rule, facts, context), facts)
    judged = _decide(rows, repetition.clauses)
    firing, left_out = most_costly(judged.filter(pl.col("fires")), _SUBJECT)
    findings = [
        _finding(rule, repetition, facts, context, group)
        for _, group in firing.group_by(*_SUBJECT, maintain_order=True)
    ]
    merged = _one_per_fingerprint(findings)
    spots = blind_spots(facts, repetition.looking)
    held_back = _held_back(facts, judged, repetition.clauses)
    fired = {f.service for f in merged}
    more = {facts.text(service): n for service, n in left_out.items()}
    return Verdict(tuple(merged), verdicts(rule.code, spots, fired, held_back, more))


def _with_settings(
    rows: pl.DataFrame, rule: Rule, facts: FactsView, context: Context
) -> pl.DataFrame:
    """Adds the knobs in force for each row's service and operation."""
    pairs = rows.select("service", "entry_label").unique().sort("service", "entry_label")
    settings = [
        context.settings(rule, facts.text(service), facts.text(label))
        for service, label in pairs.iter_rows()
    ]
    knobs = pairs.with_columns(
        pl.Series("min_repeats", [s.min_repeats for s in settings], dtype=pl.Int64),
        pl.Series("max_failed_percent", [s.max_failed_percent for s in settings], dtype=pl.Int64),
    )
    return rows.join(knobs, on=["service", "entry_label"], how="left", maintain_order="left")


def _with_peer(rows: pl.DataFrame, facts: FactsView) -> pl.DataFrame:
    """Adds `peer` (String): the service that answers, where any trace shows it, else the host.

    The host stands in the shape of a call, between method and path.
    """
    same = ["service", "entry_label", "shape"]
    rows = rows.with_columns(pl.col("callee").max().over(same))
    subjects = rows.select("callee", "operation", "shape", "target", "work").unique()
    peers = [_peer(facts, row) for row in subjects.iter_rows(named=True)]
    named = subjects.with_columns(pl.Series("peer", peers, dtype=pl.String))
    by = ["callee", "operation", "shape", "target", "work"]
    return rows.join(named, on=by, how="left", nulls_equal=True, maintain_order="left")


def _peer(facts: FactsView, row: Mapping[str, Any]) -> str:
    if row["callee"] is not None:
        return facts.text(row["callee"])
    method, target = facts.text(row["operation"]), facts.text(row["target"])
    shape = facts.text(row["shape"])
    if row["work"] == "call" and shape.startswith(f"{method} ") and shape.endswith(target):
        return shape[len(method) + 1 : len(shape) - len(target)]
    return ""


def _decide(rows: pl.DataFrame, clauses: Sequence[Clause]) -> pl.DataFrame:
    """Adds `reached` (enough repeats), `clause` (index of the first that holds), `fires`."""
    bounds = pl.col("failed_class").replace_strict(
        list(range(len(FAILED_PERCENT_OF_CLASS))), FAILED_PERCENT_OF_CLASS, return_dtype=pl.Int64
    )
    clause = pl.lit(None, dtype=pl.Int32)
    for index, candidate in reversed(list(enumerate(clauses))):
        clause = pl.when(candidate.when).then(pl.lit(index, dtype=pl.Int32)).otherwise(clause)
    return (
        rows.with_columns(bounds.alias("failed_percent"))
        .with_columns(
            (pl.col("n_bin") >= pl.col("min_repeats")).alias("reached"), clause.alias("clause")
        )
        .with_columns((pl.col("reached") & pl.col("clause").is_null()).alias("fires"))
    )


def _finding(
    rule: Rule, repetition: Repetition, facts: FactsView, context: Context, rows: pl.DataFrame
) -> Finding:
    first = rows.row(0, named=True)
    service, operation = facts.text(first["service"]), facts.text(first["entry_label"])
    callee = facts.text(rows["callee"].drop_nulls().min())  # type: ignore[arg-type]
    subject = subject_of(
        joined(facts.text(first["operation"]), first["peer"]),
        facts.text(first["target"]),
        facts.text(first["predicate"]),
    )
    chosen = worst_exemplars(rows["exemplars"].to_list())
    evidence, reason = _evidence(rows)
    details = _details(facts, rows, chosen[0], callee)
    settings = context.settings(rule, service, operation)
    environments = rows["environment"].unique().to_list()
    return Finding(
        code=rule.code,
        rule=rule.name,
        severity=_severity(settings, repetition, rows, details),
        scope=rule.scope,
        evidence=evidence,
        evidence_reason=reason,
        service=service,
        environment=facts.text(environments[0]) or None if len(environments) == 1 else None,
        operation=operation,
        subject=subject,
        occurrences=int(rows["entries"].sum()),
        traces=int(rows["traces"].sum()),
        wasted_ns=int(rows["wasted_ns"].sum()),
        first_seen_ns=int(rows["first_ns"].min()),  # type: ignore[arg-type]
        last_seen_ns=int(rows["last_ns"].max()),  # type: ignore[arg-type]
        fingerprint=fingerprint(rule.code, service, operation, subject),
        exemplars=as_exemplars(chosen),
        waterfall=waterfall(facts, chosen[0], service, operation),
        details=details,
        panes=_panes(rows),
    )


def _evidence(rows: pl.DataFrame) -> tuple[Evidence, str]:
    if rows["values"].is_in(["distinct", "mixed"]).all():
        return "observed", "the repeats carry different values"
    return "inferred", "values are not in the spans; judged by shape and structure"


def _details(
    facts: FactsView, rows: pl.DataFrame, worst: Mapping[str, Any], callee: str
) -> dict[str, Any]:
    """What `explain` words; everything in it is JSON."""
    n_min, n_max = int(rows["n_min"].min()), int(rows["n_max"].max())  # type: ignore[arg-type]
    entries = int(rows["entries"].sum())
    total = _entries_in_all(facts, rows)
    statements = sorted({facts.text(c) for c in rows["shape"].drop_nulls()})
    return {
        "n": weighted_median(list(zip(rows["n_bin"], rows["entries"], strict=True))),
        "n_min": n_min,
        "n_max": n_max,
        "grows_with_data": n_min != n_max,
        "repeats": int(rows["repeats"].sum()),
        "failed": int(rows["failed"].sum()),
        "entries": entries,
        "entries_in_all": max(total, entries),
        "mode": _majority(rows, "mode"),
        "values": _majority(rows, "values"),
        "transaction": _majority(rows, "transaction"),
        "entry_kind": _majority(rows, "entry_kind"),
        "system": facts.text(rows["system"].drop_nulls().min()),  # type: ignore[arg-type]
        "statements": statements[:3],
        "source": facts.text(worst["source"]) or None,
        "helper": facts.text(worst["helper"]) or None,
        "callee": callee or None,
        "callee_operation": facts.text(worst["callee_label"]) or None,
        "wasted_share": share(int(rows["wasted_ns"].sum()), int(rows["entry_ns"].sum())),
        "wasted_ms_per_entry": round(int(rows["wasted_ns"].sum()) / entries / 1e6, 3),
        **code_location(facts, worst),
    }


def _majority(rows: pl.DataFrame, column: str) -> str:
    """The value of `column` that most entries have; ties go to the first in order."""
    counted = rows.group_by(pl.col(column).cast(pl.String)).agg(pl.col("entries").sum())
    return str(counted.sort("entries", column, descending=[True, False]).row(0)[0])


def _entries_in_all(facts: FactsView, rows: pl.DataFrame) -> int:
    entries = facts.table("entries").filter(
        (pl.col("service") == rows["service"][0])
        & (pl.col("entry_label") == rows["entry_label"][0])
    )
    return int(entries["entries"].sum())


def _severity(
    settings: RepetitionSettings,
    repetition: Repetition,
    rows: pl.DataFrame,
    details: Mapping[str, Any],
) -> Severity:
    """Warning; critical by cost; lower for workers and scripts and for a count that is constant."""
    costly = (
        details["wasted_share"] >= settings.critical_share
        and details["wasted_ms_per_entry"] >= settings.critical_wasted_ms
    )
    steps = 1 if costly else 0
    if details["entry_kind"] in repetition.lowered_kinds:
        steps -= 1
    if not details["grows_with_data"] and int(rows["traces"].sum()) >= STEADY_TRACES:
        steps -= 1
    return stepped("warning", steps)


def _panes(rows: pl.DataFrame) -> dict[int, tuple[int, int]]:
    """pane -> (occurrences, wasted ns)."""
    summed = rows.group_by("pane").agg(pl.col("entries").sum(), pl.col("wasted_ns").sum())
    return {p: (n, w) for p, n, w in summed.sort("pane").iter_rows()}


def _one_per_fingerprint(findings: Sequence[Finding]) -> list[Finding]:
    """Subjects that read the same are one finding (a label may be shared by two codes)."""
    kept: dict[str, Finding] = {}
    for finding in findings:
        known = kept.get(finding.fingerprint)
        if known is None or finding.wasted_ns > known.wasted_ns:
            kept[finding.fingerprint] = finding
    return [kept[f] for f in sorted(kept)]


def _held_back(
    facts: FactsView, judged: pl.DataFrame, clauses: Sequence[Clause]
) -> dict[str, tuple[State, str]]:
    """service -> why its largest groups are no findings: exempt before below_threshold."""
    found: dict[str, tuple[State, str]] = {}
    below = judged.filter(~pl.col("reached") & pl.col("clause").is_null())
    for service, n, needed in (
        below.group_by("service").agg(pl.col("n_bin").max(), pl.col("min_repeats").max())
    ).iter_rows():
        found[facts.text(service)] = (
            "below_threshold",
            f"at most {n} repeats in one entry; {needed} are needed",
        )
    exempt = judged.filter(pl.col("reached") & pl.col("clause").is_not_null())
    for (service,), rows in exempt.group_by("service"):
        reasons = [clauses[i].reason for i in sorted(rows["clause"].unique())]
        found[facts.text(service)] = ("exempt", "; ".join(reasons))
    return found

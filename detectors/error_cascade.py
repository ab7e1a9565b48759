"""error-cascade: one error fails requests of services that are not at fault.

What it does
    Finds errors that begin in one place and come out as errors of other services.

        gateway   GET /orders/{id}      502  |========================|
        shop        GET /orders/{id}    503    |====================|
        payment       POST /charge      503      |===|                     here it begins

Why is this bad?
    Every service between shows red, so that whoever is on call looks at the wrong one first; and
    a dependency that some requests could do without takes all of them down.

Example
    Bad, recommendations fail and the page with them:

        page["more"] = recommendations.get(user)

    Better, the page does without:

        try:
            page["more"] = recommendations.get(user, timeout=0.3)
        except (HTTPError, Timeout):
            page["more"] = []

How it decides
    An origin is an error span that no error below it explains. From there the error is followed
    upwards, service by service, as long as the spans above are errors too. Origins are services,
    and also what has no spans of its own: databases, caches, brokers, peers. When errors of one
    origin (service, operation, error type) fail the entries of another service in `min_traces`
    traces, it is a cascade. The blast radius is the share of each operation's requests that failed
    through it; the onset is the first failure of each service. Wasted is the duration of the failed
    requests of the operation that spent most.

Not flagged
    Errors that the caller absorbs, by a retry that succeeds or a fallback: they are named as the
    good example. Errors of one service alone. Consumers of messages: the producer does not fail
    with them. Work that fails after the request it came from has ended. A failure that only the
    direct caller feels, and that F104 judges or that a circuit breaker contains: one cause is one
    finding. Two independent errors in one trace are two origins.

References
    https://sre.google/sre-book/addressing-cascading-failures/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.calling import (
    Held,
    chain_bars,
    environment_of,
    hold,
    hold_samples,
    panes_of,
    sampled_note,
    spots,
    worst_calls,
)
from detectors.kit.cascades import Cascade, cascades
from detectors.kit.contract import (
    Context,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    Severity,
    Verdict,
)
from detectors.kit.knobs import knob
from detectors.kit.outages import Outage, outages
from detectors.kit.pricing import as_exemplars, fingerprint
from detectors.kit.sightlines import verdicts
from detectors.kit.texts import code


class ErrorCascade:
    """F101: errors with one origin fail entries of other services."""

    code = "F101"
    name = "error-cascade"
    scope: Scope = "trace"
    needs = ("origins", "edges", "segments", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings:
        """Knobs of F101."""

        min_traces: int = knob(3, "traces that failed through one origin", low=1)
        critical_share: float = knob(
            0.5, "critical when it fails this share of an operation's requests", high=1
        )
        contained_seconds: float = knob(
            10.0,
            "failures that only the direct caller feels are left to F104 from here on",
            unit="s",
        )
        contained_requests: int = knob(50, "… and from so many requests on", low=1)

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Origins whose errors reach other services."""
        findings: list[Finding] = []
        held: Held = {}
        down = outages(facts)
        for cascade in cascades(facts):
            affected = cascade.affected
            settings = context.settings(self, cascade.origin, cascade.operation)
            traces = _traces(affected)
            if not affected.height:
                for name in cascade.absorbers["named"].unique().sort():
                    hold(held, name, "exempt", f"errors of {cascade.origin} are absorbed")
            elif traces < settings.min_traces:
                reason = f"{traces} traces failed through {cascade.origin}; "
                for name in affected["named"].unique().sort():
                    needed = f"{settings.min_traces} are needed"
                    hold(held, name, "below_threshold", reason + needed)
            elif _contained(cascade, down, settings):
                reason = f"only its caller fails by {cascade.origin}: see F104 for that edge"
                hold(held, str(affected["named"][0]), "exempt", reason)
            else:
                findings.append(_finding(self, facts, settings, cascade, traces))
        fired = {s["service"] for f in findings for s in f.details["affected"]}
        kept = tuple(sorted(findings, key=lambda f: f.fingerprint))
        hold_samples(facts, held, context.settings(self, "", "").min_traces)
        return Verdict(kept, verdicts(self.code, spots(facts), fired, held))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        worst = d["affected"][0]
        others = len(d["affected"]) - 1
        also = f" and {others} more operation{'s' if others > 1 else ''}" if others else ""
        chain = " → ".join(step["service"] for step in d["onset"])
        absorbed = ""
        if d["absorbers"]:
            good = d["absorbers"][0]
            absorbed = (
                f" {good['service']} {good['operation']} absorbed it {good['entries']} times: "
                "do as it does."
            )
        return Explanation(
            f"{finding.subject} of {finding.service} {finding.operation} fails "
            f"{worst['share']:.0%} of {worst['service']} {worst['operation']}{also}",
            f"{finding.traces} traces, depth {d['depth']}; first seen in {chain}; "
            f"{finding.evidence}: {finding.evidence_reason}."
            f"{absorbed}{d['note']}",
            f"Mend {finding.service} first: the errors begin there. Then let its callers do "
            "without it: a fallback (a cached or default answer, the part of the page left out), "
            "a short timeout, and a circuit breaker, so that the next failure stays where it is.",
        )


def _traces(rows: pl.DataFrame) -> int:
    """Traces of the operation that most traces reach: each trace is counted once per operation."""
    if not rows.height:
        return 0
    by = rows.group_by("service", "entry_label").agg(pl.col("traces").sum())
    return int(by["traces"].max())  # type: ignore[arg-type]


def _contained(cascade: Cascade, down: list[Outage], settings: Any) -> bool:
    """Whether only the direct caller fails, over an edge that F104 judges (either way)."""
    rows = cascade.affected
    if rows["hops"].max() != 1 or rows["service"].n_unique() != 1:
        return False
    if int(rows["alone"].sum()) * 2 < int(rows["entries"].sum()):
        return False
    caller, callee = int(rows["service"][0]), code(cascade.origin)
    first, last = int(rows["first_ns"].min()), int(rows["last_ns"].max())  # type: ignore[arg-type]
    for outage in down:
        if (outage.caller, outage.callee) != (caller, callee):
            continue
        lasting = outage.felt_seconds >= settings.contained_seconds
        enough = max(outage.entries, outage.calls) >= settings.contained_requests
        during = outage.first_ns <= last and first <= outage.last_ns
        if lasting and enough and during and outage.wanted:
            return True
    return False


def _finding(rule: Rule, facts: FactsView, settings: Any, cascade: Cascade, traces: int) -> Finding:
    rows = cascade.affected
    affected = _reached(facts, rows)
    chosen = worst_calls(rows.filter(pl.col("hops") == rows["hops"].max()))
    subject = cascade.error_type or "error"
    costly = max(affected, key=lambda a: (a["entry_ns"], a["service"], a["operation"]))
    wasted = rows.filter(
        (pl.col("named") == costly["service"])
        & (pl.col("entry_label") == code(costly["operation"]))
    )
    panes = panes_of(wasted, "entries", "entry_ns")
    return Finding(
        code=rule.code,
        rule=rule.name,
        severity=_severity(affected, settings),
        scope=rule.scope,
        evidence="inferred" if cascade.inferred else "observed",
        evidence_reason="the exception's type names a driver that has no span"
        if cascade.inferred
        else "the spans above the error are errors up to the entries",
        service=cascade.origin,
        environment=environment_of(facts, rows["environment"].to_list()),
        operation=cascade.operation,
        subject=subject,
        occurrences=sum(n for n, _ in panes.values()),
        traces=traces,
        wasted_ns=sum(ns for _, ns in panes.values()),
        first_seen_ns=int(rows["first_ns"].min()),  # type: ignore[arg-type]
        last_seen_ns=int(rows["last_ns"].max()),  # type: ignore[arg-type]
        fingerprint=fingerprint(rule.code, cascade.origin, cascade.operation, subject),
        exemplars=as_exemplars(chosen),
        waterfall=chain_bars(facts, chosen[0]) if chosen else (),
        details={
            "origin": cascade.origin,
            "error_type": cascade.error_type,
            "depth": int(rows["hops"].max()) + cascade.inferred,  # type: ignore[arg-type]
            "affected": [{k: v for k, v in a.items() if k != "entry_ns"} for a in affected],
            "onset": _onset(rows),
            "absorbers": [
                {k: a[k] for k in ("service", "operation", "entries")}
                for a in _reached(facts, cascade.absorbers)
            ],
            "side": str(rows["side"][0]),
            "note": sampled_note(facts),
        },
        panes=panes,
    )


def _severity(affected: list[dict[str, Any]], settings: Any) -> Severity:
    share = max(a["share"] for a in affected)
    return "critical" if share >= settings.critical_share else "warning"


def _reached(facts: FactsView, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Operations reached, the largest share first."""
    segments = facts.table("segments")
    found = []
    for (service, label), group in rows.group_by("service", "entry_label", maintain_order=True):
        here = (pl.col("service") == service) & (pl.col("entry_label") == label)
        entries = int(group["entries"].sum())
        whole = max(int(segments.filter(here)["entries"].sum()), entries)
        found.append(
            {
                "service": str(group["named"][0]),
                "operation": facts.text(label),
                "hops": int(group["hops"].max()),  # type: ignore[arg-type]
                "entries": entries,
                "entries_in_all": whole,
                "share": round(entries / whole, 3),
                "entry_ns": int(group["entry_ns"].sum()),
            }
        )
    return sorted(found, key=lambda a: (-a["share"], -a["hops"], a["service"], a["operation"]))


def _onset(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The first failed entry of each service, in order of time."""
    first = rows.group_by("named").agg(pl.col("first_ns").min()).sort("first_ns", "named")
    zero = int(first["first_ns"][0])
    return [
        {"service": name, "after_ms": round((ns - zero) / 1e6, 3)} for name, ns in first.iter_rows()
    ]


RULE: Rule = ErrorCascade()

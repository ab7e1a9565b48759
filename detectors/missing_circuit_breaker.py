"""missing-circuit-breaker: a service goes on calling what has been down for a while.

What it does
    Finds callers that send every request to a dependency that fails, for as long as it fails.

        12:00:00   shop → payment   40 calls, 40 fail     nothing changes
        12:00:05   shop → payment   41 calls, 41 fail
        …
        12:00:40   shop → payment   39 calls, 39 fail

Why is this bad?
    Each of those calls takes a thread or a connection and the caller's time, only to fail. The
    dependency gets full load at the moment it tries to come back. When it does not fail fast but
    hangs, the caller runs out of workers and fails at everything else too.

Example
    Bad:

        def charge(order):
            return http.post(f"{PAYMENT}/charge", json=order, timeout=10)

    Better, the breaker opens after a few failures and lets one call through now and then:

        breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)

        @breaker
        def charge(order):
            return http.post(f"{PAYMENT}/charge", json=order, timeout=2)

How it decides
    No span says that there is a circuit breaker: it shows by the calls that are not made. Calls of
    one caller to one callee are counted in panes of 5 s. While at least `min_error_ratio` of them
    is lost, for `min_seconds` or longer and over `min_calls` or more, the calls made are held
    against the calls that the caller's own entries would have made: entries × calls per entry
    while all was well. From `min_call_ratio` on, nobody holds back. Lost is: HTTP 5xx, 408 and 429,
    gRPC UNAVAILABLE and DEADLINE_EXCEEDED, a connection that could not be made or broke. Where no
    healthy time was seen, one call per entry is assumed and the finding is inferred. Wasted is the
    time spent waiting for the lost calls.

Not flagged
    Answers that refuse (4xx): the callee is there. Errors that only the span's status tells.
    Callers whose calls drop while the callee is down. Outages shorter or with fewer calls than
    said above. Calls that are no part of an entry: how many were wanted does not show. Callees
    that fail only because something further down does: one cause is one finding, at the edge where
    it begins.

References
    https://martinfowler.com/bliki/CircuitBreaker.html
    Nygard, Release It!, chapter "Stability Patterns"
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.calling import (
    Held,
    call_bars,
    environment_of,
    hold,
    hold_samples,
    sampled_note,
    span_exemplars,
    spots,
    worst_calls,
)
from detectors.kit.contract import (
    Context,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    Verdict,
)
from detectors.kit.knobs import knob
from detectors.kit.outages import Outage, outages, passed_on
from detectors.kit.pricing import fingerprint, stepped
from detectors.kit.sightlines import verdicts


class MissingCircuitBreaker:
    """F104: calls go on while the callee is down."""

    code = "F104"
    name = "missing-circuit-breaker"
    scope: Scope = "local"
    needs = ("edges", "segments", "failures", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings:
        """Knobs of F104."""

        min_error_ratio: float = knob(0.5, "share of the calls that is lost", high=1)
        min_seconds: float = knob(10.0, "for at least so long", unit="s")
        min_calls: int = knob(50, "over at least so many calls", low=1)
        min_call_ratio: float = knob(
            0.5, "calls made ÷ calls wanted, from which on no breaker is at work", high=1
        )
        critical_wait_ms: float = knob(
            1_000.0, "critical when a lost call is waited for this long on average", unit="ms"
        )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Outages during which the caller goes on calling."""
        findings: dict[str, Finding] = {}
        held: Held = {}
        found = outages(facts)
        for outage in found:
            service, callee = facts.text(outage.caller), facts.text(outage.callee)
            settings = context.settings(self, service, facts.text(outage.operations[0]))
            cause = passed_on(outage, found)
            reason = _why_not(outage, settings, callee) or (
                cause and ("exempt", f"{callee} fails for want of {facts.text(cause.callee)}")
            )
            if reason:
                hold(held, service, *reason)
                continue
            finding = _finding(self, facts, settings, outage)
            known = findings.get(finding.fingerprint)
            if known is None or finding.occurrences > known.occurrences:
                findings[finding.fingerprint] = finding
        fired = {f.service for f in findings.values()}
        kept = tuple(findings[f] for f in sorted(findings))
        hold_samples(facts, held, context.settings(self, "", "").min_calls)
        return Verdict(kept, verdicts(self.code, spots(facts), fired, held))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        fallback = (
            " Its requests succeed all the same: there is a fallback, but each still waits for the "
            "failure first."
            if d["fallback"]
            else ""
        )
        return Explanation(
            f"{finding.service} goes on calling {finding.subject} while it is down",
            f"{d['lost']} of {d['calls']} calls were lost over {d['seconds']:g} s and the calls "
            f"stayed at {d['call_ratio']:.0%} of what the requests want; {finding.evidence}: "
            f"{finding.evidence_reason}.{fallback}{d['note']}",
            "Put a circuit breaker around the call: open when half of the calls fail, try one "
            "again after 30 s (pybreaker, resilience4j, Polly, opossum, gobreaker, or the outlier "
            "detection of a service mesh), with a short timeout and a fallback for the time it is "
            "open: a cached answer, a default, or a clear error at once.",
        )


def holds_back(outage: Outage, settings: Any) -> bool:
    """Whether the caller makes clearly fewer calls than its entries want: a breaker is at work."""
    lasting = outage.seconds >= settings.min_seconds and outage.calls >= settings.min_calls
    ratio = outage.call_ratio if lasting else outage.held_ratio
    return outage.wanted > 0 and ratio < settings.min_call_ratio


def _why_not(outage: Outage, settings: Any, callee: str) -> tuple[Any, str] | None:
    if not outage.wanted:
        return (
            "below_threshold",
            f"calls to {callee} belong to no entry: what was wanted is unknown",
        )
    if holds_back(outage, settings):
        return (
            "exempt",
            f"calls to {callee} fell to {outage.held_ratio:.0%} while it was down: a breaker works",
        )
    if outage.seconds < settings.min_seconds or outage.calls < settings.min_calls:
        return (
            "below_threshold",
            (
                f"{callee} was down for {outage.seconds:.1f} s and {outage.calls} calls; "
                f"{settings.min_seconds:g} s and {settings.min_calls} are needed"
            ),
        )
    if outage.error_ratio < settings.min_error_ratio:
        return "below_threshold", f"{outage.error_ratio:.0%} of the calls to {callee} were lost"
    return None


def _finding(rule: Rule, facts: FactsView, settings: Any, outage: Outage) -> Finding:
    service, callee = facts.text(outage.caller), facts.text(outage.callee)
    rows = facts.table("failures").filter(
        (pl.col("caller") == outage.caller)
        & pl.col("label").is_in(outage.labels)
        & pl.col("failed")
        & (pl.col("last_ns") >= outage.first_ns)
        & (pl.col("first_ns") <= outage.last_ns)
    )
    chosen = worst_calls(rows)
    wait_ms = outage.waited_ns / outage.lost / 1e6
    return Finding(
        code=rule.code,
        rule=rule.name,
        severity=stepped("warning", int(wait_ms >= settings.critical_wait_ms)),
        scope=rule.scope,
        evidence="observed" if outage.baseline else "inferred",
        evidence_reason="calls per request are compared with healthy minutes"
        if outage.baseline
        else "no healthy time was seen; one call per request is assumed",
        service=service,
        environment=environment_of(facts, [outage.environment]),
        operation=facts.text(outage.operations[0]),
        subject=callee,
        occurrences=outage.lost,
        traces=int(rows["traces"].sum()) or outage.lost,
        wasted_ns=outage.waited_ns,
        first_seen_ns=outage.first_ns,
        last_seen_ns=outage.last_ns,
        fingerprint=fingerprint(rule.code, service, "", callee),
        exemplars=span_exemplars(chosen, "call_span", "entry_span"),
        waterfall=call_bars(facts, service, callee, chosen),
        details={
            "callee": callee,
            "calls": outage.calls,
            "lost": outage.lost,
            "error_ratio": round(outage.error_ratio, 3),
            "seconds": round(outage.seconds, 1),
            "wanted": round(outage.wanted, 1),
            "call_ratio": round(outage.call_ratio, 2),
            "entries": outage.entries,
            "entries_failed": outage.failed,
            "fallback": outage.failed < outage.entries * 0.5,
            "wait_ms_per_call": round(wait_ms, 3),
            "operations": [facts.text(o) for o in outage.operations][:5],
            "note": sampled_note(facts),
        },
        panes=outage.panes,
    )


RULE: Rule = MissingCircuitBreaker()

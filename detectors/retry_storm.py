"""retry-storm: while a dependency is down, retries send it a multiple of its load.

What it does
    Finds calls that are tried again and again while most of them fail, and multiplies the attempts
    over the services that a request passes.

        gateway → shop       3 attempts for each request
        shop → payment       3 attempts for each of those      9 calls of payment per request
        payment → postgres   3 attempts for each of those     27 statements per request

Why is this bad?
    The load on a dependency is highest when it can bear least: what was a short overload becomes an
    outage that does not end, because the retries keep it down. Each layer that retries multiplies
    what the layers above it send.

Example
    Bad, every layer tries three times:

        session.mount("http://", HTTPAdapter(max_retries=Retry(total=2, status_forcelist=[503])))

    Better, one layer tries again, with growing and jittered gaps and a budget; the others pass the
    failure on:

        @retry(stop=stop_after_attempt(3), wait=wait_random_exponential(max=10))

How it decides
    Attempts of one logical call are failures and at most one success, last, of the same URL (or
    statement) and values in one entry. Attempts inside a library show as several answers of one
    route to one CLIENT span, or as http.request.resend_count or botocore's retry_attempts; a Celery
    run tells which attempt it is, and each run is an entry of its own. Messages that go back to
    their queue are told by the span that sent them, which every delivery has as its parent or its
    link: a message is one logical call then, and each delivery of it an attempt. In panes
    of 5 s in which at least `min_lost_ratio` of the logical calls fails in the end, over at least
    `min_calls`, attempts per (entry, URL) are held against those of the same operation while all is
    well: a loop that always makes three calls amplifies nothing. From `min_amplification` on it is
    a storm. Calls are followed across services, and the product over the layers is reported at the
    last edge, with the share of each layer. Without a healthy baseline the finding is inferred.
    Wasted is the time of all attempts after the first.

Not flagged
    Calls after a success, or several at once: a loop. Retries that help, where most calls succeed
    in the end. Failures without any answering span and without a count say nothing of retries
    inside the library: the rule is blind for those.

References
    https://sre.google/sre-book/handling-overload/ ("Deciding to Retry")
    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detectors.kit.calling import (
    Held,
    environment_of,
    hold,
    hold_samples,
    panes_of,
    sampled_note,
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
    Severity,
    Verdict,
)
from detectors.kit.knobs import knob
from detectors.kit.pricing import as_exemplars, fingerprint, joined, waterfall
from detectors.kit.sightlines import verdicts
from detectors.kit.storms import Edge, Storm, failing_edges, storms


class RetryStorm:
    """F102: attempts multiply while calls fail."""

    code = "F102"
    name = "retry-storm"
    scope: Scope = "trace"
    needs = ("attempts", "deliveries", "edges", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings:
        """Knobs of F102."""

        min_lost_ratio: float = knob(0.5, "share of logical calls that fails in the end", high=1)
        min_calls: int = knob(20, "logical calls in the failing panes", low=1)
        min_amplification: float = knob(2.0, "attempts per healthy attempt at one edge", low=1)
        critical_amplification: float = knob(
            4.0, "critical from here on, over all layers, or when it grows as success falls", low=1
        )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Chains of edges whose attempts multiply."""
        default = context.settings(self, "", "")
        edges = failing_edges(facts, default.min_lost_ratio)
        held: Held = {}
        enough = [e for e in edges if not _too_few(self, facts, context, e, held)]
        found = [
            storm
            for storm in storms(enough, default.min_amplification)
            if storm.last.amplification
            >= _settings(self, facts, context, storm.last).min_amplification
        ]
        findings: dict[str, Finding] = {}
        for storm in found:
            finding = _finding(self, facts, _settings(self, facts, context, storm.last), storm)
            known = findings.get(finding.fingerprint)
            if known is None or finding.occurrences > known.occurrences:
                findings[finding.fingerprint] = finding
        fired = {layer["service"] for f in findings.values() for layer in f.details["layers"]}
        seen = spots(facts, _blind(facts, edges, default))
        kept = tuple(findings[f] for f in sorted(findings))
        hold_samples(facts, held, default.min_calls)
        return Verdict(kept, verdicts(self.code, seen, fired, held))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        layers = ", ".join(f"{x['service']} ×{x['attempts']:g}" for x in d["layers"])
        hidden = " Part of the attempts is made inside the client library." if d["hidden"] else ""
        return Explanation(
            f"{finding.subject} gets {d['amplification']:g} times the load while it fails",
            f"{d['lost']} of {d['logical']} calls failed in the end; layers: {layers}; "
            f"{d['calls_per_trace']:g} calls per trace; {finding.evidence}: "
            f"{finding.evidence_reason}.{hidden}{d['note']}",
            "Retry in one layer only, the one next to the failure or the one nearest to the user, "
            "with exponential backoff and jitter, a retry budget (at most 10 % of the calls) and a "
            "circuit breaker. Let the other layers pass the failure on, and mark what must not be "
            "tried again (`Retry-After`, a non-retryable status).",
        )


def _settings(rule: Rule, facts: FactsView, context: Context, edge: Edge) -> Any:
    return context.settings(rule, facts.text(edge.service), facts.text(edge.operation))


def _too_few(rule: Rule, facts: FactsView, context: Context, edge: Edge, held: Held) -> bool:
    """Whether an edge has too few calls to be judged, or too few attempts; notes why."""
    settings, service = _settings(rule, facts, context, edge), facts.text(edge.service)
    if edge.calls < settings.min_calls:
        hold(
            held,
            service,
            "below_threshold",
            f"{edge.calls} failing calls of {facts.text(edge.label)}; "
            f"{settings.min_calls} are needed",
        )
        return True
    if edge.amplification < settings.min_amplification:
        hold(
            held,
            service,
            "below_threshold",
            f"{edge.amplification:.1f} attempts per call of {facts.text(edge.label)}; "
            f"{settings.min_amplification:g} are needed",
        )
    return False


def _blind(facts: FactsView, edges: list[Edge], settings: Any) -> dict[str, tuple[str, str]]:
    """Services whose failing calls would not show attempts inside the library."""
    return {
        facts.text(e.service): (
            (
                f"most failed calls of {facts.text(e.label)} have no answering span: attempts "
                "inside the client library would not show"
            ),
            "instrument the callee, or record http.request.resend_count on CLIENT spans",
        )
        for e in edges
        if e.amplification < settings.min_amplification and e.unseen * 2 > e.attempts
    }


def _finding(rule: Rule, facts: FactsView, settings: Any, storm: Storm) -> Finding:
    last = storm.last
    service, operation = facts.text(last.service), facts.text(last.operation)
    target = facts.text(last.callee_operation) or facts.text(last.label)
    subject = joined(facts.text(last.callee), target)
    inferred = any(e.healthy is None for e in storm.layers)
    chosen = worst_calls(last.rows)
    panes = panes_of(last.rows, "attempts", "extra_ns")
    return Finding(
        code=rule.code,
        rule=rule.name,
        severity=_severity(storm, settings),
        scope=rule.scope,
        evidence="inferred" if inferred else "observed",
        evidence_reason="no healthy calls of the operation were seen; one attempt is assumed"
        if inferred
        else "attempts are compared with healthy calls of the same operation",
        service=service,
        environment=environment_of(facts, last.rows["environment"].to_list()),
        operation=operation,
        subject=subject,
        occurrences=last.attempts,
        traces=max(last.traces, 1),
        wasted_ns=sum(ns for _, ns in panes.values()),
        first_seen_ns=int(last.rows["first_ns"].min()),  # type: ignore[arg-type]
        last_seen_ns=int(last.rows["last_ns"].max()),  # type: ignore[arg-type]
        fingerprint=fingerprint(rule.code, service, operation, subject),
        exemplars=as_exemplars(chosen),
        waterfall=waterfall(facts, chosen[0], service, operation) if chosen else (),
        details={
            "amplification": round(storm.amplification, 1),
            "layers": [_layer(facts, storm, edge) for edge in storm.layers],
            "calls_per_trace": round(last.attempts / max(last.traces, 1), 1),
            "logical": last.logical,
            "lost": last.lost,
            "attempts": last.attempts,
            "hidden": sum(e.hidden for e in storm.layers),
            "growing": any(e.growing for e in storm.layers),
            "healthy_attempts": round(last.healthy, 2) if last.healthy else None,
            "note": sampled_note(facts),
        },
        panes=panes,
    )


def _layer(facts: FactsView, storm: Storm, edge: Edge) -> dict[str, Any]:
    """One layer: its attempts, and its share of the whole as the load that it alone explains."""
    whole = storm.amplification - 1.0
    without = storm.amplification / max(edge.amplification, 1.0)
    return {
        "service": facts.text(edge.service),
        "operation": facts.text(edge.operation),
        "calls": facts.text(edge.label),
        "attempts": round(max(edge.amplification, 1.0), 1),
        "hidden": edge.hidden > 0,
        "share": round((storm.amplification - without) / whole, 3) if whole else 0.0,
    }


def _severity(storm: Storm, settings: Any) -> Severity:
    worst = storm.amplification >= settings.critical_amplification
    return "critical" if worst or any(e.growing for e in storm.layers) else "warning"


RULE: Rule = RetryStorm()

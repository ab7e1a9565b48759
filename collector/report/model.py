"""What a check found, as all formatters take it, and what it means for the exit code."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from detectors.kit.contract import SEVERITIES, Finding, Rule, Severity, Visibility
from detectors.kit.sightlines import Looking

if TYPE_CHECKING:
    from collections.abc import Mapping

CLEAN, FOUND, FAILED, NOTHING_USABLE = 0, 1, 2, 3
"""Exit codes of `check`."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was read. Counts of spans; reasons -> counts where something was left out or mended.

    sampled: spans that say that they stand for others, which thins every count.
    """

    spans: int = 0
    traces: int = 0
    services: tuple[str, ...] = ()
    span_errors: int = 0
    sampled: int = 0
    repaired: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    overflow: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """Findings by severity and cost, visibility by rule, and what went wrong on the way.

    muted: findings that the baseline accepts. errors: a sentence for each file that is broken.
    failed: rules that raised, with why.
    """

    version: str
    rules: tuple[Rule, ...]
    findings: tuple[Finding, ...]
    visibility: tuple[Visibility, ...]
    summary: Summary
    muted: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    def rule(self, code: str) -> Rule:
        """The rule of a finding."""
        return next(r for r in self.rules if r.code == code)


def usable(row: Visibility) -> bool:
    """Whether the rule could look at the service: an exemption by a clause counts, absence not."""
    return row.state in ("seen", "below_threshold") or (row.state == "exempt" and not row.reveal)


def category_of(rule: Rule) -> str | None:
    """The category of spans that a rule mainly looks at; None when it does not say.

    The first that it names: a rule about caches that also reads DynamoDB, which is a database to
    OpenTelemetry, does not vouch for the databases.
    """
    repetition = getattr(rule, "repetition", None)
    looking = getattr(rule, "looking", getattr(repetition, "looking", None))
    return looking.categories[0] if isinstance(looking, Looking) else None


def blind_categories(report: Report) -> tuple[str, ...]:
    """Categories that are there, but that no rule looking at them could judge in any service."""
    looks = {r.code: category_of(r) for r in report.rules}
    blind = {looks.get(row.code) for row in report.visibility if row.state == "blind"}
    seen = {looks.get(row.code) for row in report.visibility if usable(row)}
    seen |= {looks.get(f.code) for f in (*report.findings, *report.muted)}
    return tuple(sorted(c for c in blind - seen if c is not None))


def unjudged(report: Report) -> str:
    """Why silence would not be green, in a sentence; empty when it is."""
    if not report.summary.spans:
        return "nothing to judge: there are no spans"
    found = report.findings or report.muted
    if not found and not any(usable(row) for row in report.visibility):
        return "nothing to judge: no rule could see what it looks at"
    categories = blind_categories(report)
    return f"not green: every rule about {', '.join(categories)} is blind" if categories else ""


def exit_code(report: Report, fail_on: Severity) -> int:
    """0 clean, 1 findings at or above `fail_on`, 2 something broke, 3 nothing usable."""
    if report.errors or report.failed:
        return FAILED
    worst = max((SEVERITIES.index(f.severity) for f in report.findings), default=-1)
    if worst >= SEVERITIES.index(fail_on):
        return FOUND
    return NOTHING_USABLE if unjudged(report) else CLEAN


def timestamp(ns: int) -> str:
    """RFC 3339 in UTC, milliseconds."""
    moment = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns // 1_000_000 % 1_000:03d}Z"


def as_data(report: Report) -> dict[str, Any]:
    """The report as plain data: the interface that `docs/check.schema.json` describes."""
    summary = report.summary
    return {
        "version": report.version,
        "findings": [finding_data(f) for f in report.findings],
        "visibility": [
            {
                "code": row.code,
                "service": row.service,
                "state": row.state,
                "reason": row.reason,
                "reveal": row.reveal,
            }
            for row in report.visibility
        ],
        "summary": {
            "spans": summary.spans,
            "traces": summary.traces,
            "services": len(summary.services),
            "span_errors": summary.span_errors,
            "sampled": summary.sampled,
            "repaired": dict(sorted(summary.repaired.items())),
            "rejected": dict(sorted(summary.rejected.items())),
            "overflow": dict(sorted(summary.overflow.items())),
            "muted": len(report.muted),
            "errors": list(report.errors),
        },
    }


def finding_data(finding: Finding) -> dict[str, Any]:
    """One finding as plain data."""
    return {
        "code": finding.code,
        "rule": finding.rule,
        "severity": finding.severity,
        "scope": finding.scope,
        "evidence": finding.evidence,
        "service": finding.service,
        "operation": finding.operation,
        "subject": finding.subject,
        "occurrences": finding.occurrences,
        "traces": finding.traces,
        "wasted_ms": round(finding.wasted_ns / 1_000_000, 3),
        "first_seen": timestamp(finding.first_seen_ns),
        "last_seen": timestamp(finding.last_seen_ns),
        "fingerprint": finding.fingerprint,
        "exemplars": [
            {"trace_id": e.trace_id, "span_ids": list(e.span_ids)} for e in finding.exemplars
        ],
        "details": dict(finding.details),
    }

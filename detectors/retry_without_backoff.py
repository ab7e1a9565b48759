"""retry-without-backoff: failed calls are tried again at once, or all at the same time.

What it does
    Finds calls whose attempts follow each other in gaps that do not grow.

        POST /pay                        |==========================|
          POST payment /charge  fails      |==|
          POST payment /charge  fails         |==|                      2 ms later
          POST payment /charge  fails            |==|                   2 ms later

Why is this bad?
    What failed a moment ago mostly still fails: the attempts are spent before the dependency had
    time to recover, and come as a burst. When all callers wait the same time, they come back at the
    same moment.

Example
    Bad:

        for _ in range(3):
            if (answer := post(url)).ok:
                return answer

    Better, growing gaps with jitter:

        @retry(stop=stop_after_attempt(3), wait=wait_random_exponential(multiplier=0.2, max=5))
        def charge(): ...

How it decides
    A gap is from the end of an attempt to the start of the next, of calls that make clearly more
    attempts than while all is well. Over at least `min_retries` retries of one call: gaps that do
    not grow (the median ratio of a gap to the one before is below `min_growth`, or most are so
    short that growth means nothing) and are short (the median is below `short_ms`), or are equal
    over all callers (no jitter). Attempts inside a client library are measured between their
    answers. Wasted is 0: the fix saves load, not time.

Not flagged
    Gaps that grow. Long gaps that differ. Loops: calls after a success or at once.

References
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.bins import gap_bin_ns, growth
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
    State,
    Verdict,
)
from detectors.kit.edges import names_of_calls
from detectors.kit.knobs import knob
from detectors.kit.pricing import (
    as_exemplars,
    fingerprint,
    joined,
    stepped,
    waterfall,
    weighted_median,
)
from detectors.kit.sightlines import verdicts
from detectors.kit.storms import EDGE, baseline

_NOISE_NS = 10_000_000
"""Gaps with a median below this are no wait at all, whatever their ratios."""
_REAL_RETRIES = 0.5
"""Of what follows a failure, the share beyond the healthy calls: less, and it is a loop."""


class RetryWithoutBackoff:
    """F103: gaps between attempts that do not grow."""

    code = "F103"
    name = "retry-without-backoff"
    scope: Scope = "local"
    needs = ("attempts", "edges", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings:
        """Knobs of F103."""

        min_retries: int = knob(20, "retries of one call", low=1)
        min_growth: float = knob(1.2, "median ratio of a gap to the one before: below, it is flat")
        short_ms: float = knob(100.0, "a median gap below this is short", unit="ms")

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Calls whose retries are flat and short, or flat and equal."""
        rows = facts.table("attempts")
        findings: list[Finding] = []
        held: Held = {}
        for _, gaps in rows.filter(pl.col("gap_bin").is_not_null()).group_by(
            *EDGE, maintain_order=True
        ):
            same = pl.all_horizontal(pl.col(c) == gaps[c][0] for c in EDGE)
            groups = rows.filter(same & pl.col("gap_bin").is_null()).sort("pane", "healthy", "peer")
            service = facts.text(gaps["service"][0])
            settings = context.settings(self, service, facts.text(gaps["entry_label"][0]))
            measured = _measure(gaps, groups)
            reason = _why_not(measured, settings, facts.text(gaps["label"][0]))
            if reason:
                hold(held, service, *reason)
            else:
                findings.append(_finding(self, facts, settings, measured, gaps, groups))
        fired = {f.service for f in findings}
        unique = {f.fingerprint: f for f in sorted(findings, key=lambda f: f.occurrences)}
        kept = tuple(unique[f] for f in sorted(unique))
        hold_samples(facts, held, context.settings(self, "", "").min_retries)
        return Verdict(kept, verdicts(self.code, spots(facts), fired, held))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        equal = " All callers wait the same time." if d["equal"] else ""
        return Explanation(
            f"{finding.subject} is tried again after {d['median_gap_ms']:g} ms, without backoff",
            f"{finding.occurrences} retries in {finding.operation}, gaps grow by a factor of "
            f"{d['growth']:g}; {finding.evidence}: {finding.evidence_reason}.{equal}{d['note']}",
            "Wait longer before each attempt and differently in each caller: exponential backoff "
            "with full jitter (tenacity `wait_random_exponential`, urllib3 `backoff_factor` with "
            "`backoff_jitter`, resilience4j `ofExponentialRandomBackoff`), few attempts, and none "
            "where the answer says not to (`Retry-After`).",
        )


def _measure(gaps: pl.DataFrame, groups: pl.DataFrame) -> dict[str, Any]:
    """Retries, median gap and growth, how far gaps differ, attempts beyond the healthy ones."""
    counted = [(int(b), int(n)) for b, n in gaps.select("gap_bin", "retries").iter_rows()]
    grown = gaps.filter(pl.col("growth_bin").is_not_null())
    ratios = [(int(b), int(n)) for b, n in grown.select("growth_bin", "retries").iter_rows()]
    fine, failing = groups.filter("healthy"), groups.filter(~pl.col("healthy"))
    normal = baseline(groups, hidden=False)
    expected = max(int(failing["logical"].sum()), int(failing["groups"].sum()) * (normal or 1.0))
    again = max(int(failing["attempts"].sum()) - expected, 0) + int(fine["hidden"].sum())
    return {
        "retries": int(gaps["retries"].sum()),
        "gap_ns": gap_bin_ns(weighted_median(counted)),
        "growth": growth(weighted_median(ratios)) if ratios else 1.0,
        "spread": _percentile(counted, 0.9) - _percentile(counted, 0.1),
        "again": again,
        "per_call": 1 + again / max(expected, 1),
        "baseline": normal,
    }


def _percentile(counted: list[tuple[int, int]], share: float) -> int:
    reached, whole = 0, sum(n for _, n in counted)
    for value, n in sorted(counted):
        reached += n
        if reached >= whole * share:
            return value
    return 0


def _why_not(m: dict[str, Any], settings: Any, label: str) -> tuple[State, str] | None:
    if m["retries"] < settings.min_retries:
        needed = f"{settings.min_retries} are needed"
        return "below_threshold", f"{m['retries']} retries of {label}; {needed}"
    if m["again"] < m["retries"] * _REAL_RETRIES:
        return "exempt", f"{label}: as many calls as while all is well, a loop"
    if m["gap_ns"] >= _NOISE_NS and m["growth"] >= settings.min_growth:
        return "exempt", f"gaps before {label} grow {m['growth']:.1f} times: backoff"
    if m["gap_ns"] >= settings.short_ms * 1e6 and not _equal(m):
        return "exempt", f"gaps before {label} are long and differ: jitter"
    return None


def _equal(m: dict[str, Any]) -> bool:
    """Nine of ten gaps within two neighbouring quarter octaves."""
    return bool(m["spread"] <= 1)


def _finding(  # noqa: PLR0913 - what was measured, and of what
    rule: Rule,
    facts: FactsView,
    settings: Any,
    m: dict[str, Any],
    gaps: pl.DataFrame,
    groups: pl.DataFrame,
) -> Finding:
    service, operation = (facts.text(gaps[c][0]) for c in ("service", "entry_label"))
    callee, target = _called(facts, gaps, groups)
    subject = joined(callee, target)
    chosen = worst_calls(groups)
    panes = {p: (n, 0) for p, (n, _) in panes_of(gaps, "retries", "retries").items()}
    return Finding(
        code=rule.code,
        rule=rule.name,
        severity=stepped("warning", 0 if m["gap_ns"] < settings.short_ms * 1e6 else -1),
        scope=rule.scope,
        evidence="observed" if m["baseline"] else "inferred",
        evidence_reason="attempts are compared with healthy calls of the same operation"
        if m["baseline"]
        else "no healthy calls of the operation were seen; failures in a row count as attempts",
        service=service,
        environment=environment_of(facts, gaps["environment"].to_list()),
        operation=operation,
        subject=subject,
        occurrences=m["retries"],
        traces=max(int(groups["traces"].sum()), 1),
        wasted_ns=0,
        first_seen_ns=int(gaps["first_ns"].min()),  # type: ignore[arg-type]
        last_seen_ns=int(gaps["last_ns"].max()),  # type: ignore[arg-type]
        fingerprint=fingerprint(rule.code, service, operation, subject),
        exemplars=as_exemplars(chosen),
        waterfall=waterfall(facts, chosen[0], service, operation) if chosen else (),
        details={
            "retries": m["retries"],
            "median_gap_ms": round(m["gap_ns"] / 1e6, 1),
            "growth": round(m["growth"], 2),
            "equal": _equal(m),
            "attempts_per_call": round(m["per_call"], 1),
            "hidden": int(groups["hidden"].sum()) > 0,
            "note": sampled_note(facts),
        },
        panes=panes,
    )


def _called(facts: FactsView, gaps: pl.DataFrame, groups: pl.DataFrame) -> tuple[str, str]:
    """Best names of the callee and its operation."""
    known = names_of_calls(facts.table("edges")).filter(
        (pl.col("caller") == gaps["service"][0]) & (pl.col("label") == gaps["label"][0])
    )
    if known.height:
        callee, operation = known.select("known_callee", "known_operation").row(0)
        return facts.text(callee), facts.text(operation)
    peers = groups["peer"].drop_nulls().sort()
    return facts.text(peers[0] if len(peers) else None), facts.text(gaps["label"][0])


RULE: Rule = RetryWithoutBackoff()

"""abandoned-work: a service goes on working for a caller that has given up.

What it does
    Finds calls whose caller stopped waiting (time-out, cancelled, connection broken) while the
    callee went on.

        GET /report                     |==========|  times out after 1 s
          GET stats /year                |=========|
            GET /year                     |==================================|  works on for 3 s

Why is this bad?
    The work is paid for and nobody gets it. When callers try again, the callee does everything
    twice or thrice at the moment it is slowest already.

Example
    Bad, the callee does not know how long anybody waits:

        httpx.get(f"{STATS}/year", timeout=1)

    Better, the deadline goes along and the callee stops at it:

        stub.Year(request, timeout=1)                      # gRPC sends the deadline
        if context.time_remaining() < 0.05: return         # and the callee asks for it

How it decides
    A CLIENT span that failed without an answer (no HTTP status; gRPC cancelled or deadline
    exceeded) whose SERVER child ends later by more than `skew_ms`, which allows for clocks that
    differ, in at least `min_traces` traces. The caller's time-out is the median time that it
    waited; where that is shorter than the callee's own 95th percentile, deadlines are inverted, and
    the finding says so. Wasted is what the callee worked beyond the caller's end.

Not flagged
    Calls that were answered: a server may finish its span after the answer is sent. Messages:
    nobody waits for them. Overruns within the allowance for clocks.

References
    https://grpc.io/docs/guides/deadlines/
    https://sre.google/sre-book/addressing-cascading-failures/ ("Deadline Propagation")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.bins import duration_bin_bounds_ns, fine_bin_ns
from detectors.kit.calling import (
    Held,
    call_bars,
    environment_of,
    hold,
    hold_samples,
    panes_of,
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
from detectors.kit.pricing import fingerprint, joined, stepped, weighted_median
from detectors.kit.sightlines import verdicts

_SUBJECT = ("caller", "entry_label", "callee", "answer")


class AbandonedWork:
    """F105: the callee works on after the caller gave up."""

    code = "F105"
    name = "abandoned-work"
    scope: Scope = "trace"
    needs = ("failures", "entries", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings:
        """Knobs of F105."""

        min_traces: int = knob(3, "traces in which the callee works on", low=1)
        skew_ms: float = knob(100.0, "clocks of different hosts may differ by this much", unit="ms")
        critical_overrun_ms: float = knob(
            10_000.0, "critical when the callee works on for this long in the median", unit="ms"
        )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Calls that are given up while the callee works on."""
        rows = facts.table("failures").filter(
            pl.col("overrun_bin").is_not_null() & (pl.col("category") != "messaging")
        )
        findings: list[Finding] = []
        held: Held = {}
        for _, group in rows.group_by(*_SUBJECT, maintain_order=True):
            service, operation = facts.text(group["caller"][0]), facts.text(group["entry_label"][0])
            settings = context.settings(self, service, operation)
            over = group.filter(pl.col("overrun_bin") >= _bin_of(settings.skew_ms))
            traces = int(over["traces"].sum())
            if traces >= settings.min_traces:
                findings.append(_finding(self, facts, settings, over))
            elif traces:
                reason = f"{traces} traces in which {facts.text(group['callee'][0])} works on; "
                needed = f"{settings.min_traces} are needed"
                hold(held, service, "below_threshold", reason + needed)
            else:
                hold(held, service, "exempt", f"overruns within {settings.skew_ms:g} ms: clocks")
        fired = {f.service for f in findings}
        kept = tuple(sorted(findings, key=lambda f: f.fingerprint))
        hold_samples(facts, held, context.settings(self, "", "").min_traces)
        return Verdict(kept, verdicts(self.code, spots(facts), fired, held))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        inverted = (
            f" The caller waits {d['timeout_ms']:g} ms, but one in twenty of the callee's requests "
            f"takes {d['callee_p95_ms']:g} ms or more: the time-out is too short for it."
            if d["deadline_inverted"]
            else ""
        )
        return Explanation(
            f"{d['callee']} works on for {d['overrun_ms']:g} ms after {finding.service} gave up",
            f"In {finding.traces} traces of {finding.operation}, the caller gave up after "
            f"{d['timeout_ms']:g} ms; {finding.evidence}: {finding.evidence_reason}.{inverted}"
            f"{d['note']}",
            "Send the deadline along and stop at it: gRPC deadlines, a header such as "
            "`X-Request-Deadline`, cancellation on disconnect, a statement timeout in the database "
            "below the caller's time-out. Give callers longer time-outs than their callees.",
        )


def _bin_of(skew_ms: float) -> int:
    """The smallest `fine_bin` that lies above `skew_ms` as a whole."""
    index = 0
    while fine_bin_ns(index) < skew_ms * 1e6:
        index += 1
    return index


def _finding(rule: Rule, facts: FactsView, settings: Any, rows: pl.DataFrame) -> Finding:
    service, operation = facts.text(rows["caller"][0]), facts.text(rows["entry_label"][0])
    callee, answer = facts.text(rows["callee"][0]), facts.text(rows["answer"][0])
    subject = joined(callee, answer)
    chosen = worst_calls(rows)
    counted = rows.select("bin", "overrun_bin", "calls").iter_rows()
    weights = [(waited, over, calls) for waited, over, calls in counted]
    timeout_ns = fine_bin_ns(weighted_median([(w, n) for w, _, n in weights]) + 0.5)
    overrun_ns = fine_bin_ns(weighted_median([(o, n) for _, o, n in weights]) + 0.5)
    p95_ns = _p95_ns(facts, rows["callee"][0], rows["answer"][0])
    panes = panes_of(rows, "calls", "overrun_ns")
    return Finding(
        code=rule.code,
        rule=rule.name,
        severity=stepped("warning", int(overrun_ns >= settings.critical_overrun_ms * 1e6)),
        scope=rule.scope,
        evidence="observed",
        evidence_reason="the answering span ends after its caller's, which heard nothing",
        service=service,
        environment=environment_of(facts, rows["environment"].to_list()),
        operation=operation,
        subject=subject,
        occurrences=int(rows["calls"].sum()),
        traces=int(rows["traces"].sum()),
        wasted_ns=int(rows["overrun_ns"].sum()),
        first_seen_ns=int(rows["first_ns"].min()),  # type: ignore[arg-type]
        last_seen_ns=int(rows["last_ns"].max()),  # type: ignore[arg-type]
        fingerprint=fingerprint(rule.code, service, operation, subject),
        exemplars=span_exemplars(chosen, "answer_span", "call_span", "entry_span"),
        waterfall=call_bars(facts, service, callee, chosen, answer_marked=True),
        details={
            "callee": callee,
            "timeout_ms": round(timeout_ns / 1e6, 1),
            "overrun_ms": round(overrun_ns / 1e6, 1),
            "callee_p95_ms": round(p95_ns / 1e6, 1),
            "deadline_inverted": p95_ns > timeout_ns,
            "note": sampled_note(facts),
        },
        panes=panes,
    )


def _p95_ns(facts: FactsView, callee: int, operation: int | None) -> int:
    """Lower bound of the 95th percentile of the callee's operation; 0 when it is not known."""
    entries = facts.table("entries").filter(
        (pl.col("service") == callee) & (pl.col("entry_label") == operation)
    )
    whole, reached = int(entries["entries"].sum()), 0
    by_bin = entries.group_by("bin").agg(pl.col("entries").sum()).sort("bin")
    for index, count in by_bin.iter_rows():
        reached += count
        if reached >= whole * 0.95:
            return duration_bin_bounds_ns(index)[0]
    return 0


RULE: Rule = AbandonedWork()

"""latency-cascade: one place became slow, and everybody who waits for it with it.

What it does
    Finds the place where requests became slower: a service's own work, or the way between two.

        GET /orders        |=============================|   slow: it waits
          GET shop /cart     |=========================|     slow: it waits
            shop → price       |~~~~~~~~~~~~~|==|            the wire: 200 ms more than before

Why is this bad?
    Every service above gets slower by the same time, so that all their latency alerts fire and all
    but one name the wrong place. Delay between two services is in no service's own time and shows
    on no dashboard of services at all.

Example
    Bad, one slow pricing call holds the page:

        prices = pricing.quote(cart)                    # now 400 ms, was 20

    Better, it is bounded, and the page does with less:

        try:
            prices = pricing.quote(cart, timeout=0.1)
        except Timeout:
            prices = list_prices(cart)

How it decides
    A later part of the judged time is held against all that came before. Of each operation the own
    time (duration less the union of its calls out) is compared, of each edge the gap (the caller's
    time less the answer's), both as mean logarithms, less two standard errors. The suspect whose
    clues weigh most is the origin, if its own time or gap rose to `min_factor` times or more, by
    `min_rise_ms`, over `min_samples` on both sides and `min_seconds` each, and an operation that
    waits for it became slower too, and `min_share` of that or more because of it: on a busy host
    everything becomes slower, and no place explains most of it. Wasted is the time beyond what the
    same calls took before.

Not flagged
    Services that only wait: their waiting is neither own time nor a gap. Operations that nobody
    waits for. Own time that rises while most calls of the service to somebody fail: attempts and
    fallbacks are work too, and F101 and F102 name their cause. New operations, and drift below the
    factor. Children that run on after their parent: they are cut to it.

References
    https://sre.google/sre-book/monitoring-distributed-systems/
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.bins import LOG_SCALE
from detectors.kit.calling import (
    Held,
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
    Bar,
    Context,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    Verdict,
)
from detectors.kit.edges import resolved_edges
from detectors.kit.knobs import knob
from detectors.kit.pricing import fingerprint
from detectors.kit.rootcause import Clue, Diagnosis, Suspect, diagnose, excess
from detectors.kit.shifts import Window, log_shifts
from detectors.kit.sightlines import verdicts
from detectors.kit.texts import code

_PANE_NS = 5_000_000_000
_SPLITS = (0.75, 0.5, 0.25)
"""Shares of the judged time after which the abnormal part may begin: the latest that holds wins."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An origin, the clue that names it, who waits for it, and the windows that show it."""

    suspect: Suspect
    clue: Clue
    waiters: pl.DataFrame
    diagnosis: Diagnosis
    abnormal: Window


class LatencyCascade:
    """F107: own time or a gap rises, and callers wait for it."""

    code = "F107"
    name = "latency-cascade"
    scope: Scope = "trace"
    needs = ("segments", "edges", "origins", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings:
        """Knobs of F107."""

        min_factor: float = knob(2.0, "own time or gap ÷ that of before", low=1)
        min_rise_ms: float = knob(10.0, "mean time more per request or call", unit="ms")
        min_samples: int = knob(20, "requests or calls on each side", low=2)
        min_seconds: float = knob(20.0, "length of each side", unit="s")
        waiting_factor: float = knob(
            1.2, "duration ÷ that of before, of an operation that waits", low=1
        )
        min_share: float = knob(
            0.5, "of the time by which the operation that waits became slower", high=1
        )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """The heaviest origin of the latest window that shows one."""
        settings = context.settings(self, "", "")
        held: Held = {}
        seen = spots(facts)
        for normal, abnormal in _windows(facts, settings):
            found = _origin(facts, settings, normal, abnormal)
            if found is not None:
                finding = _finding(self, facts, found, normal)
                return Verdict((finding,), verdicts(self.code, seen, {finding.service}, held))
        if not _windows(facts, settings):
            for service in seen:
                reason = f"fewer than {2 * settings.min_seconds:g} s of traffic to compare"
                hold(held, service, "below_threshold", reason)
        hold_samples(facts, held, 2 * settings.min_samples)
        return Verdict((), verdicts(self.code, seen, set(), held))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        place = (
            f"{finding.subject}: the way between them"
            if d["kind"] == "edge" and d["callee_instrumented"]
            else f"{finding.subject}"
        )
        apart = (
            ""
            if d["callee_instrumented"]
            else " The callee has no spans of its own: its work and the wire cannot be told apart."
        )
        return Explanation(
            f"{place} became {d['factor']:g} times slower",
            f"{d['rise_ms']:g} ms more per {'call' if d['kind'] == 'edge' else 'request'}; "
            f"{len(d['waiters'])} operations wait for it, first {d['waiters'][0]}; "
            f"{d['requests_before']} requests before and {d['requests_after']} after stand behind "
            f"it; {finding.evidence}: {finding.evidence_reason}.{apart}{d['note']}",
            "Look there and not at the services that wait. For an edge: network, DNS, proxies, "
            "connection pools and queues in front of the callee. For own work: the last deploy, "
            "CPU limits, garbage collection, locks. Bound the waiting with a time-out and a "
            "fallback, so that one slow place stays one.",
        )


def _windows(facts: FactsView, settings: Any) -> list[tuple[Window, Window]]:
    """Normal and abnormal windows to compare, the latest first; none when there is too little."""
    panes = facts.table("segments")["pane"]
    if not len(panes):
        return []
    first, last = int(panes.min()), int(panes.max()) + _PANE_NS  # type: ignore[arg-type]
    found = []
    for share in _SPLITS:
        split = first + int((last - first) * share) // _PANE_NS * _PANE_NS
        if min(split - first, last - split) >= settings.min_seconds * 1e9:
            found.append((Window(first, split), Window(split, last)))
    return found


def _origin(facts: FactsView, settings: Any, normal: Window, abnormal: Window) -> _Found | None:
    if not _may_have_risen(facts, settings, normal, abnormal):
        return None
    diagnosis = diagnose(facts, normal, abnormal)
    for suspect in diagnosis.suspects:
        clue = next((c for c in suspect.clues if c.kind in ("own", "edge")), None)
        if clue is None or clue is not suspect.clues[0]:
            continue
        rise_ms = clue.excess_ns / max(clue.samples, 1) / 1e6
        if clue.samples < settings.min_samples or rise_ms < settings.min_rise_ms:
            continue
        if clue.factor < settings.min_factor:
            continue
        if clue.kind == "own" and _calls_fail(facts, suspect.service, abnormal):
            continue
        waiters = _waiters(facts, settings, suspect, clue, (normal, abnormal))
        if waiters.height:
            return _Found(suspect, clue, waiters, diagnosis, abnormal)
    return None


def _may_have_risen(facts: FactsView, settings: Any, normal: Window, abnormal: Window) -> bool:
    """Whether any mean is `min_factor` higher. Mostly none is, and nothing has to be weighed."""
    by_operation, by_edge = ["service", "entry_label"], ["caller", "callee", "operation"]
    looked_at = (
        (facts.table("segments"), by_operation, "entries", "own_log"),
        (resolved_edges(facts), by_edge, "spans", "gap_log"),
    )
    for rows, by, n, total in looked_at:
        mean = (pl.col(total).sum() / pl.col(n).sum()).alias("mean")
        before, after = (w.of(rows).group_by(by).agg(mean) for w in (normal, abnormal))
        both = before.join(after, on=by, nulls_equal=True)
        risen = both.select((pl.col("mean_right") - pl.col("mean")).max()).item()
        if risen is not None and risen >= math.log(settings.min_factor) * LOG_SCALE:
            return True
    return False


def _calls_fail(facts: FactsView, service: str, window: Window) -> bool:
    """Whether most calls of the service to any one callee fail."""
    calls = window.of(facts.table("edges")).filter(pl.col("caller") == code(service))
    failed = pl.col("calls").filter("failed").sum()
    by_callee = calls.group_by("callee").agg(pl.col("calls").sum(), failed.alias("lost"))
    return by_callee.filter(pl.col("lost") * 2 >= pl.col("calls")).height > 0


def _waiters(
    facts: FactsView,
    settings: Any,
    suspect: Suspect,
    clue: Clue,
    windows: tuple[Window, Window],
) -> pl.DataFrame:
    """Operations, up the callers, whose durations rose, in good part by what the clue tells.

    service, entry_label, factor, n0, n1, excess_ns. On a busy host everything becomes slower, and
    no place explains the whole.
    """
    segments = facts.table("segments")
    by = ["service", "entry_label"]
    normal, abnormal = (w.of(segments) for w in windows)
    slower = log_shifts(normal, abnormal, by, "entries", "total_log", "total_log2")
    factor = (pl.col("mean1") - pl.col("mean0")).exp().alias("factor")
    slower = slower.with_columns(factor).filter(
        (pl.col("low") > 0)
        & (pl.col("factor") >= settings.waiting_factor)
        & (pl.min_horizontal("n0", "n1") >= settings.min_samples / 2)
    )
    beyond = excess(normal, abnormal, by, "entries", "total_ns")
    slower = slower.join(beyond, on=by).filter(
        clue.excess_ns >= settings.min_share * pl.col("excess_ns")
    )
    calls = windows[1].of(facts.table("edges")).select("caller", "callee").unique()
    start = code(clue.caller) if clue.kind == "edge" else code(suspect.service)
    above = _callers(calls, start)
    waiting = above | ({start} if clue.kind == "edge" else set())
    return slower.filter(pl.col("service").is_in(list(waiting))).sort(
        "factor", *by, descending=[True, False, False]
    )


def _callers(calls: pl.DataFrame, service: int) -> set[int]:
    """Services that call it, directly or over others."""
    found: set[int] = set()
    reached = {service}
    while reached:
        callers = calls.filter(pl.col("callee").is_in(list(reached)))["caller"].to_list()
        reached = set(callers) - found - {service}
        found |= reached
    return found


def _finding(rule: Rule, facts: FactsView, found: _Found, normal: Window) -> Finding:
    clue, suspect = found.clue, found.suspect
    edge = clue.kind == "edge"
    service = clue.caller if edge else suspect.service
    operation = clue.operation if edge else clue.where
    subject = clue.where if edge else suspect.service
    here = (pl.col("service") == code(service)) & (pl.col("entry_label") == code(operation))
    rows = found.abnormal.of(facts.table("segments")).filter(here)
    chosen = worst_calls(rows)
    whole = int(rows["total_ns"].sum()) or 1
    share = clue.excess_ns / whole
    priced = rows.with_columns(
        (pl.col("total_ns").cast(pl.Float64) * share).round().cast(pl.Int64).alias("_beyond")
    )
    panes = panes_of(priced, "entries", "_beyond")
    return Finding(
        code=rule.code,
        rule=rule.name,
        severity="critical" if float(found.waiters["factor"][0]) >= 4 else "warning",
        scope=rule.scope,
        evidence="observed",
        evidence_reason="own times and gaps are compared with the time before",
        service=service,
        environment=environment_of(facts, rows["environment"].to_list()),
        operation=operation,
        subject=subject,
        occurrences=int(rows["entries"].sum()),
        traces=int(rows["entries"].sum()),
        wasted_ns=sum(ns for _, ns in panes.values()),
        first_seen_ns=int(rows["first_ns"].min()),  # type: ignore[arg-type]
        last_seen_ns=int(rows["last_ns"].max()),  # type: ignore[arg-type]
        fingerprint=fingerprint(rule.code, service, "" if edge else operation, subject),
        exemplars=span_exemplars(chosen, "call_span", "entry_span")
        if edge
        else span_exemplars(chosen, "entry_span"),
        waterfall=_waterfall(facts, service, operation, chosen, edge=edge),
        details=_details(facts, found, normal),
        panes=panes,
    )


def _details(facts: FactsView, found: _Found, normal: Window) -> dict[str, Any]:
    clue = found.clue
    edges = facts.table("edges").filter("instrumented")
    callee = code(clue.where.partition(" → ")[2])
    return {
        "kind": clue.kind,
        "factor": round(clue.factor, 1),
        "rise_ms": round(clue.excess_ns / max(clue.samples, 1) / 1e6, 1),
        "waiters": [
            f"{facts.text(s)} {facts.text(o)}"
            for s, o in found.waiters.select("service", "entry_label").iter_rows()
        ][:10],
        "suspects": [
            {"service": s.service, "rank": s.rank, "score": round(s.score, 3)}
            for s in found.diagnosis.suspects[:5]
        ],
        "undecided": list(found.diagnosis.undecided),
        "requests_before": found.diagnosis.entries_before,
        "requests_after": found.diagnosis.entries_after,
        "normal_seconds": round((normal.end_ns - normal.start_ns) / 1e9),
        "callee_instrumented": clue.kind != "edge"
        or bool(edges.filter(pl.col("callee") == callee).height),
        "note": sampled_note(facts),
    }


def _waterfall(
    facts: FactsView, service: str, operation: str, chosen: Any, *, edge: bool
) -> tuple[Bar, ...]:
    if not chosen:
        return ()
    worst = chosen[0]
    bars = [Bar(0, service, operation, 0, worst["entry_duration_ns"], mark=not edge)]
    if worst["call_span"] is not None:
        start = worst["first_ns"] - worst["entry_start_ns"]
        extent = worst["last_ns"] - worst["first_ns"]
        bars.append(Bar(1, service, facts.text(worst["label"]), start, extent, mark=edge))
        if worst["server_ns"]:
            gap = max(extent - worst["server_ns"], 0)
            callee = facts.text(worst["callee"])
            bars.append(Bar(2, callee, "answer", start + gap, worst["server_ns"]))
    return tuple(bars)


RULE: Rule = LatencyCascade()

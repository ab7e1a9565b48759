"""missing-timeout: calls that hang for as long as the other side likes.

What it does
    Finds outgoing calls that take half a minute and more, with nothing that cuts them off.

        GET /price    2 ms   3 ms   2 ms   41 s   2 ms   67 s   3 ms   33 s

Why is this bad?
    A call without a time-out holds its thread, connection and locks until the other side answers or
    the kernel gives up, minutes later. A few of them and the pool is empty: the caller stands
    still because of something that it may not even need.

Example
    Bad, requests waits for ever by default:

        requests.get(url)

    Better:

        requests.get(url, timeout=(0.5, 2))

How it decides
    At least `min_calls` calls of one operation to one callee last `hang_s` or longer; or
    `outlier_s` while the median of the same call is below `median_ms`. A time-out shows as a wall:
    most of the long calls end at the same length (within about a tenth), or fail with an error of
    that name. Then there is a time-out, its value is said, and nothing is flagged. Wasted is the
    time of the hanging calls beyond the median of the call.

Not flagged
    Calls that end at a wall. Calls that wait by design: blocking reads of queues and streams
    (BLPOP, XREAD, SUBSCRIBE, long polling, watches), and calls whose median is as long. Calls that
    never end have no span: they show only when they end.

References
    https://requests.readthedocs.io/en/latest/user/advanced/#timeouts
    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.bins import FINE, duration_bin_bounds_ns, fine_bin_ns
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
    State,
    Verdict,
)
from detectors.kit.edges import timed_out
from detectors.kit.knobs import knob
from detectors.kit.pricing import fingerprint, joined, weighted_median
from detectors.kit.sightlines import verdicts

_SUBJECT = ("caller", "callee", "label")
_WAITING_VERBS = re.compile(
    r"^(B[LZR]?(L?POP|RPOPLPUSH|LMOVE|LMPOP|ZPOP\w*|ZMPOP|RPOP)|XREAD\w*|[PS]?SUBSCRIBE|WAIT\w*|"
    r"LISTEN|receive|consume|poll|getMore|watch)$",
    re.IGNORECASE,
)
_WAITING_WORDS = re.compile(
    r"stream|/events?\b|\bsse\b|subscrib|watch|long.?poll|/poll\b|websocket|/ws\b|tail|pg_sleep",
    re.IGNORECASE,
)
_WALL_SHARE = 0.8
_WALL_CALLS = 5
"""Fewer calls of about the same length may be so by chance, unless they all fail then."""
_WALL_BINS = 2
"""Sixteenth octaves: long calls that lie within them end at a wall."""


class MissingTimeout:
    """F106: calls that hang, and nothing cuts them off."""

    code = "F106"
    name = "missing-timeout"
    scope: Scope = "local"
    needs = ("failures", "edges", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings:
        """Knobs of F106."""

        min_calls: int = knob(3, "hanging calls of one operation to one callee", low=1)
        hang_s: float = knob(30.0, "a call this long hangs", unit="s", low=5)
        outlier_s: float = knob(
            10.0, "so does one this long while the median is …", unit="s", low=5
        )
        median_ms: float = knob(100.0, "… below this", unit="ms")

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Long calls without a wall."""
        rows = facts.table("failures").filter(pl.col("bin") >= _bin_at(5e9))
        findings: list[Finding] = []
        held: Held = {}
        for _, group in rows.group_by(*_SUBJECT, maintain_order=True):
            service = facts.text(group["caller"][0])
            settings = context.settings(self, service, facts.text(group["entry_label"][0]))
            median_ns = _median_ns(facts, group)
            usual = median_ns < settings.median_ms * 1e6
            least_s = settings.outlier_s if usual else settings.hang_s
            long = group.filter(pl.col("bin") >= _bin_at(least_s * 1e9))
            if not long.height:
                if not usual and _outliers(group, settings) >= settings.min_calls:
                    hold(held, service, "below_threshold", _slow(facts, group, settings, median_ns))
                continue
            reason = _why_not(facts, settings, long, least_s, median_ns)
            if reason:
                hold(held, service, *reason)
            else:
                findings.append(_finding(self, facts, long, median_ns))
        fired = {f.service for f in findings}
        kept = tuple(sorted(findings, key=lambda f: f.fingerprint))
        hold_samples(facts, held, context.settings(self, "", "").min_calls)
        return Verdict(kept, verdicts(self.code, spots(facts), fired, held))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        return Explanation(
            f"{finding.subject} hangs for up to {d['longest_s']:g} s, and nothing cuts it off",
            f"{finding.occurrences} calls took {d['shortest_s']:g} s to {d['longest_s']:g} s where "
            f"the median is {d['median_ms']:g} ms; {finding.evidence}: {finding.evidence_reason}."
            f"{d['note']}",
            "Give the call a time-out a little above its 99th percentile, for connecting and for "
            "reading both (requests `timeout=(0.5, 2)`, httpx `Timeout`, gRPC `timeout=`, "
            "`statement_timeout` and `connect_timeout` in PostgreSQL, `socket_timeout` in "
            "redis-py), and decide what happens then: a fallback or a clear error.",
        )


def _bin_at(ns: float) -> int:
    """The first `fine_bin` that holds nothing shorter than `ns`."""
    index = 0
    while fine_bin_ns(index) < ns * (1 - 1e-6):
        index += FINE if fine_bin_ns(index + FINE) < ns else 1
    return index


def _median_ns(facts: FactsView, group: pl.DataFrame) -> int:
    """Median of all calls of the caller by that label, to half an octave."""
    edges = facts.table("edges").filter(
        (pl.col("caller") == group["caller"][0]) & (pl.col("label") == group["label"][0])
    )
    counted = [(int(b), int(n)) for b, n in edges.select("bin", "calls").iter_rows()]
    return duration_bin_bounds_ns(weighted_median(counted))[1] if counted else 0


def _outliers(group: pl.DataFrame, settings: Any) -> int:
    """Calls that would hang if the others were quick."""
    return int(group.filter(pl.col("bin") >= _bin_at(settings.outlier_s * 1e9))["calls"].sum())


def _slow(facts: FactsView, group: pl.DataFrame, settings: Any, median_ns: int) -> str:
    return (
        f"{_outliers(group, settings)} calls of {facts.text(group['label'][0])} took "
        f"{settings.outlier_s:g} s, but others are slow too (median {median_ns / 1e6:.3g} ms); "
        f"{settings.hang_s:g} s are needed then"
    )


def _why_not(
    facts: FactsView, settings: Any, long: pl.DataFrame, least_s: float, median_ns: int
) -> tuple[State, str] | None:
    label, verb = facts.text(long["label"][0]), facts.text(long["verb"][0])
    calls = int(long["calls"].sum())
    if _WAITING_VERBS.match(verb) or _WAITING_WORDS.search(label):
        return "exempt", f"{label} waits by design"
    if median_ns >= least_s * 1e9 and not long["failed"].any():
        return "exempt", f"{label} is always that long"
    named = long.filter(
        pl.Series([timed_out(facts.text(e)) for e in long["error_type"]], dtype=pl.Boolean)
    )
    if int(named["calls"].sum()) * 2 >= calls:
        value = fine_bin_ns(weighted_median(_counted(named)) + 0.5) / 1e9
        return "exempt", f"{label} is cut off after {value:.3g} s: there is a time-out"
    wall = _wall(_counted(long), settings.min_calls)
    if wall is not None:
        value = fine_bin_ns(wall + 0.5) / 1e9
        if calls < _WALL_CALLS and not long["failed"].all():
            told = f"{calls} long calls of {label} end at about {value:.3g} s"
            return "below_threshold", f"{told}; {_WALL_CALLS} tell a time-out from chance"
        return "exempt", f"long calls of {label} end at {value:.3g} s: there is a time-out"
    if calls < settings.min_calls:
        return (
            "below_threshold",
            f"{calls} calls of {label} took {least_s:g} s; {settings.min_calls} are needed",
        )
    return None


def _counted(rows: pl.DataFrame) -> list[tuple[int, int]]:
    return [(int(b), int(n)) for b, n in rows.select("bin", "calls").iter_rows()]


def _wall(counted: list[tuple[int, int]], min_calls: int) -> int | None:
    """The bin at which most long calls end, and few beyond; None without one."""
    whole = sum(n for _, n in counted)
    if whole < min_calls:
        return None
    for index, _ in sorted(counted, reverse=True):
        near = sum(n for b, n in counted if index - _WALL_BINS < b <= index)
        beyond = sum(n for b, n in counted if b > index)
        if near >= whole * _WALL_SHARE and beyond <= whole * (1 - _WALL_SHARE):
            return index
    return None


def _finding(rule: Rule, facts: FactsView, rows: pl.DataFrame, median_ns: int) -> Finding:
    service, callee = facts.text(rows["caller"][0]), facts.text(rows["callee"][0])
    busiest = rows.group_by("entry_label").agg(pl.col("calls").sum())
    busiest = busiest.sort("calls", "entry_label", descending=[True, False])
    subject = joined(callee, facts.text(rows["label"][0]))
    chosen = worst_calls(rows)
    beyond = rows.with_columns(
        (pl.col("client_ns") - pl.col("calls") * median_ns).clip(lower_bound=0).alias("_beyond")
    )
    panes = panes_of(beyond, "calls", "_beyond")
    bins = [b for b, _ in _counted(rows)]
    return Finding(
        code=rule.code,
        rule=rule.name,
        severity="warning",
        scope=rule.scope,
        evidence="observed",
        evidence_reason="the long calls end at no common length",
        service=service,
        environment=environment_of(facts, rows["environment"].to_list()),
        operation=facts.text(busiest["entry_label"][0]),
        subject=subject,
        occurrences=int(rows["calls"].sum()),
        traces=int(rows["traces"].sum()),
        wasted_ns=sum(ns for _, ns in panes.values()),
        first_seen_ns=int(rows["first_ns"].min()),  # type: ignore[arg-type]
        last_seen_ns=int(rows["last_ns"].max()),  # type: ignore[arg-type]
        fingerprint=fingerprint(rule.code, service, "", subject),
        exemplars=span_exemplars(chosen, "call_span", "entry_span"),
        waterfall=call_bars(facts, service, callee, chosen),
        details={
            "callee": callee,
            "shortest_s": round(fine_bin_ns(min(bins)) / 1e9, 1),
            "longest_s": round(fine_bin_ns(max(bins)) / 1e9, 1),
            "median_ms": round(median_ns / 1e6, 1),
            "note": sampled_note(facts),
        },
        panes=panes,
    )


RULE: Rule = MissingTimeout()

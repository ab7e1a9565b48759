"""Durations, counts and the summary line: the words that formatters share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.report.model import Report

_MS, _S, _MIN = 1_000_000, 1_000_000_000, 60_000_000_000


def duration(ns: int) -> str:
    """A span of time as people say it: `850 µs`, `12 ms`, `3.4 s`, `7 min`."""
    if ns < _MS:
        return f"{ns // 1_000} µs"
    if ns < _S:
        return f"{ns / _MS:.3g} ms" if ns < 100 * _MS else f"{ns // _MS} ms"
    return f"{ns / _S:.3g} s" if ns < 10 * _MIN else f"{ns // _MIN} min"


def count(n: int, noun: str) -> str:
    """`1 span`, `2,000 spans`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(counts: Mapping[str, int]) -> str:
    """`duplicate 3, invalid_time 1`."""
    return ", ".join(f"{reason} {n:,}" for reason, n in sorted(counts.items()) if n)


def summary_line(report: Report) -> str:
    """What was found in what, in one line."""
    s = report.summary
    found = count(len(report.findings), "finding") if report.findings else "no findings"
    wasted = sum(f.wasted_ns for f in report.findings)
    price = f" wasting {duration(wasted)}" if wasted else ""
    muted = f" ({len(report.muted)} in the baseline)" if report.muted else ""
    blind = len({row.code for row in report.visibility if row.state == "blind"})
    blindness = f"; {count(blind, 'rule')} blind somewhere" if blind else ""
    return (
        f"{found}{price}{muted} in {count(s.spans, 'span')} of {count(s.traces, 'trace')} "
        f"from {count(len(s.services), 'service')}{blindness}"
    )


def disclosures(report: Report) -> list[str]:
    """What thins or mends the counts, a sentence each."""
    s = report.summary
    lines = []
    if s.sampled:
        lines.append(
            f"{count(s.sampled, 'span')} of a sampled recording: every count is thinned by it"
        )
    if any(s.rejected.values()):
        lines.append(f"left out: {listed(s.rejected)}")
    if any(s.repaired.values()):
        lines.append(f"repaired: {listed(s.repaired)}")
    if any(s.overflow.values()):
        lines.append(f"beyond the row caps: {listed(s.overflow)}")
    return lines

"""Metrics about single findings: what is there, since when, at what cost, with which numbers.

Each family is capped at `max_series` label sets, the most severe and most costly findings first;
how many were left out is a metric as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from collector.ledger import Case

ACTIVE = "spanlint_active_findings"
EACH = "spanlint_finding_active"
INFO = "spanlint_finding_info"
COST = "spanlint_finding_wasted_seconds"
DETAIL = "spanlint_finding_detail"
SINCE = "spanlint_finding_first_seen_timestamp_seconds"
CHANGED = "spanlint_finding_changed_timestamp_seconds"
LEFT_OUT = "spanlint_finding_series_left_out"

_ONE = ("code", "service_name", "operation", "fingerprint")

GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    ACTIVE: ("Findings that are there now.", ("code", "service_name", "severity")),
    EACH: (
        "1 for each finding that is there now.",
        ("code", "rule", "service_name", "operation", "fingerprint", "severity"),
    ),
    INFO: (
        "1 for each finding that is there now, with what it is about.",
        ("code", "fingerprint", "subject", "evidence", "scope"),
    ),
    COST: ("Time that its fix would have saved in the judged horizon, estimated.", _ONE),
    DETAIL: ("A number that the rule found, by the name that the API gives it.", (*_ONE, "detail")),
    SINCE: ("When a finding that is there now was first seen.", _ONE),
    CHANGED: (
        "When a finding came into its state: new, ongoing, regressed or resolved.",
        (*_ONE, "state"),
    ),
    LEFT_OUT: ("Label sets of a metric that are over the cap.", ("metric",)),
}
"""Name -> help and labels. The order of `details` is the rule's; text and flags are left out."""

Row = tuple[tuple[str, ...], float]


def families(cases: Iterable[Case], max_series: int) -> Iterator[Metric]:
    """All metrics of findings. cases: the most severe and most costly first."""
    every = list(cases)
    there = [c for c in every if c.active]
    rows: dict[str, Iterable[Row]] = {
        ACTIVE: _totals(every),
        EACH: ((_active(c), 1) for c in there),
        INFO: ((_info(c), 1) for c in there),
        COST: ((_one(c), c.finding.wasted_ns / 1e9) for c in there),
        DETAIL: chain.from_iterable(_details(c) for c in there),
        SINCE: ((_one(c), c.first_seen_ns / 1e9) for c in there),
        CHANGED: (((*_one(c), c.state), c.changed_ns / 1e9) for c in every if not c.muted),
    }
    left_out: dict[str, int] = {}
    for name, found in rows.items():
        several = iter(found)
        yield gauge(name, islice(several, max_series))
        left_out[name] = sum(1 for _ in several)
    yield gauge(LEFT_OUT, (((name,), count) for name, count in left_out.items()))


def gauge(
    name: str, rows: Iterable[Row], table: Mapping[str, tuple[str, Sequence[str]]] = GAUGES
) -> Metric:
    """A family of a table with its samples."""
    text, labels = table[name]
    family = GaugeMetricFamily(name, text, labels=list(labels))
    for values, value in rows:
        family.add_metric(list(values), value)
    return family


def _totals(cases: Iterable[Case]) -> list[Row]:
    """Active findings; those that are gone count as 0, so that a graph comes down."""
    totals: dict[tuple[str, ...], float] = {}
    for case in cases:
        finding = case.finding
        key = (finding.code, finding.service, finding.severity)
        totals[key] = totals.get(key, 0) + case.active
    return sorted(totals.items())


def _one(case: Case) -> tuple[str, ...]:
    finding = case.finding
    return (finding.code, finding.service, finding.operation, finding.fingerprint)


def _active(case: Case) -> tuple[str, ...]:
    code, *rest = _one(case)
    return (code, case.finding.rule, *rest, case.finding.severity)


def _info(case: Case) -> tuple[str, ...]:
    f = case.finding
    return (f.code, f.fingerprint, f.subject, f.evidence, f.scope)


def _details(case: Case) -> Iterator[Row]:
    for name, value in case.finding.details.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield (*_one(case), name), value

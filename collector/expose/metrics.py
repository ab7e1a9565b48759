"""Prometheus metrics: values are computed at scrape, from what was committed.

Names and labels are part of the interface; `docs/metrics.md` lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.samples import Exemplar

from collector.expose import telemetry
from collector.ledger import OCCURRENCES, WASTED, Case
from collector.store import Labels
from detectors.kit.catalogue import rules
from detectors.kit.contract import Visibility

STAGE_SECONDS, STAGE_RUNS = "spanlint_stage_seconds", "spanlint_stage_runs"

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    OCCURRENCES: (
        "Entries in which a finding showed.",
        ("code", "service_name", "operation"),
    ),
    WASTED: ("Time that the fixes would have saved, estimated.", ("code", "service_name")),
    "spanlint_spans_received_total": ("Spans accepted from exporters.", ()),
    "spanlint_spans_refused_total": ("Spans left out of an accepted request.", ("reason",)),
    "spanlint_spans_repaired_total": ("Spans repaired, or folded into another.", ("reason",)),
    "spanlint_spans_late_total": ("Spans that came after their trace was closed.", ()),
    "spanlint_spans_clamped_total": ("Spans whose time was too far from their arrival.", ()),
    "spanlint_spans_observed_total": ("Spans in closed traces, seen by the rules.", ()),
    "spanlint_traces_observed_total": ("Traces closed and seen by the rules.", ()),
    "spanlint_traces_closed_early_total": ("Traces closed for their age or size.", ("reason",)),
    "spanlint_facts_overflow_total": ("Rows of facts over a table's cap.", ("table",)),
    "spanlint_requests_refused_total": ("OTLP requests refused.", ("signal", "reason")),
    "spanlint_forward_requests_total": ("Requests that the upstream took.", ("signal",)),
    "spanlint_forward_dropped_total": (
        "Requests that were not forwarded.",
        ("signal", "reason"),
    ),
    "spanlint_rule_failures_total": ("Judgements in which a rule failed.", ("code",)),
    "spanlint_series_capped_total": ("Times a label set was counted as `other`.", ("metric",)),
    telemetry.GRAPH_REQUESTS: ("Calls between services.", ("client", "server")),
    telemetry.GRAPH_FAILED: ("Failed calls between services.", ("client", "server")),
    telemetry.CALLS: (
        "Entry spans by operation.",
        ("service", "span_name", "span_kind", "status_code"),
    ),
}
"""Name -> help and labels."""
HISTOGRAMS = {
    telemetry.GRAPH_SECONDS: ("Duration of calls at the server.", ("client", "server")),
    telemetry.LATENCY: (
        "Duration of entry spans.",
        ("service", "span_name", "span_kind", "status_code"),
    ),
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a scrape shows.

    counters: committed values. gauges: plain numbers by name. facts_rows: rows by table.
    """

    version: str
    counters: Mapping[tuple[str, Labels], float]
    cases: Iterable[Case]
    visibility: Iterable[Visibility]
    gauges: Mapping[str, tuple[str, float]]
    facts_rows: Mapping[str, int] = field(default_factory=dict)
    max_series: int = 5_000


def render(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """The exposition and its content type: OpenMetrics with exemplars when asked for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


class _Collector:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """All metric families."""
        yield _build(self._snapshot)
        yield _rule_info()
        yield from _findings(self._snapshot)
        yield _blind(self._snapshot)
        yield from _counters(self._snapshot)
        yield _stages(self._snapshot)
        yield from _histograms(self._snapshot)
        for name, (text, value) in self._snapshot.gauges.items():
            yield GaugeMetricFamily(name, text, value=value)
        rows = GaugeMetricFamily("spanlint_facts_rows", "Rows of facts kept.", labels=["table"])
        for table, count in self._snapshot.facts_rows.items():
            rows.add_metric([table], count)
        yield rows


def _build(snapshot: Snapshot) -> Metric:
    info = GaugeMetricFamily("spanlint_build_info", "Always 1.", labels=["version"])
    info.add_metric([snapshot.version], 1)
    return info


def _rule_info() -> Metric:
    labels = ["code", "rule", "family", "scope"]
    info = GaugeMetricFamily("spanlint_rule_info", "Always 1 for each rule.", labels=labels)
    for rule in rules():
        info.add_metric([rule.code, rule.name, rule.code[0], rule.scope], 1)
    return info


def _findings(snapshot: Snapshot) -> Iterable[Metric]:
    labels = ["code", "service_name", "severity"]
    active = GaugeMetricFamily(
        "spanlint_active_findings", "Findings that are there now.", labels=labels
    )
    each = GaugeMetricFamily(
        "spanlint_finding_active",
        "1 for each finding that is there now.",
        labels=["code", "rule", "service_name", "operation", "fingerprint", "severity"],
    )
    totals: dict[tuple[str, str, str], int] = {}
    shown = 0
    for case in snapshot.cases:
        finding = case.finding
        key: tuple[str, str, str] = (finding.code, finding.service, finding.severity)
        totals[key] = totals.get(key, 0) + case.active
        if case.active and shown < snapshot.max_series:
            shown += 1
            each.add_metric(
                [
                    finding.code,
                    finding.rule,
                    finding.service,
                    finding.operation,
                    finding.fingerprint,
                    finding.severity,
                ],
                1,
            )
    for labelled, count in sorted(totals.items()):
        active.add_metric(list(labelled), count)
    return (active, each)


def _blind(snapshot: Snapshot) -> Metric:
    blind = GaugeMetricFamily(
        "spanlint_rule_blind",
        "1 where a rule cannot judge a service for want of attributes.",
        labels=["code", "service_name"],
    )
    for row in list(snapshot.visibility)[: snapshot.max_series]:
        blind.add_metric([row.code, row.service], int(row.state == "blind"))
    return blind


def _counters(snapshot: Snapshot) -> Iterable[Metric]:
    exemplars = _exemplars(snapshot.cases)
    for name, (text, labels) in COUNTERS.items():
        family = CounterMetricFamily(name, text, labels=list(labels))
        for (found, values), value in sorted(snapshot.counters.items()):
            if found == name and len(values) == len(labels):
                exemplar = exemplars.get(values) if name == OCCURRENCES else None
                family.add_metric(list(values), value, exemplar=exemplar)
        if not labels and not family.samples:
            family.add_metric([], 0)
        yield family


def _exemplars(cases: Iterable[Case]) -> dict[Labels, Exemplar]:
    """The worst trace of the last finding, by the labels of the occurrences."""
    found: dict[Labels, Exemplar] = {}
    for case in cases:
        finding = case.finding
        if finding.exemplars:
            key = (finding.code, finding.service, finding.operation)
            trace = {"trace_id": finding.exemplars[0].trace_id}
            found.setdefault(key, Exemplar(trace, 1, finding.last_seen_ns / 1e9))
    return found


def _stages(snapshot: Snapshot) -> Metric:
    stages = SummaryMetricFamily(
        "spanlint_stage_duration_seconds", "Time spent by stage of the flow.", labels=["stage"]
    )
    for (name, labels), seconds in sorted(snapshot.counters.items()):
        if name == STAGE_SECONDS:
            runs = snapshot.counters.get((STAGE_RUNS, labels), 0)
            stages.add_metric(list(labels), count_value=int(runs), sum_value=seconds)
    return stages


def _histograms(snapshot: Snapshot) -> Iterable[Metric]:
    for name, (text, labels) in HISTOGRAMS.items():
        family = HistogramMetricFamily(name, text, labels=list(labels))
        series: dict[Labels, dict[str, float]] = {}
        for (found, values), value in snapshot.counters.items():
            if found == f"{name}_bucket":
                series.setdefault(values[:-1], {})[values[-1]] = value
        for values, buckets in sorted(series.items()):
            reached = 0.0
            cumulative = []
            for le in [*(f"{b:g}" for b in telemetry.BOUNDS_S), "+Inf"]:
                reached += buckets.get(le, 0)
                cumulative.append((le, reached))
            family.add_metric(
                list(values),
                buckets=cumulative,
                sum_value=snapshot.counters.get((f"{name}_sum", values), 0),
            )
        yield family

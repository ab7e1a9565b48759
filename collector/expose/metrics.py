"""Prometheus metrics: values are computed at scrape, from what was committed.

Names and labels are part of the interface; `docs/metrics.md` lists them.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.samples import Exemplar

from collector.expose import cases, ratios, telemetry
from collector.expose.cases import gauge
from collector.expose.source import Snapshot
from collector.ledger import FORGOTTEN, OCCURRENCES, WASTED, Case
from collector.store import STAGE_RUNS, STAGE_SECONDS, Labels
from detectors.kit.catalogue import rules

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
    "spanlint_requests_left_to_reference_total": (
        "Requests that only the reference decoder could read.",
        (),
    ),
    "spanlint_requests_refused_total": ("OTLP requests refused.", ("signal", "reason")),
    "spanlint_forward_requests_total": ("Requests that the upstream took.", ("signal",)),
    "spanlint_forward_dropped_total": (
        "Requests that were not forwarded.",
        ("signal", "reason"),
    ),
    FORGOTTEN: ("Findings that were forgotten for want of room.", ()),
    "spanlint_rule_failures_total": ("Judgements in which a rule failed.", ("code",)),
    "spanlint_series_capped_total": ("Times a label set was counted as `other`.", ("metric",)),
    **ratios.COUNTERS,
    telemetry.GRAPH_REQUESTS: ("Calls between services.", ("client", "server")),
    telemetry.GRAPH_FAILED: ("Failed calls between services.", ("client", "server")),
    telemetry.CALLS: (
        "Entry spans by operation.",
        ("service", "span_name", "span_kind", "status_code"),
    ),
}
"""Name -> help and labels."""
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "spanlint_build_info": ("Always 1; decoder: native or reference.", ("version", "decoder")),
    "spanlint_rule_info": ("Always 1 for each rule.", ("code", "rule", "family", "scope")),
    "spanlint_rule_blind": (
        "1 where a rule cannot judge a service for want of attributes.",
        ("code", "service_name"),
    ),
    "spanlint_rule_parked": (
        "1 for a rule that failed three times in a row and is left out until the next start.",
        ("code",),
    ),
    "spanlint_facts_rows": ("Rows of facts kept.", ("table",)),
    "spanlint_limit": ("Settings that spans or requests are refused or dropped at.", ("setting",)),
    **cases.GAUGES,
}
"""Name -> help and labels."""
PLAIN_GAUGES = {
    "spanlint_last_judgement_timestamp_seconds": "When rules were last run.",
    "spanlint_open_spans": "Spans held: in open traces, or on their way to the rules.",
    "spanlint_open_traces": "Traces that are not closed yet.",
    "spanlint_buffer_bytes": "Spans held, estimated.",
    "spanlint_pending_bytes": "Requests that wait to be decoded.",
    "spanlint_forward_queue_bytes": "Requests that wait for the upstream.",
    "spanlint_texts": "Texts that are remembered.",
}
"""Gauges without labels: name -> help. Their values are in `Snapshot.gauges`."""
STAGES = ("spanlint_stage_duration_seconds", "Time spent by stage of the flow.", ("stage",))
"""The summary: name, help, labels."""
HISTOGRAMS = {
    telemetry.GRAPH_SECONDS: ("Duration of calls at the server.", ("client", "server")),
    telemetry.LATENCY: (
        "Duration of entry spans.",
        ("service", "span_name", "span_kind", "status_code"),
    ),
}


def render(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """The exposition and its content type: OpenMetrics with exemplars when asked for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    ProcessCollector(registry=registry)
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


class _Collector:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """All metric families."""
        yield gauge(
            "spanlint_build_info", [((self._snapshot.version, self._snapshot.decoder), 1)], GAUGES
        )
        yield _rule_info()
        yield from cases.families(self._snapshot.cases, self._snapshot.max_series)
        yield from _rule_states(self._snapshot)
        yield from _counters(self._snapshot)
        yield _stages(self._snapshot)
        yield from _histograms(self._snapshot)
        for name, value in self._snapshot.gauges.items():
            yield GaugeMetricFamily(name, PLAIN_GAUGES[name], value=value)
        rows = (((table,), count) for table, count in self._snapshot.facts_rows.items())
        yield gauge("spanlint_facts_rows", rows, GAUGES)
        limits = (((name,), limit) for name, limit in self._snapshot.limits.items())
        yield gauge("spanlint_limit", limits, GAUGES)


def _rule_info() -> Metric:
    found = (((r.code, r.name, r.code[0], r.scope), 1) for r in rules())
    return gauge("spanlint_rule_info", found, GAUGES)


def _rule_states(snapshot: Snapshot) -> Iterable[Metric]:
    parked = (((r.code,), int(r.code in snapshot.parked)) for r in rules())
    yield gauge("spanlint_rule_parked", parked, GAUGES)
    blind: dict[Labels, int] = {}
    for row in snapshot.visibility:
        key = (row.code, row.service)
        blind[key] = max(blind.get(key, 0), row.state == "blind")
    yield gauge("spanlint_rule_blind", list(blind.items())[: snapshot.max_series], GAUGES)


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


def _exemplars(found_cases: Iterable[Case]) -> dict[Labels, Exemplar]:
    """The worst trace of the last finding, by the labels of the occurrences."""
    found: dict[Labels, Exemplar] = {}
    for case in found_cases:
        finding = case.finding
        if finding.exemplars:
            key = (finding.code, finding.service, finding.operation)
            trace = {"trace_id": finding.exemplars[0].trace_id}
            found.setdefault(key, Exemplar(trace, 1, finding.last_seen_ns / 1e9))
    return found


def _stages(snapshot: Snapshot) -> Metric:
    stages_name, text, label_names = STAGES
    stages = SummaryMetricFamily(stages_name, text, labels=list(label_names))
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

"""Recording rules: what long ranges and other dashboards ask for again and again."""

from __future__ import annotations

from dashboards.model import Group, Recording

_GRAPH = "traces_service_graph_request"

FINDINGS = Group(
    "spanlint-findings",
    (
        Recording(
            "service_severity:spanlint_findings:count",
            "count by (job, service_name, severity) (max by (job, service_name, severity, code, "
            "fingerprint) (spanlint_finding_active))",
            "Distinct findings, however many replicas see them.",
        ),
        Recording(
            "service_code:spanlint_occurrences:rate5m",
            "sum by (job, service_name, code) (rate(spanlint_occurrences_total[5m]))",
            "Entries per second in which a finding showed.",
        ),
        Recording(
            "service_code:spanlint_wasted_seconds:rate5m",
            "sum by (job, service_name, code) (rate(spanlint_wasted_seconds_total[5m]))",
            "Seconds per second that the fixes would save.",
        ),
        Recording(
            "service:spanlint_blind_rules:count",
            "sum by (job, service_name) (max by (job, service_name, code) (spanlint_rule_blind))",
            "Rules that cannot judge a service.",
        ),
    ),
)

TRAFFIC = Group(
    "spanlint-traffic",
    (
        Recording(
            "service:traces_spanmetrics_calls:rate5m",
            "sum by (job, service) (rate(traces_spanmetrics_calls_total[5m]))",
            "Entries per second.",
        ),
        Recording(
            "service:traces_spanmetrics_failed:ratio_rate5m",
            "sum by (job, service) (rate(traces_spanmetrics_calls_total"
            '{status_code="STATUS_CODE_ERROR"}[5m])) '
            "/ (sum by (job, service) (rate(traces_spanmetrics_calls_total[5m])) > 0)",
            "Share of entries that failed; nothing where none did.",
        ),
        Recording(
            "service:traces_spanmetrics_latency:p95_5m",
            "histogram_quantile(0.95, sum by (job, service, le) "
            "(rate(traces_spanmetrics_latency_bucket[5m])))",
            "95th percentile of entries, in seconds.",
        ),
        Recording(
            "client_server:traces_service_graph_request:rate5m",
            f"sum by (job, client, server) (rate({_GRAPH}_total[5m]))",
            "Calls per second on an edge.",
        ),
        Recording(
            "client_server:traces_service_graph_request_failed:ratio_rate5m",
            f"sum by (job, client, server) (rate({_GRAPH}_failed_total[5m])) "
            f"/ (sum by (job, client, server) (rate({_GRAPH}_total[5m])) > 0)",
            "Share of calls that failed; nothing where none did.",
        ),
        Recording(
            "client_server:traces_service_graph_request_server_seconds:p95_5m",
            "histogram_quantile(0.95, sum by (job, client, server, le) "
            f"(rate({_GRAPH}_server_seconds_bucket[5m])))",
            "95th percentile of calls on an edge, in seconds.",
        ),
    ),
)

HEALTH = Group(
    "spanlint-health",
    (
        Recording(
            "job:spanlint_spans_received:rate5m",
            "sum by (job) (rate(spanlint_spans_received_total[5m]))",
            "Spans per second.",
        ),
        Recording(
            "job:spanlint_spans_late:ratio_rate5m",
            "sum by (job) (rate(spanlint_spans_late_total[5m])) "
            "/ (sum by (job) (rate(spanlint_spans_received_total[5m])) > 0)",
            "Share of spans that came after their trace was closed.",
        ),
        Recording(
            "job_stage:spanlint_stage_duration_seconds:rate5m",
            "sum by (job, stage) (rate(spanlint_stage_duration_seconds_sum[5m]))",
            "Seconds per second spent in a stage.",
        ),
    ),
)

GROUPS = (FINDINGS, TRAFFIC, HEALTH)

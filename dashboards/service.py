"""*Service*: rate, errors, duration of one service, its findings, and what it depends on."""

from __future__ import annotations

from dashboards.common import (
    DATASOURCE,
    FINDINGS,
    INSTANCE,
    JAEGER,
    JOB,
    MARKS,
    PROCESS,
    RED,
    RED_JOB,
    RULE,
    SERVICE,
    SEVERE,
    SEVERITY,
    SPANLINT,
    TEMPO,
    TRACES,
    findings_table,
    rate,
)
from dashboards.model import Color, Dashboard, Panel, Query, Row
from detectors.kit.catalogue import tables

_OWN = f'{RED}, service=~"$service"'
_CALLS = "traces_spanmetrics_calls_total"
_OUT = f'{RED}, client=~"$service"'
_IN = f'{RED}, server=~"$service"'
_GRAPH = "traces_service_graph_request"
_ERRORS: tuple[tuple[float | None, Color], ...] = ((None, "green"), (0.01, "orange"), (0.05, "red"))


def quantile(q: float, metric: str, selector: str, *by: str) -> str:
    """A quantile of a histogram in seconds; none where nothing happened."""
    return f"histogram_quantile({q}, {rate(f'{metric}_bucket', selector, 'le', *by)}) >= 0"


def failed_share(selector: str, *by: str) -> str:
    """Failed calls of all calls between services; 0 where none failed."""
    failed = rate(f"{_GRAPH}_failed_total", selector, *by)
    every = rate(f"{_GRAPH}_total", selector, *by)
    return f"({failed} or 0 * {every}) / ({every} > 0)"


_FAILING = rate(_CALLS, f'{_OWN}, status_code="STATUS_CODE_ERROR"', "span_name")
_EVERY = rate(_CALLS, _OWN, "span_name")
_RED = Row(
    "Rate, errors, duration",
    (
        Panel(
            "Requests",
            "Entries per second by operation. A drop to nothing is an outage upstream, a "
            "sudden rise a retry storm: see *Failures*.",
            "timeseries",
            (Query(rate(_CALLS, _OWN, "service", "span_name"), "{{service}} {{span_name}}"),),
            unit="reqps",
        ),
        Panel(
            "Failed requests",
            "Share of entries that ended in an error. Red from 5 %: open *Failures* to see "
            "whether it starts here or comes from a dependency.",
            "timeseries",
            (Query(f"({_FAILING} or 0 * {_EVERY}) / ({_EVERY} > 0)", "{{span_name}}"),),
            unit="percentunit",
            maximum=1,
            thresholds=_ERRORS,
        ),
        Panel(
            "Duration",
            "Median and 95th percentile of entries. When only the 95th rises, look at the "
            "findings that grow with data; when both do, at a dependency.",
            "timeseries",
            tuple(
                Query(quantile(q, "traces_spanmetrics_latency", _OWN, "service"), legend)
                for q, legend in ((0.5, "{{service}} p50"), (0.95, "{{service}} p95"))
            ),
            unit="s",
        ),
    ),
)


_FINDINGS = Row(
    "Findings",
    (
        findings_table(
            SEVERE,
            "Findings of this service",
            "The most costly first; the fingerprint leads to waterfall, evidence and fix.",
        ),
        Panel(
            "Requests in which a finding showed",
            "Per second and operation; a click on a dot opens the worst trace.",
            "timeseries",
            (
                Query(
                    rate("spanlint_occurrences_total", FINDINGS, "code", "operation"),
                    "{{code}} {{operation}}",
                    exemplar=True,
                ),
            ),
            unit="reqps",
            width=12,
            links=TRACES,
        ),
        Panel(
            "Time that fixes would save",
            "Seconds of requests' time per second, by rule. Fix the one on top first.",
            "timeseries",
            (Query(rate("spanlint_wasted_seconds_total", FINDINGS, "code"), "{{code}}"),),
            unit="s",
            width=12,
            stacked=True,
        ),
    ),
)


_DEPENDENCIES = Row(
    "Dependencies",
    (
        Panel(
            "Calls to each dependency",
            "Calls per second that this service makes. Compare with its requests: a ratio "
            "that grows with data is an N+1.",
            "timeseries",
            (
                Query(
                    rate(f"{_GRAPH}_total", _OUT, "client", "server"),
                    "{{client}} → {{server}}",
                ),
            ),
            unit="reqps",
        ),
        Panel(
            "Failed calls",
            "Share of calls that fail, by dependency. Red from 5 %: does this service have a "
            "time-out, a fallback, a breaker for it?",
            "timeseries",
            (Query(failed_share(_OUT, "client", "server"), "{{client}} → {{server}}"),),
            unit="percentunit",
            maximum=1,
            thresholds=_ERRORS,
        ),
        Panel(
            "Duration of calls, 95th percentile",
            "At the dependency where it is traced, else as this service waited.",
            "timeseries",
            (
                Query(
                    quantile(0.95, f"{_GRAPH}_server_seconds", _OUT, "client", "server"),
                    "{{client}} → {{server}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Who calls this service",
            "Calls per second by caller. A caller that is new here is a dependency that "
            "nobody may have planned for.",
            "timeseries",
            (Query(rate(f"{_GRAPH}_total", _IN, "client", "server"), "{{client}} → {{server}}"),),
            unit="reqps",
            width=12,
        ),
        Panel(
            "Calls per request",
            "Outgoing calls by entry of this service: 1 is healthy for most, 20 is a loop. "
            "When it doubles while errors rise, retries multiply.",
            "timeseries",
            (
                Query(
                    f"label_replace({rate(f'{_GRAPH}_total', _OUT, 'client')}, "
                    '"service", "$1", "client", "(.*)") / on (service) group_left () '
                    f"({rate(_CALLS, _OWN, 'service')} > 0)",
                    "{{service}}",
                ),
            ),
            width=12,
        ),
    ),
)


_TRIED, _MEANT = (
    rate(f"spanlint_{name}_total", f'{PROCESS}, service_name=~"$service"', "service_name")
    for name in ("call_attempts", "calls")
)
_READS = f'{PROCESS}, service_name=~"$service"'
_HITS = rate("spanlint_cache_reads_total", f'{_READS}, result="hit"', "service_name")
_SHARES = rate("spanlint_instance_requests_total", _READS, "service_name", "service_instance")
_RATIOS = {
    "attempts": Panel(
        "Attempts per call",
        "1 when nothing is retried. Above 1.5 for long: somebody is waiting for something that "
        "is down, and makes it worse; look at back-off, budget and breaker of its retries.",
        "timeseries",
        (Query(f"{_TRIED} / ({_MEANT} > 0)", "{{service_name}}"),),
        thresholds=((None, "green"), (1.5, "orange"), (3, "red")),
    ),
    "lookups": Panel(
        "Cache hit ratio",
        "Of cache reads whose spans say whether they hit (`cache.hit` and the like). Below a "
        "half, each miss pays for the cache and for the read behind it: see the C rules.",
        "timeseries",
        (
            Query(
                f"{_HITS} / ({rate('spanlint_cache_reads_total', _READS, 'service_name')} > 0)",
                "{{service_name}}",
            ),
        ),
        unit="percentunit",
        maximum=1,
        thresholds=((None, "red"), (0.5, "orange"), (0.8, "green")),
    ),
    "instances": Panel(
        "Busiest instance against the mean",
        "1 when instances share the load evenly. Far above 1: sticky sessions, a hot key or an "
        "instance that has just started; see the S rules for state that binds clients to it.",
        "timeseries",
        (
            Query(
                f"max by (service_name) ({_SHARES}) / (avg by (service_name) ({_SHARES}) > 0)",
                "{{service_name}}",
            ),
        ),
        thresholds=((None, "green"), (1.5, "orange"), (3, "red")),
    ),
}
"""Panels by the facts table that they come from: shown where that table is."""
_HABITS = Row(
    "Retries, caches, instances",
    tuple(panel for table, panel in _RATIOS.items() if table in {t.name for t in tables()}),
)


DASHBOARD = Dashboard(
    uid="spanlint-service",
    title="spanlint / Service",
    description="One service: rate, errors, duration, findings, dependencies.",
    variables=(
        DATASOURCE,
        JOB,
        INSTANCE,
        SERVICE,
        RULE,
        SEVERITY,
        RED_JOB,
        SPANLINT,
        TEMPO,
        JAEGER,
    ),
    rows=(_RED, _FINDINGS, _DEPENDENCIES, _HABITS),
    annotations=MARKS,
)

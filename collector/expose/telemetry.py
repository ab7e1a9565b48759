"""Service graph and RED counters under the names that Grafana and Tempo know, from the same facts.

Added up as facts are observed, so that they never go down. Source of the names: Tempo's
metrics-generator, https://grafana.com/docs/tempo/latest/metrics-generator/.
"""

from __future__ import annotations

import polars as pl

from collector.store import Counters
from detectors.kit.bins import duration_bin_bounds_ns
from detectors.kit.engine import Facts

GRAPH_REQUESTS = "traces_service_graph_request_total"
GRAPH_FAILED = "traces_service_graph_request_failed_total"
GRAPH_SECONDS = "traces_service_graph_request_server_seconds"
CALLS = "traces_spanmetrics_calls_total"
LATENCY = "traces_spanmetrics_latency"

BOUNDS_S = tuple(2**k / 1e6 for k in range(11, 25))
"""Upper bounds of buckets: 2 ms, doubling to 16.8 s; powers of two of µs, as facts are binned."""

_STATUS = {
    "ok": "STATUS_CODE_UNSET",
    "client_error": "STATUS_CODE_UNSET",
    "error": "STATUS_CODE_ERROR",
}


def add_service_graph(facts: Facts, counters: Counters) -> None:
    """Calls between services, from facts `edges`."""
    edges = facts.table("edges")
    by = ["caller", "callee", "failed", "bin"]
    summed = edges.group_by(by).agg(pl.col("calls", "client_ns", "server_ns").sum())
    for caller, callee, failed, index, calls, client_ns, server_ns in summed.iter_rows():
        labels = (facts.text(caller), facts.text(callee))
        counters.add(GRAPH_REQUESTS, labels, calls)
        if failed:
            counters.add(GRAPH_FAILED, labels, calls)
        _observe(counters, GRAPH_SECONDS, labels, index, calls, server_ns or client_ns)


def add_red(facts: Facts, counters: Counters) -> None:
    """Rate, errors and durations of operations, from facts `entries`."""
    entries = facts.table("entries")
    by = ["service", "entry_label", "entry_kind", "outcome", "bin"]
    summed = entries.group_by(by).agg(pl.col("entries", "duration_ns").sum())
    for service, label, kind, outcome, index, count, duration_ns in summed.iter_rows():
        labels = (
            facts.text(service),
            facts.text(label),
            f"SPAN_KIND_{kind.upper()}",
            _STATUS[outcome],
        )
        counters.add(CALLS, labels, count)
        _observe(counters, LATENCY, labels, index, count, duration_ns)


def _observe(  # noqa: PLR0913 - one bucket of one series
    counters: Counters, name: str, labels: tuple[str, ...], index: int, count: int, sum_ns: int
) -> None:
    upper_s = duration_bin_bounds_ns(index)[1] / 1e9
    bound = next((b for b in BOUNDS_S if upper_s <= b * 1.001), None)
    le = "+Inf" if bound is None else f"{bound:g}"
    counters.add(f"{name}_bucket", (*labels, le), count)
    counters.add(f"{name}_sum", labels, sum_ns / 1e9)

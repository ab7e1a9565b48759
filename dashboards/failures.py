"""*Failures*: which dependency fails, who is hit by it, and where it began."""

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
    SEVERITY,
    SPANLINT,
    TEMPO,
    rate,
)
from dashboards.model import Color, Column, Dashboard, Panel, Query, Row
from dashboards.service import failed_share, quantile

_GRAPH = "traces_service_graph_request"
_EDGES = f'{RED}, client=~"$service"'
_ERRORS: tuple[tuple[float | None, Color], ...] = ((None, "green"), (0.01, "orange"), (0.05, "red"))
_COUNT: tuple[tuple[float | None, Color], ...] = ((None, "green"), (1, "red"))


def _stat(
    title: str,
    description: str,
    expr: str,
    thresholds: tuple[tuple[float | None, Color], ...],
    unit: str = "none",
) -> Panel:
    query = (Query(expr, instant=True),)
    return Panel(
        title, description, "stat", query, unit=unit, width=6, height=4, thresholds=thresholds
    )


_SHARE = failed_share(_EDGES, "client", "server")
_FAILING = rate(
    "traces_spanmetrics_calls_total",
    f'{RED}, service=~"$service", status_code="STATUS_CODE_ERROR"',
    "service",
)
_NOW = Row(
    "Now",
    (
        _stat(
            "Failing edges",
            "Pairs of caller and dependency where more than 5 % of calls fail. Red: the "
            "graph shows them; the one that nothing red hangs behind is the origin.",
            f"count({_SHARE} > 0.05) or vector(0)",
            _COUNT,
        ),
        _stat(
            "Services with failing requests",
            "Blast radius: services whose own entries fail now. Red: find the origin first, "
            "the others recover with it.",
            f"count({_FAILING} > 0) or vector(0)",
            _COUNT,
        ),
        _stat(
            "Failed calls per second",
            "Over all edges. Each may be retried: see calls per request in *Service*.",
            f"{rate(f'{_GRAPH}_failed_total', _EDGES)} or vector(0)",
            ((None, "green"), (0.1, "orange"), (1, "red")),
            unit="reqps",
        ),
        _stat(
            "Failure findings",
            "Cascades, retry storms and missing breakers that are there now. Red: open the "
            "row below, then the rule's page.",
            "count(max by (fingerprint) (spanlint_finding_active"
            f'{{{FINDINGS}, code=~"F.+"}})) or vector(0)',
            _COUNT,
        ),
    ),
)


_CALLS = rate(f"{_GRAPH}_total", _EDGES, "client", "server")
_FAILED = failed_share(_EDGES, "client", "server")
_IN_ALL = rate(f"{_GRAPH}_total", _EDGES, "server")
_FAILED_IN_ALL = failed_share(_EDGES, "server")
_CALLERS = f"0 * {rate(f'{_GRAPH}_total', _EDGES, 'client')}"
_ENTRIES = f'{RED}, service=~"$service"'
_ENTERED = rate("traces_spanmetrics_calls_total", _ENTRIES, "service")
_ENTRIES_FAILED = rate(
    "traces_spanmetrics_calls_total", f'{_ENTRIES}, status_code="STATUS_CODE_ERROR"', "service"
)
_FAILED_ENTRIES = f"({_ENTRIES_FAILED} or 0 * {_ENTERED}) / ({_ENTERED} > 0)"
_BAD_SHARE = r"(5|6|7|8|9|\\d\\d+)(\\.\\d+)? % failed"
"""From 5 % on, as a text."""


def _label(expr: str, name: str, text: str, source: str = "", pattern: str = "(.*)") -> str:
    return f'label_replace({expr}, "{name}", "{text}", "{source}", "{pattern}")'


def _drawn(calls: str, share: str, *names: str) -> str:
    """A row for each thing of a graph: an edge or a node.

    Grafana finds their texts and colour by the names of fields, which no transformation changes:
    they are labels, made from values.
    """
    by = ", ".join(names)
    main = f'count_values by ({by}) ("mainstat", round({calls}, 0.01))'
    second = f'count_values by (id) ("secondarystat", round(100 * {share}, 0.1))'
    main = _label(main, "mainstat", "$1 req/s", "mainstat")
    second = _label(second, "secondarystat", "$1 % failed", "secondarystat")
    both = f"{main} * on (id) group_left (secondarystat) {second}"
    well = _label(both, "color", "green")
    return _label(well, "color", "red", "secondarystat", _BAD_SHARE)


def _edge(expr: str) -> str:
    named = _label(_label(expr, "source", "$1", "client"), "target", "$1", "server")
    return f'label_join({named}, "id", " → ", "client", "server")'


def _node(entered: str, called: str) -> str:
    """Services by their entries, what is not traced by its calls; each end of an edge is there."""
    parts = ((entered, "service"), (called, "server"), (_CALLERS, "client"))
    return f"({' or on (id) '.join(_label(expr, 'id', '$1', end) for expr, end in parts)})"


_DEPENDS = Row(
    "Who depends on whom",
    (
        Panel(
            "Service graph",
            "Calls per second on each edge, and the share that failed. Follow the failing "
            "edges to the service that has none behind it: that is where it began.",
            "nodeGraph",
            (
                Query(
                    _drawn(_edge(_CALLS), _edge(_FAILED), "id", "source", "target"), instant=True
                ),
                Query(
                    _drawn(
                        _node(f"({_ENTERED} > 0)", _IN_ALL),
                        _node(_FAILED_ENTRIES, _FAILED_IN_ALL),
                        "id",
                    ),
                    instant=True,
                ),
            ),
            width=12,
            height=16,
            empty="no calls between services",
        ),
        Panel(
            "Edges",
            "The same as a table, the worst first. Red from 5 %: does the caller have a "
            "time-out, a fallback and a breaker for it?",
            "table",
            (
                Query(f"sort_desc({_FAILED})", instant=True),
                Query(f"{_CALLS} > 0", instant=True),
                Query(
                    quantile(0.95, f"{_GRAPH}_server_seconds", _EDGES, "client", "server"),
                    instant=True,
                ),
            ),
            width=12,
            height=16,
            sort="Failed",
            columns=(
                Column("client", "Caller"),
                Column("server", "Dependency"),
                Column("Value #A", "Failed", "percentunit", colored=True),
                Column("Value #B", "Calls", "reqps"),
                Column("Value #C", "95th percentile", "s"),
            ),
            thresholds=_ERRORS,
            empty="no calls between services",
        ),
    ),
)


_REACHED = (
    "sum by (origin, service_name) (rate(spanlint_errors_reached_total{{"
    f'{PROCESS}, service_name=~"$service", outcome="'
    '{}"}}[$__rate_interval]))'
)
_OVER_TIME = Row(
    "Over time",
    (
        Panel(
            "Failed calls by edge",
            "Share of calls that fail. Several edges that rise one after the other are a "
            "cascade; the first is its origin.",
            "timeseries",
            (
                Query(
                    failed_share(_EDGES, "client", "server"),
                    "{{client}} → {{server}}",
                ),
            ),
            unit="percentunit",
            maximum=1,
            width=12,
            thresholds=_ERRORS,
        ),
        Panel(
            "Duration of calls by edge, 95th percentile",
            "A dependency that slows down shows here before anything fails. Callers that "
            "wait for it rise with it: look for the edge that rose first.",
            "timeseries",
            (
                Query(
                    quantile(0.95, f"{_GRAPH}_server_seconds", _EDGES, "client", "server"),
                    "{{client}} → {{server}}",
                ),
            ),
            unit="s",
            width=12,
        ),
        Panel(
            "Failed entries by service",
            "Entries per second that ended in an error: the blast radius over time. The "
            "service whose curve starts first is nearest to the origin.",
            "timeseries",
            (
                Query(
                    rate(
                        "traces_spanmetrics_calls_total",
                        f'{RED}, service=~"$service", status_code="STATUS_CODE_ERROR"',
                        "service",
                    ),
                    "{{service}}",
                ),
            ),
            unit="reqps",
            width=12,
            empty="no entry failed",
        ),
        Panel(
            "Where errors begin, and whom they reach",
            "Entries per second that failed because of an error that began at the origin. "
            "The origin that reaches most services is the one to mend.",
            "timeseries",
            (Query(_REACHED.format("failed"), "{{origin}} → {{service_name}}"),),
            unit="reqps",
            width=12,
            stacked=True,
        ),
        Panel(
            "Errors that were absorbed",
            "Entries per second that were fine although something behind them failed: a "
            "fallback, a retry or a cached answer. Copy what these services do.",
            "timeseries",
            (Query(_REACHED.format("absorbed"), "{{origin}} → {{service_name}}"),),
            unit="reqps",
            width=12,
            stacked=True,
            empty="nothing absorbed",
        ),
        Panel(
            "Alerts of spanlint",
            "What its alert rules say now and said before. Pending ones have not lasted "
            "long enough yet.",
            "timeseries",
            (
                Query(
                    'count by (alertname, alertstate) (ALERTS{alertname=~"Spanlint.+"})',
                    "{{alertname}} {{alertstate}}",
                ),
            ),
            width=12,
            stacked=True,
            empty="no alert",
        ),
    ),
)


DASHBOARD = Dashboard(
    uid="spanlint-failures",
    title="spanlint / Failures",
    description="Which dependency fails, who is hit by it, and where it began.",
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
    rows=(_NOW, _DEPENDS, _OVER_TIME),
    annotations=MARKS,
    hours=1,
)

"""*Findings*: what is wrong now, since when, and what it costs."""

from __future__ import annotations

from dashboards.common import (
    DATASOURCE,
    FINDINGS,
    INSTANCE,
    JAEGER,
    JOB,
    MARKS,
    RULE,
    SERVICE,
    SEVERE,
    SEVERITY,
    SPANLINT,
    TEMPO,
    TRACES,
    all_families,
    distinct,
    findings_table,
    rate,
)
from dashboards.model import SEVERITIES, Color, Dashboard, Panel, Query, Row

_GREEN_AT_0: tuple[tuple[float | None, Color], ...] = ((None, "green"), (1, "orange"))
_RED_AT_1: tuple[tuple[float | None, Color], ...] = ((None, "green"), (1, "red"))
_DAY = "time() - 86400"


def _stat(
    title: str,
    description: str,
    expr: str,
    thresholds: tuple[tuple[float | None, Color], ...],
    unit: str = "none",
) -> Panel:
    query = (Query(expr, instant=True),)
    return Panel(
        title, description, "stat", query, unit=unit, width=4, height=4, thresholds=thresholds
    )


_EACH = distinct("spanlint_finding_active", SEVERE)
_CRITICAL = distinct("spanlint_finding_active", f'{FINDINGS}, severity="critical"')
_NEW = distinct("spanlint_finding_first_seen_timestamp_seconds", FINDINGS)
_GONE = distinct("spanlint_finding_changed_timestamp_seconds", f'{FINDINGS}, state="resolved"')
_BLIND = f"max by (code, service_name) (spanlint_rule_blind{{{FINDINGS}}})"
_NOW = Row(
    "Now",
    (
        _stat(
            "Findings",
            "Distinct findings that are there now. Orange: look at the table below, the "
            "most costly first.",
            f"count({_EACH}) or vector(0)",
            _GREEN_AT_0,
        ),
        _stat(
            "Critical",
            "Findings that cost most of a request's time or spread to other services. Red: "
            "open the first of the table now; its link shows evidence and fix.",
            f"count({_CRITICAL}) or vector(0)",
            _RED_AT_1,
        ),
        _stat(
            "New since yesterday",
            "Findings first seen in the last 24 hours. Orange: compare with what was "
            "deployed; the marks on the graphs say when each appeared.",
            f"count({_NEW} > {_DAY}) or vector(0)",
            _GREEN_AT_0,
        ),
        _stat(
            "Resolved since yesterday",
            "Findings that are gone although their operation still runs: somebody's work.",
            f"count({_GONE} > {_DAY}) or vector(0)",
            ((None, "blue"),),
        ),
        _stat(
            "Time that fixes would save",
            "Seconds of requests' time per second that all fixes together would save, "
            "estimated conservatively. It is waiting, not CPU.",
            f"{rate('spanlint_wasted_seconds_total', FINDINGS)} or vector(0)",
            ((None, "blue"),),
            unit="s",
        ),
        _stat(
            "Blind rules",
            "Pairs of rule and service where spans lack what the rule needs: no finding "
            "there means nothing. Orange: `spanlint doctor` says which setting reveals it.",
            f"count({_BLIND} == 1) or vector(0)",
            _GREEN_AT_0,
        ),
    ),
)


_SEVERITY = distinct("spanlint_finding_active", SEVERE, "severity")
_SERVICE = distinct("spanlint_finding_active", SEVERE, "service_name")
_TREND = Row(
    "Trend",
    (
        Panel(
            "Findings by severity",
            "Distinct findings over time; red and green marks say when one was opened or "
            "resolved. A step up right after a deploy names its cause.",
            "timeseries",
            (Query(f"count by (severity) ({_SEVERITY})", "{{severity}}"),),
            stacked=True,
            colors=SEVERITIES,
        ),
        Panel(
            "Findings by service",
            "Distinct findings of each service. Open the dashboard of the service on top.",
            "timeseries",
            (Query(f"count by (service_name) ({_SERVICE})", "{{service_name}}"),),
            stacked=True,
        ),
        Panel(
            "Time that fixes would save, by service",
            "Seconds of requests' time per second. The service on top gains most.",
            "timeseries",
            (
                Query(
                    rate("spanlint_wasted_seconds_total", FINDINGS, "service_name"),
                    "{{service_name}}",
                ),
            ),
            unit="s",
            stacked=True,
        ),
        Panel(
            "Requests in which a finding showed",
            "Per second, by rule and operation; the dots are exemplars: a click on one opens "
            "the worst trace of its finding in Tempo or Jaeger.",
            "timeseries",
            (
                Query(
                    rate(
                        "spanlint_occurrences_total",
                        FINDINGS,
                        "code",
                        "service_name",
                        "operation",
                    ),
                    "{{code}} {{service_name}} {{operation}}",
                    exemplar=True,
                ),
            ),
            unit="reqps",
            width=16,
            links=TRACES,
        ),
        Panel(
            "Time that fixes would have saved",
            "Seconds in the whole range of the dashboard, by rule: what the habit costs.",
            "bargauge",
            (
                Query(
                    "sort_desc(sum by (code) (increase("
                    f"spanlint_wasted_seconds_total{{{FINDINGS}}}[$__range])))",
                    "{{code}}",
                    instant=True,
                ),
            ),
            unit="s",
        ),
    ),
)


DASHBOARD = Dashboard(
    uid="spanlint-findings",
    title="spanlint / Findings",
    description="What is wrong now, since when, what it costs, and where to read the fix.",
    variables=(
        DATASOURCE,
        JOB,
        INSTANCE,
        SERVICE,
        RULE,
        SEVERITY,
        SPANLINT,
        TEMPO,
        JAEGER,
    ),
    rows=(
        _NOW,
        Row(
            "What is wrong",
            (
                findings_table(
                    SEVERE,
                    "Findings by cost",
                    "Every finding once, the most costly first. The rule links to its page, the "
                    "service to its dashboard, the fingerprint to evidence, waterfall and fix.",
                ),
            ),
        ),
        _TREND,
        *(Row(title, panels) for title, panels in all_families()),
    ),
    annotations=MARKS,
)

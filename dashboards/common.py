"""What the dashboards share: choices, selectors, links."""

from __future__ import annotations

import json

from dashboards.families import families
from dashboards.model import Annotation, Column, Link, Panel, Query, Variable

REPOSITORY = "https://github.com/spanlint/spanlint/blob/main"
"""Where the docs are; `python -m dashboards --docs URL` writes another base."""
RULE_PAGE = "{docs}/docs/rules/{code}.md"

PROCESS = 'job=~"$job", instance=~"$instance"'
"""The spanlint processes that are looked at."""
FINDINGS = f'{PROCESS}, service_name=~"$service", code=~"$rule"'
"""What has a code and a service."""
SEVERE = f'{FINDINGS}, severity=~"$severity"'
"""What has a severity as well."""
RED = 'job=~"$red_job"'
"""Series under Tempo's names, from spanlint or from Tempo itself (which gives them no job)."""

DATASOURCE = Variable("datasource", "Data source", "datasource", "prometheus", several=False)
TEMPO = Variable("tempo", "Tempo", "datasource", "tempo", several=False)
JAEGER = Variable("jaeger", "Jaeger", "datasource", "jaeger", several=False)
JOB = Variable("job", "job", "query", "label_values(spanlint_build_info, job)")
INSTANCE = Variable(
    "instance", "instance", "query", 'label_values(spanlint_build_info{job=~"$job"}, instance)'
)
SERVICE = Variable(
    "service",
    "service",
    "query",
    f"label_values(spanlint_rule_blind{{{PROCESS}}}, service_name)",
)
RULE = Variable("rule", "rule", "query", f"label_values(spanlint_rule_info{{{PROCESS}}}, code)")
SEVERITY = Variable("severity", "severity", "custom", "critical,warning,info", every=".+")
RED_JOB = Variable(
    "red_job",
    "RED job",
    "query",
    "label_values(traces_spanmetrics_calls_total, job)",
    every=".*",
    description="Who exports traces_spanmetrics_* and traces_service_graph_*: spanlint with "
    "--red-metrics and --service-graph, or Tempo.",
)
SPANLINT = Variable(
    "spanlint",
    "spanlint URL",
    "textbox",
    "http://localhost:9777",
    several=False,
    description="Where a person reaches spanlint's page, for links.",
)

TO_DOCS = Link("What the rule means", RULE_PAGE.replace("{code}", "${__data.fields.code}"), True)
TO_FINDING = Link(
    "Waterfall, evidence and fix",
    "${spanlint}/api/v1/findings/${__data.fields.fingerprint}",
    new_tab=True,
)
TO_SERVICE = Link(
    "Service dashboard",
    "/d/spanlint-service?${__url_time_range}&${datasource:queryparam}"
    "&var-service=${__data.fields.service_name}",
)


def explore(title: str, source: str, **how: str) -> Link:
    """The trace of an exemplar in Explore, with the tracing data source of that variable."""
    pane = {
        "datasource": f"${{{source}}}",
        "queries": [{"refId": "A", "query": "${__value.raw}", **how}],
        "range": {"from": "now-24h", "to": "now"},
    }
    panes = json.dumps({"trace": pane}, separators=(",", ":"))
    return Link(title, f"/explore?schemaVersion=1&panes={panes}", new_tab=True)


# Without a type of query Jaeger looks a trace up by its id.
TRACES = (
    explore("Trace in Tempo", "tempo", queryType="traceql"),
    explore("Trace in Jaeger", "jaeger"),
)

MARKS = (
    Annotation(
        "Findings opened",
        f'spanlint_finding_changed_timestamp_seconds{{{FINDINGS}, state=~"new|regressed"}} * 1000',
        "{{code}} {{state}}",
        "{{service_name}} {{operation}}",
        "red",
    ),
    Annotation(
        "Findings resolved",
        f'spanlint_finding_changed_timestamp_seconds{{{FINDINGS}, state="resolved"}} * 1000',
        "{{code}} resolved",
        "{{service_name}} {{operation}}",
        "green",
    ),
)

WASTED = "Wasted"


def distinct(metric: str, selector: str, *labels: str) -> str:
    """A finding once, however many processes see it."""
    by = ", ".join(("fingerprint", *labels))
    return f"max by ({by}) ({metric}{{{selector}}})"


def rate(metric: str, selector: str, *by: str) -> str:
    """Per second, added up."""
    grouped = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouped} (rate({metric}{{{selector}}}[$__rate_interval]))"


def findings_table(selector: str, title: str, description: str) -> Panel:
    """The findings of a selection by cost, with where to go from each."""
    one = f"topk by (fingerprint) (1, spanlint_finding_active{{{selector}}})"
    info = f"topk by (fingerprint) (1, spanlint_finding_info{{{PROCESS}}})"
    cost = distinct(
        "spanlint_finding_wasted_seconds", FINDINGS, "code", "service_name", "operation"
    )
    since = distinct("spanlint_finding_first_seen_timestamp_seconds", FINDINGS)
    return Panel(
        title,
        description,
        "table",
        (
            Query(
                f"sort_desc({cost} * on (fingerprint) group_left (rule, severity) {one}"
                f" * on (fingerprint) group_left (subject, evidence) {info})",
                instant=True,
            ),
            Query(f"{since} * 1000", instant=True),
        ),
        width=24,
        height=10,
        join="fingerprint",
        sort=WASTED,
        columns=(
            Column("severity", "Severity", width=90, colored=True),
            Column("code", "Rule", link=TO_DOCS, width=80),
            Column("rule", "Name", width=190),
            Column("service_name", "Service", link=TO_SERVICE, width=130),
            Column("operation", "Operation", width=220),
            Column("subject", "Subject"),
            Column("Value #A", WASTED, "s", width=110),
            Column("Value #B", "First seen", "dateTimeFromNow", width=130),
            Column("evidence", "Evidence", width=90),
            Column("fingerprint", "Finding", link=TO_FINDING, width=150),
        ),
        empty="no finding in this selection",
    )


def measured_table(selector: str, title: str, description: str) -> Panel:
    """The numbers behind findings: repeats, ratios, shares."""
    detail = distinct(
        "spanlint_finding_detail", selector, "code", "service_name", "operation", "detail"
    )
    return Panel(
        title,
        description,
        "table",
        (Query(detail, instant=True),),
        width=10,
        columns=(
            Column("code", "Rule", link=TO_DOCS, width=70),
            Column("service_name", "Service", link=TO_SERVICE, width=110),
            Column("operation", "Operation"),
            Column("detail", "Number", width=160),
            Column("Value", "Value", "short", width=80),
        ),
        empty="no finding in this selection",
    )


def family_panels(letter: str, matcher: str, advice: str) -> tuple[Panel, ...]:
    """Findings, occurrences and numbers of one family."""
    several = f"{SEVERE}, {matcher}"
    count = distinct("spanlint_finding_active", several, "code")
    return (
        Panel(
            f"{letter}: findings by rule",
            f"Distinct findings of each rule. {advice}",
            "timeseries",
            (Query(f"count by (code) ({count})", "{{code}}"),),
            width=7,
            stacked=True,
        ),
        Panel(
            f"{letter}: requests in which a finding showed",
            "Per second, by rule; a click on a dot opens the worst trace. Start with the rule on "
            "top; the table names its operations.",
            "timeseries",
            (
                Query(
                    rate("spanlint_occurrences_total", f"{FINDINGS}, {matcher}", "code"),
                    "{{code}}",
                    exemplar=True,
                ),
            ),
            unit="reqps",
            width=7,
            links=TRACES,
        ),
        measured_table(
            f"{FINDINGS}, {matcher}",
            f"{letter}: what was measured",
            "The numbers that a rule decided by, as `details` in the API. A number that grows "
            "with data is worse than a large one that stays.",
        ),
    )


def all_families() -> tuple[tuple[str, tuple[Panel, ...]], ...]:
    """A heading and panels for each family of the catalogue."""
    return tuple(
        (f"{f.words.title} ({f.letter})", family_panels(f.letter, f.matcher, f.words.advice))
        for f in families()
    )

"""*spanlint itself*: is everything received, seen, judged and passed on?"""

from __future__ import annotations

from dashboards.common import DATASOURCE, INSTANCE, JOB, PROCESS, RULE, SERVICE, rate
from dashboards.model import Color, Column, Dashboard, Panel, Query, Row

_BAD: tuple[tuple[float | None, Color], ...] = ((None, "green"), (1e-9, "red"))
_FULL: tuple[tuple[float | None, Color], ...] = ((None, "green"), (0.7, "orange"), (0.9, "red"))
_BY = "instance"


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


_NOW = Row(
    "Now",
    (
        _stat(
            "Spans received",
            "Per second over all instances. Nothing at all: exporters point elsewhere, or "
            "their requests are refused (see the graph).",
            rate("spanlint_spans_received_total", PROCESS),
            ((None, "red"), (1e-9, "green")),
            unit="cps",
        ),
        _stat(
            "Requests refused",
            "Per second. Red: exporters get errors and may drop spans; the reason says "
            "whether it is load (give it more, or sample) or broken input.",
            f"{rate('spanlint_requests_refused_total', PROCESS)} or vector(0)",
            _BAD,
            unit="reqps",
        ),
        _stat(
            "Not forwarded",
            "Requests per second that the upstream did not get. Red: telemetry is lost "
            "behind spanlint; look at the upstream.",
            f"{rate('spanlint_forward_dropped_total', PROCESS)} or vector(0)",
            _BAD,
            unit="reqps",
        ),
        _stat(
            "Since the last judgement",
            "Of the instance that is furthest behind. Red from a minute: it is overloaded "
            "or stuck; findings on these dashboards are old.",
            f"time() - min(spanlint_last_judgement_timestamp_seconds{{{PROCESS}}})",
            ((None, "green"), (30, "orange"), (60, "red")),
            unit="s",
        ),
        _stat(
            "Parked rules",
            "Rules that failed three times in a row and are left out until the next start. "
            "Red: the log has the traceback; please report it.",
            f"sum(spanlint_rule_parked{{{PROCESS}}})",
            _BAD,
        ),
        _stat(
            "Rules",
            "Rules of this version; replicas of two versions may have different ones.",
            f"count(max by (code) (spanlint_rule_info{{{PROCESS}}}))",
            ((None, "blue"),),
        ),
    ),
)


_INGEST = Row(
    "Ingest",
    (
        Panel(
            "Spans received and seen",
            "Received from exporters, and seen by rules once their trace was closed. A gap "
            "that stays is spans that were late, folded or refused.",
            "timeseries",
            (
                Query(rate("spanlint_spans_received_total", PROCESS, _BY), "{{instance}} received"),
                Query(rate("spanlint_spans_observed_total", PROCESS, _BY), "{{instance}} seen"),
            ),
            unit="cps",
            width=6,
        ),
        Panel(
            "Refused",
            "Requests by signal and reason. `over_budget` is load: raise the limits, add an "
            "instance or sample. All others are broken input: find the exporter.",
            "timeseries",
            (
                Query(
                    rate("spanlint_requests_refused_total", PROCESS, "signal", "reason"),
                    "{{signal}} {{reason}}",
                ),
            ),
            unit="reqps",
            stacked=True,
            empty="nothing refused",
            width=6,
        ),
        Panel(
            "Spans left out or repaired",
            "Left out of accepted requests (broken ids and the like), and repaired or folded "
            "into another. Repairs are normal; what is left out is an exporter's bug.",
            "timeseries",
            (
                Query(
                    rate("spanlint_spans_refused_total", PROCESS, "reason"),
                    "left out: {{reason}}",
                ),
                Query(
                    rate("spanlint_spans_repaired_total", PROCESS, "reason"),
                    "repaired: {{reason}}",
                ),
            ),
            unit="cps",
            empty="nothing left out or repaired",
            width=6,
        ),
        Panel(
            "Late, clamped, closed early",
            "Late spans came after their trace was closed: raise `quiet_s` when it is more "
            "than a few percent. Clamped: a clock is wrong. Early: traces too long or large.",
            "timeseries",
            (
                Query(rate("spanlint_spans_late_total", PROCESS), "late spans"),
                Query(rate("spanlint_spans_clamped_total", PROCESS), "clamped spans"),
                Query(
                    f"{rate('spanlint_traces_closed_early_total', PROCESS)} or vector(0)",
                    "traces closed early",
                ),
            ),
            unit="cps",
            width=6,
        ),
    ),
)


def _full(metric: str, setting: str, legend: str) -> Query:
    limit = f'spanlint_limit{{{PROCESS}, setting="{setting}"}}'
    return Query(f"max({metric}{{{PROCESS}}} / on (job, instance) {limit})", legend)


_QUEUES = Row(
    "Queues and memory",
    (
        Panel(
            "How full",
            "Share of each limit. Near 1 spanlint refuses (spans, requests) or drops "
            "(forwarding): raise the limit or give it more CPU before that.",
            "timeseries",
            (
                _full("spanlint_open_spans", "max_rows", "open spans"),
                _full("spanlint_pending_bytes", "max_pending_bytes", "requests to decode"),
                _full("spanlint_forward_queue_bytes", "forward_queue_bytes", "to forward"),
            ),
            unit="percentunit",
            thresholds=_FULL,
            width=6,
        ),
        Panel(
            "Open traces",
            "Traces that wait for more spans. It follows the rate of traces times `quiet_s`; "
            "growth without more traffic means that traces do not end.",
            "timeseries",
            (Query(f"sum by (instance) (spanlint_open_traces{{{PROCESS}}})", "{{instance}}"),),
            width=6,
        ),
        Panel(
            "Resident memory",
            "Of the process. It is bounded by the limits above, not by traffic.",
            "timeseries",
            (Query(f"process_resident_memory_bytes{{{PROCESS}}}", "{{instance}}"),),
            unit="bytes",
            width=6,
        ),
        Panel(
            "Facts kept",
            "Rows by table: they grow with the number of patterns. A table that reaches its "
            "cap loses the rarest; `spanlint_facts_overflow_total` counts them.",
            "timeseries",
            (Query(f"sum by (table) (spanlint_facts_rows{{{PROCESS}}})", "{{table}}"),),
            stacked=True,
            width=6,
        ),
    ),
)


_SECONDS = rate("spanlint_stage_duration_seconds_sum", PROCESS, "stage")
_SPANS = rate("spanlint_spans_received_total", PROCESS)
_COST = Row(
    "Cost",
    (
        Panel(
            "Time per span, by stage",
            "Wall time of each stage divided by spans. A stage that grows alone is where to "
            "look; all together means that the machine is slower or shared.",
            "timeseries",
            (Query(f"{_SECONDS} / on () group_left () ({_SPANS} > 0)", "{{stage}}"),),
            unit="s",
            stacked=True,
        ),
        Panel(
            "CPU",
            "Cores used. One worker analyses: near 1 it is at its limit; add an instance.",
            "timeseries",
            (
                Query(
                    f"sum by (instance) (rate(process_cpu_seconds_total{{{PROCESS}}}"
                    "[$__rate_interval]))",
                    "{{instance}}",
                ),
            ),
            thresholds=((None, "green"), (0.8, "orange"), (1, "red")),
        ),
        Panel(
            "Forwarded and dropped",
            "Requests that the upstream took, and those that it never got, by reason. "
            "`queue_full` is an upstream that is too slow, others say what it answered.",
            "timeseries",
            (
                Query(
                    rate("spanlint_forward_requests_total", PROCESS, "signal"),
                    "{{signal}} forwarded",
                ),
                Query(
                    rate("spanlint_forward_dropped_total", PROCESS, "signal", "reason"),
                    "{{signal}} dropped: {{reason}}",
                ),
            ),
            unit="reqps",
            empty="nothing is forwarded",
        ),
    ),
)


_CHOSEN = f'{PROCESS}, service_name=~"$service", code=~"$rule"'
_BLIND = f"max by (code, service_name) (spanlint_rule_blind{{{_CHOSEN}}}) == 1"
_RULES = Row(
    "Rules",
    (
        Panel(
            "Blind rules",
            "Rules that cannot judge a service, since its spans lack what they need. No "
            "finding there means nothing. `spanlint doctor` says which setting reveals it.",
            "table",
            (Query(_BLIND, instant=True),),
            width=8,
            columns=(
                Column("code", "Rule"),
                Column("service_name", "Service"),
            ),
            empty="no rule is blind",
        ),
        Panel(
            "Failing rules and lost rows",
            "Judgements in which a rule failed, rows of facts over a table's cap, label sets "
            "counted as `other`. Any of them above 0: findings are incomplete.",
            "timeseries",
            (
                Query(
                    f"{rate('spanlint_rule_failures_total', PROCESS)} or vector(0)",
                    "rules that failed",
                ),
                Query(
                    f"{rate('spanlint_facts_overflow_total', PROCESS)} or vector(0)",
                    "facts over the cap",
                ),
                Query(
                    f"{rate('spanlint_series_capped_total', PROCESS)} or vector(0)",
                    "label sets over the cap",
                ),
            ),
            unit="cps",
            thresholds=_BAD,
        ),
        Panel(
            "Versions",
            "Instances by version: more than one for long is a deploy that got stuck.",
            "table",
            (
                Query(
                    f"count by (job, version) (spanlint_build_info{{{PROCESS}}})",
                    instant=True,
                ),
            ),
            columns=(
                Column("job", "Job"),
                Column("version", "Version"),
                Column("Value", "Instances"),
            ),
        ),
    ),
)


DASHBOARD = Dashboard(
    uid="spanlint-itself",
    title="spanlint / spanlint itself",
    description="Is everything received, seen, judged and passed on?",
    variables=(DATASOURCE, JOB, INSTANCE, SERVICE, RULE),
    rows=(_NOW, _INGEST, _QUEUES, _COST, _RULES),
)

"""Alert rules: one or two per rule family, and spanlint's own health.

A finding already has hysteresis: it is resolved only after a horizon without evidence although its
operation still ran. The alerts add a short `for`, so that a restart is no page, and keep firing for
a while, so that a scrape that failed is no all-clear. What a fault looks like stays in the finding.
"""

from __future__ import annotations

from dashboards.families import Family, families
from dashboards.model import Alert, Group

_FINDING = "code, rule, service_name, operation, fingerprint"
_RULE_PAGE = "{docs}/docs/rules/{{ $labels.code }}.md"
_RUNBOOK = "{docs}/docs/alerts.md"
_WHERE = "{{ $labels.service_name }} {{ $labels.operation }}"
_JOB = "spanlint ({{ $labels.job }})"


def _family(family: Family) -> tuple[Alert, ...]:
    """A ticket for warnings; critical ones page where the fault spreads, else they are tickets."""
    words = family.words
    told = (
        f"{words.title}: {{{{ $labels.rule }}}} ({{{{ $labels.code }}}}) in {_WHERE}, seen by "
        f"{{{{ $value }}}} spanlint instance(s). {words.advice} Evidence, waterfall and fix: "
        "/api/v1/findings/{{ $labels.fingerprint }} at spanlint's admin port."
    )

    def alert(suffix: str, severities: str, *, paging: bool) -> Alert:
        return Alert(
            name=f"Spanlint{words.alert}{suffix}",
            expr=f"count by ({_FINDING}) (spanlint_finding_active"
            f"{{{family.matcher}, severity{severities}}}) > 0",
            hold="1m" if paging else "5m",
            keep="5m" if paging else "15m",
            severity="critical" if paging else "warning",
            summary=f"{{{{ $labels.code }}}} {{{{ $labels.rule }}}} in {_WHERE}",
            description=told,
            runbook=_RULE_PAGE,
            labels=(("family", family.letter),),
        )

    if not words.paging:
        return (alert("", '=~"warning|critical"', paging=False),)
    return (
        alert("", '="warning"', paging=False),
        alert("Critical", '="critical"', paging=True),
    )


def by_family() -> tuple[tuple[Alert, ...], ...]:
    """The alerts of findings, as the catalogue orders families."""
    return tuple(_family(family) for family in families())


def _health(  # noqa: PLR0913 - an alert is all of these
    name: str,
    expr: str,
    hold: str,
    severity: str,
    summary: str,
    description: str,
    meaning: str,
) -> Alert:
    return Alert(
        name=name,
        expr=expr,
        hold=hold,
        keep="10m",
        severity=severity,  # type: ignore[arg-type]
        summary=summary,
        description=f"{description} {meaning}",
        meaning=meaning,
        runbook=f"{_RUNBOOK}#{name.lower()}",
        labels=(("family", "health"),),
    )


def _share(part: str, whole: str, window: str) -> str:
    rate = "sum by (job) (rate({}[{}]))"
    return f"{rate.format(part, window)} / ({rate.format(whole, window)} > 0)"


HEALTH = Group(
    "spanlint-health-alerts",
    (
        _health(
            "SpanlintAbsent",
            "absent(spanlint_build_info)",
            "10m",
            "warning",
            "No spanlint is scraped",
            "For 10 minutes Prometheus has had no sample of any spanlint.",
            "It is down, or its scrape configuration is gone: no finding is opened or resolved. "
            "Look at the targets of Prometheus, then at the log of spanlint.",
        ),
        _health(
            "SpanlintRefusing",
            "sum by (job, instance, signal, reason) "
            "(rate(spanlint_requests_refused_total[5m])) > 0",
            "10m",
            "warning",
            f"{_JOB} refuses {{{{ $labels.signal }}}}: {{{{ $labels.reason }}}}",
            "{{ $labels.instance }} refuses {{ $value | humanize }} requests per second with "
            "reason {{ $labels.reason }}.",
            "Reason `overloaded` is load: raise `max_rows` and `max_pending_bytes`, or shard by "
            "trace id. The others are an exporter that sends what cannot be read: its log names "
            "the answer that it got.",
        ),
        _health(
            "SpanlintNoSpans",
            "(sum by (job) (rate(spanlint_spans_received_total[10m])) == bool 0) == 1",
            "20m",
            "warning",
            f"{_JOB} receives no spans",
            "No instance of {{ $labels.job }} received a span for half an hour.",
            "Exporters point elsewhere, their requests are refused, or nothing runs. Findings are "
            "neither opened nor resolved meanwhile. Where nights are quiet, mute it by a time "
            "interval of Alertmanager.",
        ),
        _health(
            "SpanlintNotJudging",
            "time() - max by (job, instance) (spanlint_last_judgement_timestamp_seconds > 0) > 120",
            "5m",
            "critical",
            "{{ $labels.instance }} has stopped judging",
            "The last judgement of {{ $labels.instance }} is {{ $value | humanizeDuration }} old.",
            "Rules are judged every few seconds, every 90 when nothing comes or judging is dear: "
            "it is stuck or far too busy, and what it shows is old. See its log; restart it: "
            "findings survive when `state` is set.",
        ),
        _health(
            "SpanlintRuleParked",
            "max by (job, instance, code) (spanlint_rule_parked) > 0",
            "1m",
            "warning",
            "Rule {{ $labels.code }} is parked on {{ $labels.instance }}",
            "{{ $labels.code }} failed three times in a row.",
            "The rule has a defect and is left out until the next start; the others go on. The "
            "log has the traceback: please report it with that.",
        ),
        _health(
            "SpanlintRuleFailing",
            "sum by (job, code) (rate(spanlint_rule_failures_total[15m])) > 0",
            "15m",
            "warning",
            "Rule {{ $labels.code }} fails now and then",
            "{{ $labels.code }} raised in {{ $value | humanize }} judgements per second of "
            "{{ $labels.job }}.",
            "The rule has a defect; its findings are kept as they were. The log has the "
            "traceback: please report it with that.",
        ),
        _health(
            "SpanlintBlind",
            "sum by (job, service_name) "
            "(max by (job, service_name, code) (spanlint_rule_blind)) > 0",
            "1h",
            "info",
            "{{ $value }} rules cannot see {{ $labels.service_name }}",
            "Spans of {{ $labels.service_name }} lack what {{ $value }} rules need.",
            "No finding there means nothing. `spanlint doctor --url …` and /api/v1/visibility name "
            "the setting of the instrumentation that reveals it.",
        ),
        _health(
            "SpanlintSpansLate",
            _share("spanlint_spans_late_total", "spanlint_spans_received_total", "15m") + " > 0.05",
            "15m",
            "warning",
            f"{_JOB}: spans come after their traces were closed",
            "{{ $value | humanizePercentage }} of spans are late.",
            "Traces are judged in parts, and repeats may be missed. Raise `quiet_s`, or find the "
            "exporter that holds spans back for longer than that.",
        ),
        _health(
            "SpanlintSpansLeftOut",
            _share("spanlint_spans_refused_total", "spanlint_spans_received_total", "15m")
            + " > 0.01",
            "15m",
            "warning",
            f"{_JOB} leaves out broken spans",
            "{{ $value | humanizePercentage }} of spans cannot be used.",
            "Their ids or times are broken: the label `reason` of spanlint_spans_refused_total "
            "says how. It is a bug of an exporter or of something between.",
        ),
        _health(
            "SpanlintForwardDropping",
            "sum by (job, instance, reason) (rate(spanlint_forward_dropped_total[5m])) > 0",
            "10m",
            "warning",
            "{{ $labels.instance }} does not forward: {{ $labels.reason }}",
            "{{ $value | humanize }} requests per second do not reach the upstream.",
            "Telemetry is lost behind spanlint. Reason `queue_full` is an upstream that is down or "
            "too slow; the others say what it answered.",
        ),
        _health(
            "SpanlintNearLimit",
            "max by (job, instance) (spanlint_open_spans / on (job, instance) "
            'spanlint_limit{setting="max_rows"}) > 0.8',
            "10m",
            "warning",
            "{{ $labels.instance }} holds nearly as many spans as it may",
            "It holds {{ $value | humanizePercentage }} of `max_rows`.",
            "At the limit it refuses. Raise it if there is memory, lower `quiet_s`, or spread the "
            "load over several instances by trace id.",
        ),
        _health(
            "SpanlintIncomplete",
            "sum by (job) (rate(spanlint_facts_overflow_total[15m])) > 0 or "
            "sum by (job) (rate(spanlint_series_capped_total[15m])) > 0",
            "30m",
            "info",
            f"{_JOB} keeps less than it sees",
            "{{ $value | humanize }} rows or label sets per second are over a cap.",
            "Rare patterns are lost, since statements, paths or span names are never the same "
            "twice. `spanlint doctor` shows which; normalise them at the source.",
        ),
    ),
)


def groups() -> tuple[Group, ...]:
    """All groups of alerts."""
    every = tuple(alert for alerts in by_family() for alert in alerts)
    return (Group("spanlint-finding-alerts", every), HEALTH)

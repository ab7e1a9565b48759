"""The page that health alerts point to: what each means and what to do."""

from __future__ import annotations

from dashboards.alerts import HEALTH
from dashboards.families import families
from dashboards.model import Alert

_HEAD = """\
# Alerts

<!-- written by `python -m dashboards`, held by a test -->

`dashboards/generated/` has them for Prometheus (`prometheus/alerts.yaml`, `prometheusrule.yaml` for
the Operator), as a jsonnet mixin, and for Grafana's alerting (`grafana/provisioning/alerting/`).
`critical` should wake somebody, `warning` is a ticket, `info` is for a dashboard;
`alertmanager/example.yaml` routes and inhibits accordingly. Runbooks under another base:
`python -m dashboards --docs URL --into FOLDER`.

## Findings

One alert for each finding, however many replicas see it; its runbook is the page of the rule. The
`for` keeps a restart from being news, `keep_firing_for` a failed scrape from being an all-clear.
That a finding is gone is for spanlint to say, once the operation ran without it for a horizon.

| alert | severity | for | rules |
|---|---|---|---|
"""


def page(groups: tuple[tuple[Alert, ...], ...]) -> str:
    """docs/alerts.md. groups: the alerts of findings by family, in the catalogue's order."""
    lines = [_HEAD]
    for family, alerts in zip(families(), groups, strict=True):
        codes = ", ".join(f"[{r.code}](rules/{r.code}.md)" for r in family.rules)
        lines += [f"| {a.name} | {a.severity} | {a.hold} | {codes} |\n" for a in alerts]
    lines.append("\n## spanlint's own health\n")
    lines += [_section(a) for a in HEALTH.rules if isinstance(a, Alert)]
    return "".join(lines)


def _section(alert: Alert) -> str:
    return (
        f"\n### {alert.name}\n\n{alert.severity}, after {alert.hold}. {alert.meaning}\n\n"
        f"```promql\n{alert.expr}\n```\n"
    )

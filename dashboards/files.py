"""Every generated file, by its path under `generated/`; and the runbook of alerts."""

from __future__ import annotations

from dashboards import alertmanager, alerts, managed, prometheus, recording, runbook
from dashboards.catalogue import dashboards
from dashboards.common import REPOSITORY
from dashboards.grafana import as_json

RUNBOOK = "docs/alerts.md"


def runbook_page() -> str:
    """What health alerts point to, under docs/."""
    return runbook.page(alerts.by_family())


def generated(docs: str = REPOSITORY) -> dict[str, str]:
    """Path -> text. docs: base URL that runbooks are under."""
    boards = {f"{d.uid}.json": d for d in dashboards()}
    rules, watched = recording.GROUPS, alerts.groups()
    return {
        **{f"grafana/{name}": as_json(board, docs) for name, board in boards.items()},
        "grafana/provisioning/alerting/spanlint.yaml": managed.alert_file(watched, docs),
        "grafana/provisioning/datasources/example.yaml": prometheus.NOTE + managed.DATASOURCES,
        "grafana/provisioning/dashboards/spanlint.yaml": prometheus.NOTE + managed.DASHBOARDS,
        "prometheus/recording.yaml": prometheus.rule_file(rules, docs),
        "prometheus/alerts.yaml": prometheus.rule_file(watched, docs),
        "prometheus/prometheusrule.yaml": prometheus.custom_resource((*rules, *watched), docs),
        "alertmanager/example.yaml": alertmanager.EXAMPLE,
        "kustomization.yaml": prometheus.kustomization(boards),
        "mixin/mixin.libsonnet": prometheus.mixin(boards, docs),
    }

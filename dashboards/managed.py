"""Grafana-managed alerts, data sources and dashboards as files that Grafana provisions.

Grafana replaces `$NAME` in these files by environment variables, so that `$` of templates is
doubled. The data source is named by SPANLINT_DATASOURCE_UID, never here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import yaml

from dashboards.model import Alert, Group
from dashboards.prometheus import NOTE

Json = dict[str, Any]
_SOURCE = "$SPANLINT_DATASOURCE_UID"
_LOOK_BACK_S = 600


def alert_file(groups: Iterable[Group], docs: str) -> str:
    """For provisioning/alerting/."""
    body = {"apiVersion": 1, "groups": [_group(group, docs) for group in groups]}
    text = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=100)
    return NOTE + "# Set SPANLINT_DATASOURCE_UID to the uid of your Prometheus.\n" + text


def _group(group: Group, docs: str) -> Json:
    alerts = [rule for rule in group.rules if isinstance(rule, Alert)]
    return {
        "orgId": 1,
        "name": group.name,
        "folder": "spanlint",
        "interval": "1m",
        "rules": [_rule(alert, docs) for alert in alerts],
    }


def _rule(alert: Alert, docs: str) -> Json:
    return {
        "uid": "spanlint-" + hashlib.blake2b(alert.name.encode(), digest_size=8).hexdigest(),
        "title": alert.name,
        "condition": "B",
        "data": [_query(alert), _threshold()],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": alert.hold,
        "keepFiringFor": alert.keep,
        "labels": {"severity": alert.severity, **dict(alert.labels)},
        "annotations": {
            "summary": _template(alert.summary, docs),
            "description": _template(alert.description, docs),
            "runbook_url": _template(alert.runbook, docs),
        },
    }


def _query(alert: Alert) -> Json:
    """An alert's expression gives a positive value for what is wrong, and nothing else."""
    return {
        "refId": "A",
        "relativeTimeRange": {"from": _LOOK_BACK_S, "to": 0},
        "datasourceUid": _SOURCE,
        "model": {
            "refId": "A",
            "expr": alert.expr.replace("$", "$$"),
            "instant": True,
            "intervalMs": 1000,
            "maxDataPoints": 43200,
        },
    }


def _threshold() -> Json:
    return {
        "refId": "B",
        "datasourceUid": "__expr__",
        "model": {
            "refId": "B",
            "type": "threshold",
            "expression": "A",
            "conditions": [{"evaluator": {"type": "gt", "params": [0]}}],
        },
    }


def _template(text: str, docs: str) -> str:
    """Prometheus' template as Grafana's: the value has a name there, and functions come first."""
    filled = text.replace("{docs}", docs)
    for function in ("humanizeDuration", "humanizePercentage", "humanize"):
        filled = filled.replace(
            f"{{{{ $value | {function} }}}}", f"{{{{ {function} $values.A.Value }}}}"
        )
    filled = filled.replace("{{ $value }}", "{{ $values.A }}")
    return filled.replace("$", "$$")


DATASOURCES = """\
apiVersion: 1
datasources:
  - name: Prometheus
    uid: $SPANLINT_DATASOURCE_UID
    type: prometheus
    access: proxy
    url: $SPANLINT_PROMETHEUS_URL
    isDefault: true
    jsonData:
      httpMethod: POST
      # A click on an exemplar opens its trace.
      exemplarTraceIdDestinations:
        - name: trace_id
          datasourceUid: $SPANLINT_TRACES_UID
  - name: Tempo
    uid: $SPANLINT_TRACES_UID
    type: tempo
    access: proxy
    url: $SPANLINT_TEMPO_URL
    jsonData:
      serviceMap:
        datasourceUid: $SPANLINT_DATASOURCE_UID
"""
DASHBOARDS = """\
apiVersion: 1
providers:
  - name: spanlint
    folder: spanlint
    type: file
    options:
      path: /var/lib/grafana/dashboards/spanlint
"""

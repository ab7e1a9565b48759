"""Rules as Prometheus reads them: plain YAML, a PrometheusRule resource, a jsonnet mixin."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import yaml

from dashboards.model import Alert, Group, Recording

Json = dict[str, Any]
NOTE = "# Written by `python -m dashboards`, held by a test.\n"


def rule_file(groups: Iterable[Group], docs: str) -> str:
    """For `rule_files` of Prometheus, Mimir or Thanos."""
    return NOTE + _yaml(as_groups(groups, docs))


def custom_resource(groups: Iterable[Group], docs: str) -> str:
    """For the Prometheus Operator."""
    body = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "spanlint",
            "labels": {
                "app.kubernetes.io/name": "spanlint",
                "app.kubernetes.io/component": "monitoring",
            },
        },
        "spec": as_groups(groups, docs),
    }
    return NOTE + _yaml(body)


def as_groups(groups: Iterable[Group], docs: str) -> Json:
    """`groups:` with plain types."""
    text = json.dumps({"groups": [_group(group) for group in groups]}, ensure_ascii=False)
    found: Json = json.loads(text.replace("{docs}", docs))
    return found


def _group(group: Group) -> Json:
    return {"name": group.name, "rules": [_rule(rule) for rule in group.rules]}


def _rule(rule: Recording | Alert) -> Json:
    if isinstance(rule, Recording):
        return {"record": rule.record, "expr": rule.expr}
    return {
        "alert": rule.name,
        "expr": rule.expr,
        "for": rule.hold,
        "keep_firing_for": rule.keep,
        "labels": {"severity": rule.severity, **dict(rule.labels)},
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            "runbook_url": rule.runbook,
        },
    }


def _yaml(body: Json) -> str:
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=100)


MIXIN = """\
// Written by `python -m dashboards`, held by a test. Use:  (import 'spanlint/mixin.libsonnet') {
//   _config+:: { docs: 'https://example.org/spanlint', labels: { team: 'platform' } },
// }
// It has what mixins have: grafanaDashboards, prometheusAlerts, prometheusRules.
{
  _config+:: {
    // Base of runbook_url and of links to rules' pages.
    docs: '@DOCS@',
    // Added to every alert.
    labels: {},
  },

  local withConfig(text) = std.strReplace(text, '@DOCS@', $._config.docs),
  local rules(text) = std.parseYaml(withConfig(text)),

  grafanaDashboards+:: {
@DASHBOARDS@  },

  prometheusRules+:: rules(importstr '../prometheus/recording.yaml'),

  prometheusAlerts+:: {
    groups: [
      group {
        rules: [rule { labels+: $._config.labels } for rule in group.rules],
      }
      for group in rules(importstr '../prometheus/alerts.yaml').groups
    ],
  },
}
"""


def mixin(names: Iterable[str], docs: str) -> str:
    """The jsonnet wrapper around the generated files."""
    line = "    '{0}': std.parseJson(withConfig(importstr '../grafana/{0}')),\n"
    listed = "".join(line.format(name) for name in names)
    return MIXIN.replace("@DASHBOARDS@", listed).replace("@DOCS@", docs)


def kustomization(names: Iterable[str]) -> str:
    """A PrometheusRule of the rules, a ConfigMap of the dashboards for Grafana's sidecar."""
    boards = {
        "name": "spanlint-dashboards",
        "files": [f"grafana/{name}" for name in names],
        "options": {"disableNameSuffixHash": True, "labels": {"grafana_dashboard": "1"}},
    }
    body = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["prometheus/prometheusrule.yaml"],
        "configMapGenerator": [boards],
    }
    return NOTE + _yaml(body)

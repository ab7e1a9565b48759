// Written by `python -m dashboards`, held by a test. Use:  (import 'spanlint/mixin.libsonnet') {
//   _config+:: { docs: 'https://example.org/spanlint', labels: { team: 'platform' } },
// }
// It has what mixins have: grafanaDashboards, prometheusAlerts, prometheusRules.
{
  _config+:: {
    // Base of runbook_url and of links to rules' pages.
    docs: 'https://github.com/spanlint/spanlint/blob/main',
    // Added to every alert.
    labels: {},
  },

  local withConfig(text) = std.strReplace(text, 'https://github.com/spanlint/spanlint/blob/main', $._config.docs),
  local rules(text) = std.parseYaml(withConfig(text)),

  grafanaDashboards+:: {
    'spanlint-findings.json': std.parseJson(withConfig(importstr '../grafana/spanlint-findings.json')),
    'spanlint-service.json': std.parseJson(withConfig(importstr '../grafana/spanlint-service.json')),
    'spanlint-failures.json': std.parseJson(withConfig(importstr '../grafana/spanlint-failures.json')),
    'spanlint-itself.json': std.parseJson(withConfig(importstr '../grafana/spanlint-itself.json')),
  },

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

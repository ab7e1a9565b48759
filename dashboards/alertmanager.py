"""An example for Alertmanager: routes by severity, silence where something worse is known."""

from __future__ import annotations

from dashboards.prometheus import NOTE

EXAMPLE = (
    NOTE
    + """\
# An example: put your receivers in, keep the routes and the inhibitions.
route:
  receiver: nobody
  routes:
    - matchers: [alertname =~ "Spanlint.+"]
      receiver: tickets
      # One message for a service, not one for each of its operations.
      group_by: [alertname, service_name]
      group_wait: 1m
      group_interval: 15m
      repeat_interval: 24h
      routes:
        - matchers: [severity = critical]
          receiver: pages
          group_wait: 30s
          group_interval: 5m
          repeat_interval: 4h
        - matchers: [severity = info]
          receiver: nobody

inhibit_rules:
  # No news of an operation that has a critical finding already (labels that neither has are equal).
  - source_matchers: [alertname =~ "Spanlint.+", severity = critical, family =~ ".+"]
    target_matchers: [alertname =~ "Spanlint.+", severity =~ "warning|info"]
    equal: [service_name, operation, family]
  # During a cascade, what its callers repeat or cache is not the problem.
  - source_matchers: [family = F, severity = critical]
    target_matchers: [family =~ "N|C", severity =~ "warning|info"]
    equal: [service_name]
  # When spanlint does not judge, what it says is old.
  - source_matchers: [alertname = SpanlintNotJudging]
    target_matchers: [alertname =~ "Spanlint(RuleFailing|Blind|SpansLate|Incomplete)"]
    equal: [job]

receivers:
  - name: nobody
  - name: tickets
  - name: pages
"""
)

"""Grafana dashboards, recording rules and alerts as code.

`model` says what a panel, a dashboard and a rule are; `findings`, `service`, `failures`, `itself`
are the dashboards; `recording` and `alerts` the rules; `grafana`, `prometheus`, `alertmanager` write them down.
`python -m dashboards` rebuilds `generated/`, which is committed.
"""

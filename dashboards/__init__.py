"""Grafana dashboards, recording rules and alerts as code.

`model` says what a panel, a dashboard and a rule are; `findings`, `service`, `failures`, `itself`
are the dashboards; `recording` and `alerts` the rules; `grafana`, `managed`, `prometheus` and
`alertmanager` write them down, `files` lists what is written.
`python -m dashboards` rebuilds `generated/`, which is committed.
"""

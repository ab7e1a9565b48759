"""A Prometheus and an Alertmanager of one's own, to see the rules and dashboards at work.

For people (`./dev alerts`), for the tests, and for the pictures in docs/.
"""

"""All dashboards."""

from __future__ import annotations

from dashboards import failures, findings, itself, service
from dashboards.model import Dashboard


def dashboards() -> tuple[Dashboard, ...]:
    """In the order in which one looks at them."""
    return (findings.DASHBOARD, service.DASHBOARD, failures.DASHBOARD, itself.DASHBOARD)

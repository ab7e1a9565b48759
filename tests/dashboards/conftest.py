"""What spanlint exports: the tables of labelled metrics, and a scrape for those without labels."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.expose.metrics import COUNTERS, GAUGES, HISTOGRAMS
from support.running import running

SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds."""


@pytest.fixture(scope="session")
def exported() -> dict[str, set[str]]:
    """Name of a series -> its labels."""
    found = {name: {*labels} for name, (_, labels) in {**COUNTERS, **GAUGES}.items()}
    for name, (_, labels) in HISTOGRAMS.items():
        found |= {f"{name}_count": {*labels}, f"{name}_sum": {*labels}}
        found[f"{name}_bucket"] = {*labels, "le"}
    with running() as service:
        for family in text_string_to_metric_families(service.get("/metrics").text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    for part in ("sum", "count"):
        found[f"spanlint_stage_duration_seconds_{part}"] = {"stage"}
    found["ALERTS"] = {"alertname", "alertstate"}
    return {name: labels | SCRAPED for name, labels in found.items()}

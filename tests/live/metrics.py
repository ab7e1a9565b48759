"""Metrics of a running spanlint, read and awaited."""

from __future__ import annotations

import time
from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

PATIENCE_S = 40


def metrics(admin: str) -> dict[str, float]:
    """Series without labels by name, and the sum over labels of those that have them."""
    found: dict[str, float] = {}
    text = httpx.get(f"{admin}/metrics", timeout=10).raise_for_status().text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def wait_for_metrics(admin: str, wanted: Mapping[str, float]) -> dict[str, float]:
    """The metrics, once each is at least what is wanted; after a while whatever they are."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = metrics(admin)
        if all(found.get(name, 0) >= value for name, value in wanted.items()):
            return found
        if time.monotonic() > deadline:
            return found
        time.sleep(0.2)

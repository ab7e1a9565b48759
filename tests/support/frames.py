"""Span frames for tests: each span a short dict, everything else as an SDK would leave it."""

from __future__ import annotations

from typing import Any

import polars as pl

from detectors.kit.columns import SPAN_SCHEMA
from detectors.kit.texts import code

TEXT_COLUMNS = [
    "service",
    "scope",
    "name",
    "label",
    "error_type",
    "system",
    "namespace",
    "operation",
    "target",
    "predicate",
    "shape",
    "values",
    "key",
    "peer",
    "route",
    "path",
    "entity",
    "actor",
    "instance",
    "environment",
    "version",
    "service_namespace",
]
DEFAULTS: dict[str, Any] = {
    "trace_hi": 1,
    "trace_lo": 1,
    "parent_span_id": None,
    "service": "shop",
    "scope": "tests",
    "kind": "internal",
    "name": "work",
    "label": "work",
    "start_ns": 0,
    "duration_ns": 10,
    "status": "unset",
    "category": "internal",
    "repeat": 1,
    "traits": 0,
}


def span(span_id: int, parent: int | None = None, **columns: Any) -> dict[str, Any]:
    """One row: text columns may be given as text. `trace` sets trace_lo, `at` is (start, end)."""
    row = {**DEFAULTS, "span_id": span_id, "parent_span_id": parent}
    if "at" in columns:
        start, end = columns.pop("at")
        row |= {"start_ns": start, "duration_ns": end - start}
    if "trace" in columns:
        row["trace_lo"] = columns.pop("trace")
    row |= columns
    for name in TEXT_COLUMNS:
        if isinstance(row.get(name), str):
            row[name] = code(row[name])
    return row


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of `span` as a frame with the span columns."""
    data = {name: [row.get(name) for row in rows] for name in SPAN_SCHEMA}
    return pl.DataFrame(data, schema=SPAN_SCHEMA)

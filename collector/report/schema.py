"""The JSON of `check --format json` as types, and its JSON Schema: docs/check.schema.json."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Exemplar(msgspec.Struct, forbid_unknown_fields=True):
    """A trace that shows the fault: hex ids, the worst trace first."""

    trace_id: str
    span_ids: list[str]


class Finding(msgspec.Struct, forbid_unknown_fields=True):
    """A fault of one subject. Times are RFC 3339 in UTC; `details` depend on the rule."""

    code: str
    rule: str
    severity: Literal["info", "warning", "critical"]
    scope: Literal["local", "trace", "fleet"]
    evidence: Literal["observed", "inferred"]
    service: str
    operation: str
    subject: str
    occurrences: int
    traces: int
    wasted_ms: float
    first_seen: str
    last_seen: str
    fingerprint: str
    exemplars: list[Exemplar]
    details: dict[str, Any]


class Visibility(msgspec.Struct, forbid_unknown_fields=True):
    """What a rule could see of a service, why not more, and what would reveal it."""

    code: str
    service: str
    state: Literal["seen", "blind", "below_threshold", "exempt"]
    reason: str
    reveal: str


class Summary(msgspec.Struct, forbid_unknown_fields=True):
    """What was read. `sampled` spans stand for others; muted are in the baseline."""

    spans: int
    traces: int
    services: int
    span_errors: int
    sampled: int
    repaired: dict[str, int]
    rejected: dict[str, int]
    overflow: dict[str, int]
    muted: int
    errors: list[str]


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """The report of `spanlint check --format json`."""

    version: str
    findings: list[Finding]
    visibility: list[Visibility]
    summary: Summary


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a report."""
    described = msgspec.json.schema(Document)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}

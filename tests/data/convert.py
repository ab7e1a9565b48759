"""Makes the recordings beside this file from captures of `ReadableSpan.to_json()`.

A capture is a JSON object: name of an instrumentation -> its spans, or the text of an error. Out
comes OTLP/JSON, gzip, one request a line and one line per instrumentation, whose name becomes
`service.name`, so that a test can ask for the spans of one. Nothing else is changed.

    python tests/data/convert.py CAPTURE.json [CAPTURE.json ...]   # writes NAME.jsonl.gz here
"""

from __future__ import annotations

import gzip
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KINDS = ("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUSES = ("UNSET", "OK", "ERROR")


def any_value(value: Any) -> dict[str, Any]:
    """A Python value as OTLP/JSON AnyValue."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [any_value(v) for v in value]}}
        case _:
            return {"stringValue": str(value)}


def pairs(attributes: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Attributes as OTLP/JSON writes them."""
    return [{"key": k, "value": any_value(v)} for k, v in (attributes or {}).items()]


def nanoseconds(iso: str) -> str:
    """`2026-11-23T06:43:10.553121Z` as nanoseconds since the epoch."""
    moment = datetime.fromisoformat(iso)
    return str(int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000)


def span(told: dict[str, Any]) -> dict[str, Any]:
    """One span of a capture as OTLP/JSON."""
    status = told.get("status", {})
    return {
        "traceId": told["context"]["trace_id"].removeprefix("0x"),
        "spanId": told["context"]["span_id"].removeprefix("0x"),
        "parentSpanId": (told.get("parent_id") or "").removeprefix("0x"),
        "name": told["name"],
        "kind": KINDS.index(told["kind"].removeprefix("SpanKind.")) + 1,
        "startTimeUnixNano": nanoseconds(told["start_time"]),
        "endTimeUnixNano": nanoseconds(told["end_time"]),
        "attributes": pairs(told["attributes"]),
        "events": [
            {
                "timeUnixNano": nanoseconds(event["timestamp"]),
                "name": event["name"],
                "attributes": pairs(event["attributes"]),
            }
            for event in told.get("events", ())
        ],
        "links": [
            {
                "traceId": link["context"]["trace_id"].removeprefix("0x"),
                "spanId": link["context"]["span_id"].removeprefix("0x"),
            }
            for link in told.get("links", ())
        ],
        "status": {
            "code": STATUSES.index(status.get("status_code", "UNSET")),
            "message": status.get("description", ""),
        },
    }


def request(instrumentation: str, told: list[dict[str, Any]]) -> dict[str, Any]:
    """The spans of one instrumentation as one export request."""
    resource = {**told[0]["resource"]["attributes"], "service.name": instrumentation}
    scopes: dict[str, list[dict[str, Any]]] = {}
    for one in told:
        scopes.setdefault(one["scope"], []).append(span(one))
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": pairs(resource)},
                "scopeSpans": [{"scope": {"name": n}, "spans": s} for n, s in scopes.items()],
            }
        ]
    }


def convert(capture: Path) -> Path:
    """Writes the recording of one capture, the same bytes each time; returns where."""
    told = json.loads(capture.read_text())
    lines = [
        json.dumps(request(name, spans), separators=(",", ":"))
        for name, spans in told.items()
        if isinstance(spans, list) and spans
    ]
    target = HERE / f"{capture.stem}.jsonl.gz"
    target.write_bytes(gzip.compress("\n".join([*lines, ""]).encode(), mtime=0))
    return target


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(convert(Path(argument)))

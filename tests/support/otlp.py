"""OTLP/JSON as SDKs and the Collector write it: hex ids, integers as strings, enums as numbers."""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_IDS = ("traceId", "spanId", "parentSpanId")


def as_json(request: ExportTraceServiceRequest, indent: int | None = None) -> bytes:
    """The request as OTLP/JSON."""
    document = MessageToDict(request, use_integers_for_enums=True)
    for resource in document.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                _hex_ids(span)
                for link in span.get("links", ()):
                    _hex_ids(link)
    return json.dumps(document, indent=indent).encode()


def _hex_ids(holder: dict[str, Any]) -> None:
    for name in _IDS:
        if name in holder:
            holder[name] = base64.b64decode(holder[name]).hex()


def from_json(line: bytes) -> ExportTraceServiceRequest:
    """OTLP/JSON of a recording as a request: ids are hex there and base64 in protobuf's JSON."""
    return ParseDict(_base64_ids(json.loads(line)), ExportTraceServiceRequest())


def _base64_ids(told: Any) -> Any:
    if isinstance(told, list):
        return [_base64_ids(part) for part in told]
    if not isinstance(told, dict):
        return told
    return {
        key: base64.b64encode(bytes.fromhex(part)).decode() if key in _IDS else _base64_ids(part)
        for key, part in told.items()
    }

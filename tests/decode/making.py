"""Requests made from plain dictionaries and rows read back, for the tests of the decoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decode import protobuf
from detectors.kit.columns import SPAN_COLUMNS
from detectors.kit.texts import Texts
from detectors.kit.traits import Trait

if TYPE_CHECKING:
    from collector.decode.model import Decoded

Row = dict[str, Any]
TEXTS = tuple(c.name for c in SPAN_COLUMNS if c.role == "text")
IDS = (bytes(range(1, 17)), bytes(range(1, 9)))


def set_value(holder: Any, value: Any) -> None:
    match value:
        case bool():
            holder.bool_value = value
        case int():
            holder.int_value = value
        case float():
            holder.double_value = value
        case bytes():
            holder.bytes_value = value
        case list():
            holder.array_value.SetInParent()
            for inner in value:
                holder.array_value.values.add().string_value = inner
        case _:
            holder.string_value = value


def request_of(
    spans: list[dict[str, Any]], resource: dict[str, Any] | None = None
) -> ExportTraceServiceRequest:
    """A request with these spans, each a dict of its fields."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    for name, value in (resource or {"service.name": "shop"}).items():
        set_value(resource_spans.resource.attributes.add(key=name).value, value)
    scope = resource_spans.scope_spans.add()
    scope.scope.name = "test"
    for fields in spans:
        span = scope.spans.add(
            trace_id=fields.get("trace_id", IDS[0]),
            span_id=fields.get("span_id", IDS[1]),
            parent_span_id=fields.get("parent_span_id", b""),
            name=fields.get("name", "work"),
            kind=fields.get("kind", 1),
            start_time_unix_nano=fields.get("start", 10),
            end_time_unix_nano=fields.get("end", 20),
            flags=fields.get("flags", 0),
            trace_state=fields.get("trace_state", ""),
        )
        span.status.code = fields.get("status", 0)
        for name, value in fields.get("attributes", {}).items():
            set_value(span.attributes.add(key=name).value, value)
        if fields.get("exception"):
            event = span.events.add(name="exception")
            event.attributes.add(key="exception.type").value.string_value = fields["exception"]
    return request


def decode(spans: list[dict[str, Any]], **resource: Any) -> tuple[Decoded, Texts]:
    texts = Texts()
    request = request_of(spans, resource or None)
    return protobuf.decode_traces(request.SerializeToString(), texts), texts


def readable(row: Row, texts: Texts) -> Row:
    """A row with its texts, and its traits as names."""
    told = {**row, **{name: texts.text(row[name]) for name in TEXTS}}
    told["traits"] = set((Trait(row["traits"]).name or "").split("|")) - {""}
    return told


def check(row: Row, expected: Row) -> None:
    assert {name: row[name] for name in expected} == expected


def linked(counts: tuple[int, ...] = (2, 0, 1)) -> ExportTraceServiceRequest:
    """A span for each of some numbers of links, the last span with one of odd ids besides."""
    request = request_of([{"span_id": bytes([n + 1] * 8)} for n in range(len(counts))])
    spans = request.resource_spans[0].scope_spans[0].spans
    for span, count in zip(spans, counts, strict=True):
        for _ in range(count):
            span.links.add(trace_id=IDS[0], span_id=IDS[1])
    spans[-1].links.add(trace_id=b"\x01\x02", span_id=b"")
    return request

"""The reference decoder: OTLP protobuf bytes to span columns, over opentelemetry-proto objects.

Short and obvious; every other decoder is held equal to it. Source: opentelemetry-proto
`trace/v1/trace.proto`; ExportTraceServiceRequest and TracesData are the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decode.attributes import MAX_VALUE_CHARS, Attributes, Wanted
from collector.decode.errors import MalformedInput
from collector.decode.mending import mended_protobuf
from collector.decode.model import Counts, Decoder, Part
from collector.decode.rows import SpanRows

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from collector.decode.model import Decoded, DecodeOptions
    from detectors.kit.texts import Texts

_ERROR = 2


class ProtobufDecoder(Decoder):
    """The reference decoder."""

    def __init__(self, texts: Texts, options: DecodeOptions | None = None) -> None:
        self.rows = SpanRows(texts, options)

    def feed(self, body: bytes) -> Counts:
        """Adds the spans of an ExportTraceServiceRequest; raises MalformedInput if it is none."""
        rows = self.rows
        try:
            request = _parsed(body)
        except MalformedInput:
            request = _parsed(mended_protobuf(body))
            rows.repaired("invalid_utf8")
        for resource_spans in request.resource_spans:
            rows.resource(attributes_of(resource_spans.resource.attributes, None))
            for scope_spans in resource_spans.scope_spans:
                rows.scope(scope_spans.scope.name)
                for span in scope_spans.spans:
                    rows.add(part_of(span, rows.wanted))
        return rows.counts()

    def take(self) -> pl.DataFrame:
        """All spans since the last call."""
        return self.rows.take()

    def __len__(self) -> int:
        return len(self.rows)


def decode_traces(body: bytes, texts: Texts, options: DecodeOptions | None = None) -> Decoded:
    """Spans of one body, with fresh caches; for many bodies keep a `ProtobufDecoder`."""
    return ProtobufDecoder(texts, options)(body)


def _parsed(body: bytes) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise MalformedInput(f"not an ExportTraceServiceRequest: {error}") from None
    return request


def part_of(span: Any, wanted: Wanted) -> Part:
    """A Span message in parts."""
    status = span.status.code
    return Part(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        status,
        span.flags,
        span.trace_state,
        attributes_of(span.attributes, wanted),
        _exception(span.events) if status == _ERROR else None,
        tuple((link.trace_id, link.span_id) for link in span.links) if span.links else (),
    )


def attributes_of(pairs: Iterable[Any], wanted: Wanted | None) -> Attributes:
    """Attributes that are wanted (all of them for None) as Python values."""
    found: Attributes = {}
    for pair in pairs:
        key = pair.key
        if wanted is None or wanted(key):
            value = _value(pair.value)
            if value is not None:
                found[key] = value
    return found


def _value(value: Any) -> Any:
    """AnyValue -> str, bool, int, float, bytes, tuple of those; None when it is empty."""
    string = value.string_value
    if string:
        return string if len(string) <= MAX_VALUE_CHARS else string[:MAX_VALUE_CHARS]
    match value.WhichOneof("value"):
        case "string_value":
            return ""
        case "int_value":
            return value.int_value
        case "bool_value":
            return value.bool_value
        case "double_value":
            return value.double_value
        case "bytes_value":
            return value.bytes_value[:MAX_VALUE_CHARS]
        case "array_value":
            return tuple(_value(v) for v in value.array_value.values[:1_000])
        case "kvlist_value":
            return str({p.key: _value(p.value) for p in value.kvlist_value.values[:1_000]})
        case _:
            return None


def _exception(events: Iterable[Any]) -> str | None:
    """exception.type of the last exception event."""
    found = None
    for event in events:
        if event.name == "exception":
            for pair in event.attributes:
                if pair.key == "exception.type":
                    found = pair.value.string_value or found
    return found

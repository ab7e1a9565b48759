"""OTLP/JSON to span columns: typed by msgspec, tolerant where producers differ.

Ids are hex (base64 too, as Tempo writes them); 64-bit integers are strings or numbers; enums are
names or numbers; unknown fields are ignored; `status: null` is unset. `instrumentationLibrarySpans`
(before 0.15), `batches` and `{"trace": …}`/`{"result": …}` (Tempo, Jaeger API) are read as well.
Source: opentelemetry-proto docs/specification.md, "OTLP/HTTP JSON Protobuf Encoding".
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

import msgspec

from collector.decode.attributes import MAX_VALUE_CHARS, Attributes, Wanted
from collector.decode.errors import MalformedInput
from collector.decode.mending import mended_json
from collector.decode.model import Counts, Decoder, Part
from collector.decode.rows import SpanRows
from detectors.kit.columns import KINDS, STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from collector.decode.model import Decoded, DecodeOptions
    from detectors.kit.texts import Texts

_CAMEL: Any = "camel"
_BYTE = re.compile(r"\(byte (\d+)\)")
_MAX_NESTING = 32


class _Value(msgspec.Struct, rename=_CAMEL):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | float | None = None
    double_value: float | str | int | None = None
    bytes_value: str | None = None
    array_value: dict[str, Any] | None = None
    kvlist_value: dict[str, Any] | None = None


class _Pair(msgspec.Struct):
    key: str | None = None
    value: _Value | None = None


class _Event(msgspec.Struct):
    name: str | None = None
    attributes: list[_Pair] | None = None


class _Link(msgspec.Struct, rename=_CAMEL):
    trace_id: str | None = None
    span_id: str | None = None


class _Status(msgspec.Struct):
    code: int | str | None = None


class _Span(msgspec.Struct, rename=_CAMEL):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    trace_state: str | None = None
    flags: int | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | str | float | None = None
    end_time_unix_nano: int | str | float | None = None
    attributes: list[_Pair] | None = None
    events: list[_Event] | None = None
    links: list[_Link] | None = None
    status: _Status | None = None


class _Scope(msgspec.Struct):
    name: str | None = None


class _ScopeSpans(msgspec.Struct, rename=_CAMEL):
    scope: _Scope | None = None
    instrumentation_library: _Scope | None = None
    spans: list[_Span] | None = None


class _Resource(msgspec.Struct):
    attributes: list[_Pair] | None = None


class _ResourceSpans(msgspec.Struct, rename=_CAMEL):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None
    instrumentation_library_spans: list[_ScopeSpans] | None = None


class _Traces(msgspec.Struct, rename=_CAMEL):
    resource_spans: list[_ResourceSpans] | None = None
    batches: list[_ResourceSpans] | None = None


class _Document(_Traces):
    trace: _Traces | None = None
    result: _Traces | None = None


_decoder = msgspec.json.Decoder(_Document, strict=False)


class JsonDecoder(Decoder):
    """OTLP/JSON to span columns."""

    def __init__(self, texts: Texts, options: DecodeOptions | None = None) -> None:
        self.rows = SpanRows(texts, options)

    def feed(self, body: bytes) -> Counts:
        """Adds the spans of one request; raises MalformedInput when it is no OTLP/JSON."""
        rows = self.rows
        try:
            document = _parsed(body)
        except MalformedInput:
            mended = mended_json(body)
            if mended == body:
                raise
            document = _parsed(mended)
            rows.repaired("invalid_utf8")
        for resource_spans in _resource_spans(document):
            resource = resource_spans.resource
            rows.resource(_attributes(resource.attributes if resource else None, None))
            for scope_spans in (
                *(resource_spans.scope_spans or ()),
                *(resource_spans.instrumentation_library_spans or ()),
            ):
                scope = scope_spans.scope or scope_spans.instrumentation_library
                rows.scope((scope.name if scope else None) or "")
                for span in scope_spans.spans or ():
                    rows.add(_part(span, rows.wanted))
        return rows.counts()

    def take(self) -> pl.DataFrame:
        """All spans since the last call."""
        return self.rows.take()

    def __len__(self) -> int:
        return len(self.rows)


def decode_traces(body: bytes, texts: Texts, options: DecodeOptions | None = None) -> Decoded:
    """Spans of one body, with fresh caches; for many bodies keep a `JsonDecoder`."""
    return JsonDecoder(texts, options)(body)


def _parsed(body: bytes) -> _Document:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = _BYTE.search(str(error))
        offset = int(found[1]) if found else None
        raise MalformedInput(f"not OTLP/JSON: {error}", offset) from None


def _resource_spans(document: _Document) -> Iterable[_ResourceSpans]:
    for traces in (document, document.trace, document.result):
        if traces is not None:
            yield from traces.resource_spans or ()
            yield from traces.batches or ()


def _part(span: _Span, wanted: Wanted) -> Part:
    status = _enum(span.status.code if span.status else None, STATUSES, "STATUS_CODE_")
    return Part(
        _id(span.trace_id, 16),
        _id(span.span_id, 8),
        _id(span.parent_span_id, 8),
        span.name or "",
        _enum(span.kind, KINDS, "SPAN_KIND_"),
        _integer(span.start_time_unix_nano),
        _integer(span.end_time_unix_nano),
        status,
        span.flags or 0,
        span.trace_state or "",
        _attributes(span.attributes, wanted),
        _exception(span.events) if status == STATUSES.index("error") and span.events else None,
        tuple((_id(k.trace_id, 16), _id(k.span_id, 8)) for k in span.links) if span.links else (),
    )


def _id(written: str | None, size: int) -> bytes:
    """Hex, as OTLP says, or base64, as Tempo and plain protobuf JSON write; else no id."""
    if not written:
        return b""
    try:
        if len(written) == size * 2:
            return bytes.fromhex(written)
        return base64.b64decode(written, validate=True)
    except (ValueError, binascii.Error):
        return b"?"  # of no id's length: counted as invalid by whoever reads it


def _enum(written: int | str | None, names: tuple[str, ...], prefix: str) -> int:
    """A number, its digits, or its name (`SPAN_KIND_SERVER`, `server`); 0 when unknown."""
    if isinstance(written, int):
        return written
    if not written:
        return 0
    if written.isdecimal():
        return _integer(written)
    name = written.upper().removeprefix(prefix).lower()
    return names.index(name) if name in names else 0


def _integer(written: float | str | None) -> int:
    """A 64-bit integer as string or number; 0 when it is none."""
    try:
        return int(written or 0)
    except (ValueError, OverflowError):
        return 0


def _attributes(pairs: list[_Pair] | None, wanted: Wanted | None) -> Attributes:
    found: Attributes = {}
    for pair in pairs or ():
        key = pair.key or ""
        if pair.value is not None and (wanted is None or wanted(key)):
            value = _value(pair.value)
            if value is not None:
                found[key] = value
    return found


def _value(value: _Value) -> Any:
    """AnyValue -> str, bool, int, float, bytes, tuple of those; None when it is empty."""
    if value.string_value is not None:
        return value.string_value[:MAX_VALUE_CHARS]
    if value.int_value is not None:
        return _integer(value.int_value)
    if value.bool_value is not None:
        return value.bool_value
    if value.double_value is not None:
        return _double(value.double_value)
    if value.bytes_value is not None:
        return _bytes(value.bytes_value)
    if value.array_value is not None:
        return _plain({"arrayValue": value.array_value})
    if value.kvlist_value is not None:
        return _plain({"kvlistValue": value.kvlist_value})
    return None


def _bytes(written: str) -> bytes:
    try:
        return base64.b64decode(written)[:MAX_VALUE_CHARS]
    except (ValueError, binascii.Error):
        return written.encode()[:MAX_VALUE_CHARS]


def _double(written: float | str) -> float | None:
    try:
        return float(written)  # `NaN` and `Infinity` are written as strings
    except ValueError:
        return None


def _plain(value: Any, depth: int = 0) -> Any:
    """A nested AnyValue as a Python value."""
    if not isinstance(value, dict) or depth > _MAX_NESTING:
        return None
    for name, inner in value.items():
        if name == "intValue":
            return _integer(inner) if isinstance(inner, (str, int, float)) else None
        if name == "bytesValue":
            return _bytes(str(inner))
        if name in ("arrayValue", "kvlistValue") and isinstance(inner, dict):
            values = inner.get("values")
            values = values[:1_000] if isinstance(values, list) else []
            if name == "arrayValue":
                return tuple(_plain(v, depth + 1) for v in values)
            pairs = [p for p in values if isinstance(p, dict)]
            return str({p.get("key", ""): _plain(p.get("value"), depth + 1) for p in pairs})
        return inner if isinstance(inner, (str, int, float, bool)) else None
    return None


def _exception(events: list[_Event]) -> str | None:
    """exception.type of the last exception event."""
    found = None
    for event in events:
        if event.name == "exception":
            for pair in event.attributes or ():
                if pair.key == "exception.type" and pair.value is not None:
                    found = pair.value.string_value or found
    return found

"""The native decoder, as Python sees it: the same spans as the reference decoder, sooner.

The Rust crate in `native/` walks the bytes. It is given the semantic-convention table and the
messages' fields from here, so that both decoders read from one source, and it asks for what only
the reference knows: the facets of a span it has not seen the like of, resources, scopes, and spans
whose attributes are of unusual types. A body that is not plain protobuf goes to the reference
decoder as a whole: errors and mending are the reference's own.
"""

from __future__ import annotations

import secrets
from collections.abc import Sized
from typing import Any

import polars as pl
import spanlint_native  # type: ignore[import-not-found, unused-ignore]  # may not be built
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.decode.attributes import NAMES, PREFIXES
from collector.decode.calls import PEER_ADDRESSES, PEER_NAMES, STATUS_NAMES
from collector.decode.classify import CODED, TELLING_OF_ROUTED, Coded, is_routed, own_of_routed
from collector.decode.facets import SERVER
from collector.decode.lexicon import OWN, URLS, lexicon, reads
from collector.decode.model import Counts, DecodeOptions, Decoder, Part
from collector.decode.otlpjson import JsonDecoder
from collector.decode.protobuf import ProtobufDecoder, attributes_of, part_of
from collector.decode.rows import SpanRows
from collector.decode.telling import GRPC_CODES, Told, tell
from detectors.kit.columns import SPAN_SCHEMA
from detectors.kit.texts import Texts

_OWN_OF_ROUTED = ("path", "entity")
"""Columns of routed requests that no classification tells."""
_LAYOUTS: dict[Any, str] = {
    pl.UInt64: "u64",
    pl.Int64: "i64",
    pl.UInt32: "u32",
    pl.Int32: "i32",
    pl.Boolean: "bool",
}
_ENCODINGS = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_FIXED64: "fixed64",
    FieldDescriptor.TYPE_SFIXED64: "fixed64",
    FieldDescriptor.TYPE_DOUBLE: "fixed64",
    FieldDescriptor.TYPE_FIXED32: "fixed32",
    FieldDescriptor.TYPE_SFIXED32: "fixed32",
    FieldDescriptor.TYPE_FLOAT: "fixed32",
    FieldDescriptor.TYPE_GROUP: "odd",
}


class NativeDecoder(Decoder):
    """The native decoder; raises ValueError for a column that it does not know."""

    name = "native"

    def __init__(self, texts: Texts, options: DecodeOptions | None = None) -> None:
        self._reference = ProtobufDecoder(texts, options)
        rows = self._reference.rows
        seed = secrets.randbits(64)
        self._native = spanlint_native.Decoder(_tables(rows), _Answers(rows), seed)
        self._texts = texts
        self._generation = texts.generation

    def feed(self, body: bytes) -> Counts:
        """Adds the spans of an ExportTraceServiceRequest; raises MalformedInput if it is none."""
        if self._generation != self._texts.generation:
            self._native.forget()
            self._generation = self._texts.generation
        counts = self._native.feed(body)
        if counts is None:
            self.left_to_reference += 1
            return self._reference.feed(body)
        accepted, rejected, repaired = counts
        return Counts(
            accepted,
            _counted(spanlint_native.REJECTED, rejected),
            _counted(spanlint_native.REPAIRED, repaired),
        )

    def take(self) -> pl.DataFrame:
        """All spans since the last call; those that the reference had to read come last."""
        frame = pl.DataFrame(self._native.take())
        return pl.concat([frame, self._reference.take()]) if len(self._reference) else frame

    def take_packed(self) -> list[Sized]:
        """All spans since the last call, as rows; those of the reference as a frame."""
        packed: list[Sized] = [self._native.take()] if len(self._native) else []
        return [*packed, self._reference.take()] if len(self._reference) else packed

    def __len__(self) -> int:
        return len(self._native) + len(self._reference)


class NativeJsonDecoder(Decoder):
    """OTLP/JSON by way of protobuf, which costs a tenth; what is unusual goes to the reference.

    Spans are gathered where the decoder of protobuf gathers its own, and taken with them.
    """

    name = "native"

    def __init__(self, protobuf: Decoder, reference: JsonDecoder) -> None:
        self._protobuf = protobuf
        self._reference = reference

    def feed(self, body: bytes) -> Counts:
        """Adds the spans of one request; raises MalformedInput when it is no OTLP/JSON."""
        transcoded = spanlint_native.transcoded(body)
        if transcoded is None:
            self.left_to_reference += 1
            return self._reference.feed(body)
        return self._protobuf.feed(transcoded)

    def take(self) -> pl.DataFrame:
        """All spans since the last call; those that the reference had to read come last."""
        frame = self._protobuf.take()
        return pl.concat([frame, self._reference.take()]) if len(self._reference) else frame

    def take_packed(self) -> list[Sized]:
        """All spans since the last call, as the decoder of protobuf gives them."""
        packed = self._protobuf.take_packed()
        return [*packed, self._reference.take()] if len(self._reference) else packed

    def __len__(self) -> int:
        return len(self._protobuf) + len(self._reference)


def _counted(reasons: list[str], counts: list[int]) -> dict[str, int]:
    return {reason: n for reason, n in zip(reasons, counts, strict=True) if n}


class _Answers:
    """What the native decoder asks for; arguments are messages as bytes."""

    def __init__(self, rows: SpanRows) -> None:
        self._rows = rows
        self.text = rows.texts.code

    def resource(self, message: bytes) -> tuple[int | None, ...]:
        """Codes from service to instance."""
        attributes = Resource.FromString(message).attributes
        return self._rows.resource(attributes_of(attributes, None))

    def scope(self, message: bytes) -> int:
        """The code of a scope's name."""
        return self._rows.scope(InstrumentationScope.FromString(message).name)

    def facets(self, message: bytes) -> Coded:
        """The columns of `CODED`, without those that a routed request has for itself."""
        part = self._part(message)
        classify = self._rows.classify
        return classify.coded(classify.afresh(part.name, part.kind, part.attributes))

    def told(self, message: bytes) -> tuple[int | bool | None, ...]:
        """The columns of `Told`, then those of `_OWN_OF_ROUTED`."""
        part = self._part(message)
        routed = is_routed(part.kind, part.attributes)
        own = own_of_routed(part.attributes) if routed else (None, None)
        return (*tell(part, self._rows.actors, self._rows.texts), *own)

    def _part(self, message: bytes) -> Part:
        return part_of(Span.FromString(message), self._rows.wanted)


def _tables(rows: SpanRows) -> dict[str, Any]:
    """All that the native decoder is told of attributes, columns and messages."""
    messages, known = _messages()
    names = rows.wanted.names
    return {
        "names": names,
        "prefixes": PREFIXES,
        "ignored": [n for n in names if n in rows.classify.ignored],
        "reads": reads(),
        "lexicon": lexicon(),
        "own": OWN,
        "columns": COLUMNS,
        "facets": CODED,
        "extras": {**{c: NAMES[c] for c in Told._fields}, "actor": rows.actors},
        "extra_columns": (*Told._fields, *_OWN_OF_ROUTED),
        "routed": TELLING_OF_ROUTED,
        "peers": PEER_NAMES,
        "addresses": PEER_ADDRESSES,
        "statuses": STATUS_NAMES,
        "path": URLS,
        "grpc": GRPC_CODES,
        "server": SERVER,
        "messages": messages,
        "known": known,
    }


def _layout(dtype: Any) -> tuple[str, list[str]]:
    if isinstance(dtype, pl.Enum):
        return "enum", dtype.categories.to_list()
    return ("list" if isinstance(dtype, pl.List) else _LAYOUTS[dtype]), []


COLUMNS = [(name, *_layout(dtype)) for name, dtype in SPAN_SCHEMA.items()]
"""Name, layout and names of values of each column."""


def _messages() -> tuple[list[list[tuple[int, str]]], dict[str, int]]:
    """The fields of all messages that a request may hold, and the messages' numbers by name."""
    found: list[Descriptor] = [ExportTraceServiceRequest.DESCRIPTOR]
    for message in found:  # grows while it is gone through
        found += [
            f.message_type
            for f in message.fields
            if f.message_type is not None and f.message_type not in found
        ]
    numbers = {message.full_name: number for number, message in enumerate(found)}

    def encoding(field: FieldDescriptor) -> str:
        if field.message_type is not None:
            return str(numbers[field.message_type.full_name])
        told = _ENCODINGS.get(field.type, "varint")
        return "odd" if field.is_repeated and told not in ("text", "bytes") else told

    messages = [[(f.number, encoding(f)) for f in message.fields] for message in found]
    return messages, {message.name: number for number, message in enumerate(found)}

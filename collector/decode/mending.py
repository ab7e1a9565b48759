"""Bodies whose strings are not Unicode: mended in place, so that one bad string loses no spans.

SDKs cut values at a length limit, in the middle of a character; services put bytes into
strings. Parsers refuse the whole body then. What cannot be read becomes `?`, one for each byte, so
that no length and no offset changes.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decode.errors import MalformedInput

MAX_MENDED_BYTES = 4 * 1024 * 1024
"""A larger protobuf body is not walked: mending costs a microsecond per field."""

_ERRORS = "spanlint.question_mark"
codecs.register_error(_ERRORS, lambda e: ("?" * (e.end - e.start), e.end))  # type: ignore[attr-defined]

# Backslash escapes from left to right, so that an escaped backslash hides what follows it.
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BYTES = 10


def mended_json(body: bytes) -> bytes:
    """JSON with stray bytes and halves of surrogate pairs replaced; as long as before."""
    text = body.decode("utf-8", _ERRORS).encode()
    return _ESCAPES.sub(lambda m: rb"\ufffd" if m[1] else m[0], text)


def mended_protobuf(body: bytes) -> bytes:
    """An ExportTraceServiceRequest with stray bytes in strings replaced; as long as before.

    Raises MalformedInput, with the byte, when the body is no protobuf message at all.
    """
    if len(body) > MAX_MENDED_BYTES:
        return body
    mended = bytearray(body)
    messages: list[tuple[int, int, Any]] = [(0, len(body), ExportTraceServiceRequest.DESCRIPTOR)]
    while messages:
        at, end, message = messages.pop()
        while at < end:
            field, start, at = _field(body, at, end, message)
            if field is None:
                continue
            if field.message_type is not None:
                messages.append((start, at, field.message_type))
            elif field.type == FieldDescriptor.TYPE_STRING:
                mended[start:at] = body[start:at].decode("utf-8", _ERRORS).encode()
    return bytes(mended)


def _field(body: bytes, at: int, end: int, message: Any) -> tuple[Any, int, int]:
    """The field at a byte (None unless it has a length and is known), its content's start, end."""
    began = at
    tag, at = _varint(body, at, end)
    wire = tag & 7
    if wire == _VARINT:
        return None, at, _varint(body, at, end)[1]
    size = _FIXED.get(wire)
    field = None
    if wire == _LENGTH:
        size, at = _varint(body, at, end)
        field = message.fields_by_number.get(tag >> 3)
    if size is None:
        raise MalformedInput(f"not an ExportTraceServiceRequest: wire type {wire}", began)
    if at + size > end:
        raise _cut(body, began, end)
    return field, at, at + size


def _varint(body: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for index in range(_VARINT_BYTES):
        if at + index >= end:
            raise _cut(body, at, end)
        byte = body[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise MalformedInput("not an ExportTraceServiceRequest: an endless number", at)


def _cut(body: bytes, began: int, end: int) -> MalformedInput:
    """What ends too early ends where the body does; inside, the field lies about its length."""
    if end == len(body):
        return MalformedInput("cut off: a field is longer than what is left", end)
    return MalformedInput("not an ExportTraceServiceRequest: a field overruns its message", began)

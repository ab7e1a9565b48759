"""OTLP/JSON by way of protobuf gives what the reference reads: the same spans, the same errors.

Skipped, visibly, where the native decoder is not built; never in CI.
"""

from __future__ import annotations

import copy
import gzip
import json
import os
import random
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from collector.decode.errors import MalformedInput
from collector.decode.model import Decoded, Decoder
from collector.decode.otlpjson import JsonDecoder
from decode.making import request_of
from decode.test_decoders import SPANS
from detectors.kit.texts import Texts
from support.otlp import as_json

BUILT = find_spec("spanlint_native") is not None
if not BUILT and not os.environ.get("CI"):
    pytest.skip("the native decoder is not built; ./dev setup tells why", allow_module_level=True)

from collector.decode.bridge import NativeDecoder, NativeJsonDecoder  # noqa: E402

DATA = Path(__file__).parents[1] / "data"
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 7, 2**31, 2**63, 2**64, -(2**63), 1.5, 1e300, 5.0, "", "0", "-1"),
    *("7", "+7", " 7", "07", "1_0", "99999999999999999999", "SPAN_KIND_SERVER", "server", "ERROR"),
    *(
        "STATUS_CODE_ERROR",
        "ab" * 8,
        "AB" * 16,
        "zz" * 8,
        "a b " * 4,
        "AAECAwQFBgc=",
        "é😀\n\0",
        "null",
    ),
    *([], {}, [None], [{}], [{"key": "http.route", "value": {"stringValue": "/a"}}]),
    *(
        {"stringValue": "x"},
        {"intValue": "5"},
        {"intValue": 5},
        {"doubleValue": 5},
        {"boolValue": 1},
    ),
    *(
        {"stringValue": None, "intValue": 3},
        {"stringValue": "a", "intValue": 3},
        {"other": [1, {}]},
    ),
    *(
        {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "2"}]}},
        {"bytesValue": "YQ=="},
    ),
    *(
        {"arrayValue": {}},
        {"arrayValue": {"values": [{}]}},
        {"doubleValue": "NaN"},
        {"doubleValue": 0.1},
    ),
    *({"arrayValue": {"values": [{"doubleValue": 2}]}}, {"kvlistValue": {"values": []}}),
]
KEYS = [
    *("traceId", "spanId", "parentSpanId", "traceState", "flags", "name", "kind", "attributes"),
    *("startTimeUnixNano", "endTimeUnixNano", "events", "links", "status", "code", "key", "value"),
    *("stringValue", "intValue", "boolValue", "doubleValue", "resource", "scope", "scopeSpans"),
    *("spans", "resourceSpans", "batches", "instrumentationLibrary", "unknown", "sch\u00e9ma"),
]


class Pair:
    """Both decoders of JSON, each with texts of its own."""

    def __init__(self) -> None:
        self.reference = JsonDecoder(Texts())
        texts = Texts()
        self.native = NativeJsonDecoder(NativeDecoder(texts), JsonDecoder(texts))

    def agree(self, body: bytes) -> Decoded | None:
        expected, found = told(self.reference, body), told(self.native, body)
        if not isinstance(expected, Decoded):
            assert found == expected
            return None
        assert isinstance(found, Decoded)
        assert_frame_equal(found.frame, expected.frame)
        assert (found.rejected, found.repaired) == (expected.rejected, expected.repaired)
        return expected


def told(decoder: Decoder, body: bytes) -> Decoded | tuple[str, int | None]:
    try:
        return decoder(body)
    except MalformedInput as error:
        return error.message, error.offset


@cache
def written() -> list[bytes]:
    """The bodies of all recordings, as they were written."""
    return [
        line
        for path in sorted(DATA.rglob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


def test_recordings_are_read_without_the_reference() -> None:
    pair = Pair()
    spans = sum(pair.agree(body).accepted for body in written()[::3])  # type: ignore[union-attr]

    assert spans > 1_000
    assert pair.native.left_to_reference == 0


@settings(max_examples=200, deadline=None)
@given(spans=st.lists(SPANS, max_size=3), escaped=st.booleans())
def test_generated_spans(spans: list[dict[str, Any]], escaped: bool) -> None:
    document = json.loads(as_json(request_of(spans)))

    assert Pair().agree(json.dumps(document, ensure_ascii=escaped).encode()) is not None


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from places(inner)


def short(dice: random.Random) -> Any:
    """A recorded document with the spans of one scope."""
    document = json.loads(dice.choice(written()))
    resource = dice.choice(document["resourceSpans"])
    scope = dice.choice(resource["scopeSpans"])
    scope["spans"] = dice.sample(scope["spans"], min(2, len(scope["spans"])))
    resource["scopeSpans"] = [scope]
    return {"resourceSpans": [resource]}


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 3))
def test_documents_with_anything_anywhere(seed: int, changes: int) -> None:
    dice = random.Random(seed)
    document = short(dice)
    for _ in range(changes):
        holder, key = dice.choice(list(places(document)) or [(document, "resourceSpans")])
        value = copy.deepcopy(dice.choice(VALUES))
        if dice.random() < 0.2:
            holder.pop(key, None) if isinstance(holder, dict) else holder.pop(key)
        elif isinstance(holder, dict) and dice.random() < 0.4:
            holder[dice.choice(KEYS)] = value
        else:
            holder[key] = value

    Pair().agree(json.dumps(document, ensure_ascii=dice.random() < 0.5).encode())


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 4))
def test_mutated_bytes(seed: int, changes: int) -> None:
    dice = random.Random(seed)
    body = bytearray(json.dumps(short(dice)).encode())
    for _ in range(changes):
        at = dice.randrange(len(body))
        match dice.randrange(4):
            case 0:
                body[at] = dice.randrange(256)
            case 1:
                body[at : at + 1] = dice.choice(b'{}[]",:\\ntf0-.eu').to_bytes(1)
            case 2:
                del body[at : at + dice.randrange(1, 9)]
            case _:
                body[at:at] = body[at : at + dice.randrange(1, 30)]

    Pair().agree(bytes(body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceSpans":[{"resource":{},"resource":{}}]}',
        b'{"resourceSpans":[],"resourceSpans":[{"scopeSpans":[]}]}',
        b'\xef\xbb\xbf{"resourceSpans":[]}',
        b'{"resourceSpans":null}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\\ud800"}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"caf\xc3"}]}]}]}',
        b'{"unknown":' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"unknown":1e999,"other":' + b"9" * 400 + b"}",
        b"{} x",
        b"",
        b"null",
    ],
)
def test_what_is_seldom_written(body: bytes) -> None:
    Pair().agree(body)


def test_both_formats_share_what_is_known_and_leave_in_one_frame() -> None:
    bodies = [request_of([{"name": f"n{n}"}]) for n in range(3)]
    protobuf = NativeDecoder(Texts())
    decoder = NativeJsonDecoder(protobuf, JsonDecoder(Texts()))

    protobuf.feed(bodies[0].SerializeToString())
    decoder.feed(as_json(bodies[1]))
    decoder.feed(as_json(bodies[2])[:-1] + b', "trace": {}}')

    assert decoder.left_to_reference == 1
    assert len(decoder) == 3
    assert decoder.take().height == 3
    assert len(protobuf) == 0

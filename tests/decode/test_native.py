"""The native decoder gives what the reference gives: the same frame and counts, the same errors.

Skipped, visibly, where it is not built; never in CI.
"""

from __future__ import annotations

import os
import random
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decode.model import DecodeOptions
from decode.making import linked, request_of, set_value
from decode.test_decoders import SPANS
from decode.test_languages import OTHERS
from detectors.kit.columns import SPAN_COLUMNS
from detectors.kit.texts import code
from support.recordings import recorded
from support.wire import Wire

BUILT = find_spec("spanlint_native") is not None
if not BUILT and not os.environ.get("CI"):
    pytest.skip("the native decoder is not built; ./dev setup tells why", allow_module_level=True)

from decode.pair import Pair  # noqa: E402

OPTIONS = DecodeOptions(actor_attributes=("http.request.header.x-user", "http.route"))


def test_recorded_spans() -> None:
    pair = Pair()
    for _ in range(2):  # the second time everything is known
        for body in recorded():
            assert pair.agree(body) is not None

    assert pair.native.left_to_reference == 0


def test_spans_of_all_languages() -> None:
    pair = Pair()
    spans = [{"kind": k, "name": n, "attributes": a} for k, n, a, _ in OTHERS.values()]

    assert pair.agree(request_of(spans).SerializeToString()) is not None
    assert pair.native.left_to_reference == 0


@settings(max_examples=250, deadline=None)
@given(spans=st.lists(SPANS, max_size=4))
def test_generated_spans(spans: list[dict[str, Any]]) -> None:
    pair = Pair(OPTIONS)
    body = request_of(spans).SerializeToString()

    for _ in range(2):
        assert pair.agree(body) is not None
    assert pair.native.left_to_reference == 0


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 6))
def test_mutated_bytes(seed: int, count: int) -> None:
    dice = random.Random(seed)
    body = bytearray(dice.choice([b for b in recorded() if len(b) < 8_000]))
    for _ in range(count):
        body[dice.randrange(len(body))] = dice.randrange(256)
    if dice.random() < 0.3:
        del body[dice.randrange(len(body)) :]

    Pair().agree(bytes(body))


TEXTS = [
    *(b"", b"GET", b"postgresql", b"redis", b"SELECT * FROM t WHERE id = 7", b"404", b" 5_0 "),
    *(b"http://u:80/users/5?x=1#f", b"/a/5?b=c", b"exception", b"ot=th:c", b"UNAVAILABLE"),
    *(b"caf\xc3\xa9", b"TRUE", b"1.5", b"/users/{id}/orders", "\u0665".encode()),
]
KEYS = [a.encode() for c in SPAN_COLUMNS for a in c.attributes] + [b"exception.type", b"other"]


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32), oddity=st.sampled_from([0.0, 0.001, 0.01, 0.05]))
def test_any_wire(seed: int, oddity: float) -> None:
    wire = Wire(random.Random(seed), oddity, TEXTS, KEYS)

    Pair(OPTIONS).agree(wire.message(ExportTraceServiceRequest.DESCRIPTOR))


@given(body=st.binary(max_size=80))
def test_any_bytes(body: bytes) -> None:
    Pair().agree(body)


@given(text=st.text())
def test_codes_are_the_same(text: str) -> None:
    import spanlint_native

    assert spanlint_native.code(text) == code(text)


@pytest.mark.parametrize("value", ["7", " 7 ", "1_0", "-3", 3.9, 1e300, True, b"12", ["8"], ""])
@pytest.mark.parametrize("status", [0, 2])
def test_columns_from_values_of_any_type(value: Any, status: int) -> None:
    names = sorted({a for c in SPAN_COLUMNS for a in c.attributes if ":" not in a and "*" not in a})
    spans = [
        {"status": status, "kind": kind, "attributes": {n: value}} for n in names for kind in (2, 3)
    ]
    pair = Pair()

    assert pair.agree(request_of(spans).SerializeToString()) is not None
    assert pair.native.left_to_reference == 0


def test_paths_and_entities_of_routed_requests() -> None:
    routes = (
        "/users/{id}/orders",
        "users/<int:pk>/",
        "^a/(?P<x>.+)$",
        "/a/:id(.:format)",
        "/plain",
        "",
    )
    paths = ("/users/5/orders?x=1", "/a//5/", "/plain?id=5", "/caf\u00e9/5#f", "/")
    spans = [
        {"kind": 2, "attributes": {"http.route": route, "http.method": "GET", name: path, **more}}
        for route in routes
        for path in paths
        for name in ("url.path", "http.target", "http.url")
        for more in ({}, {"url.query": "q=5"}, {"http.target": "/other/5?much=longer&than=that"})
    ]
    pair = Pair()

    decoded = pair.agree(request_of(spans).SerializeToString())
    assert decoded is not None
    assert decoded.frame["entity"].n_unique() > 5


def test_what_texts_forget_is_told_again() -> None:
    pair = Pair(max_texts=60)
    for number in range(60):
        statement = f"SELECT c{number}x FROM t{number}y WHERE z{number}z = 5"
        attributes = {"db.system": "mysql", "db.statement": statement, "error.type": f"E{number}"}
        body = request_of([{"attributes": attributes}] * 3, {"service.name": f"s{number % 7}"})
        frame = pair.native(body.SerializeToString()).frame
        pair.reference(body.SerializeToString())
        for column in ("shape", "service", "scope", "error_type"):
            assert pair.texts[1].text(frame[column][2]) is not None

    assert pair.texts[1].generation > 0


def test_links_in_order() -> None:
    decoded = Pair().agree(linked().SerializeToString())
    assert decoded is not None
    assert decoded.frame["links"].list.len().to_list() == [6, None, 6]


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x05",
        b"\x0b\x0c",
        b"\x0a\x02\x0a\x00\x0a\x02\x12\x00",
        request_of([{"name": "caf-x"}, {}]).SerializeToString().replace(b"caf-x", b"caf-\xc3"),
        request_of([{}]).SerializeToString() * 2,
        b"",
    ],
)
def test_bodies_that_are_not_plain(body: bytes) -> None:
    Pair().agree(body)


def test_a_body_that_fails_leaves_nothing_behind() -> None:
    pair = Pair()
    good = request_of([{"attributes": {"error.type": "E"}}] * 5).SerializeToString()

    assert pair.agree(good + b"\x0a\x7f") is None
    decoded = pair.agree(good)
    assert decoded is not None
    assert decoded.accepted == 5


def test_an_answer_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair()
    body = request_of([{"attributes": {"db.system": "mysql"}}] * 5).SerializeToString()

    def broken(*_: Any) -> None:
        raise RuntimeError("no")

    with monkeypatch.context() as patched:
        patched.setattr("collector.decode.classify.classify", broken)
        with pytest.raises(RuntimeError):
            pair.native(body)
    decoded = pair.agree(body)
    assert decoded is not None
    assert decoded.accepted == 5


def test_long_values_are_cut_alike() -> None:
    request = request_of([{}])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    for name in ("user.id", "messaging.message.id", "code.file.path", "url.path", "db.query.text"):
        set_value(span.attributes.add(key=name).value, "x" * 1_000_001)

    assert Pair().agree(request.SerializeToString()) is not None

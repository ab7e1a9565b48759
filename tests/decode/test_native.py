"""The native decoder gives what the reference gives: the same frame and counts, the same errors.

Skipped, visibly, where it is not built; never in CI.
"""

from __future__ import annotations

import os
import random
import re
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from polars.testing import assert_frame_equal

from collector.decode.errors import MalformedInput
from collector.decode.model import Decoded, DecodeOptions
from collector.decode.protobuf import ProtobufDecoder
from decode.making import IDS, request_of, set_value
from decode.test_decoders import SPANS
from decode.test_languages import OTHERS
from detectors.kit.columns import SPAN_COLUMNS, SPAN_SCHEMA
from detectors.kit.texts import Texts, code
from support.recordings import recorded
from support.wire import Wire

BUILT = find_spec("spanlint_native") is not None
if not BUILT and not os.environ.get("CI"):
    pytest.skip("the native decoder is not built; ./dev setup tells why", allow_module_level=True)

from collector.decode.bridge import NativeDecoder  # noqa: E402

OPTIONS = DecodeOptions(actor_attributes=("http.request.header.x-user", "http.route"))


class Pair:
    """Both decoders, each with texts of its own."""

    def __init__(self, options: DecodeOptions | None = None, **bounds: int) -> None:
        self.texts = Texts(**bounds), Texts(**bounds)
        self.reference = ProtobufDecoder(self.texts[0], options)
        self.native = NativeDecoder(self.texts[1], options)

    def agree(self, body: bytes) -> Decoded | None:
        """The spans of a body, which both see alike; None when both say that it has none."""
        results: list[Any] = []
        for decoder in (self.reference, self.native):
            try:
                results.append(decoder(body))
            except MalformedInput as error:
                results.append((error.message, error.offset))
        expected, found = results
        if not isinstance(expected, Decoded):
            assert found == expected
            return None
        assert dict(found.frame.schema) == SPAN_SCHEMA
        assert_frame_equal(found.frame, expected.frame)
        assert (found.rejected, found.repaired) == (expected.rejected, expected.repaired)
        for column in SPAN_COLUMNS:
            if column.role == "text":
                codes = set(found.frame[column.name]) - {None}
                known = self.texts[0].select(codes)
                assert self.texts[1].select(codes) == known
        return expected


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


NUMBERED = (
    *[
        {"http.method": m, "http.url": u}
        for m in ("GET", "POST")
        for u in (
            "http://u:80@h:N/a/N",
            "http://h/a/N?b=N",
            "http://h/N/x-N?b=N&b=N",
            "http://10.0.0.N/vN/v1.N",
            "http://h/page/N",
            "http://h/N.json",
            "http://h/N:archive",
            "http://h/U(N);x=N",
            "h/N#N",
            "http://h/a?N",
            "http://h/?a[N]=N",
            "http://h/N/N/status",
            "http://h",
            "/a%N/N@x/N",
        )
    ],
    *[
        {"http.request.method": "GET", "url.path": p, "url.query": "q=N"}
        for p in ("/a/N", "/N/N/health")
    ],
    *[
        {"db.system": s, "db.statement": t}
        for s in ("postgresql", "mysql", "oracle", "sqlite")
        for t in (
            "SELECT a FROM t WHERE b = N AND c = 'x N' LIMIT N OFFSET N",
            "SELECT N",
            "SELECT a FROM t LIMIT N, N",
            "SELECT * FROM t WHERE id IN (N, N, -N, N.N, N) /* N */ -- N",
            'SELECT "c N" FROM `t N`',
            "INSERT INTO t VALUES (N, N), (N, N)",
            "SELECT ?N, :N, $N, @N, %N, N%N FROM [t N]",
            "N q'[N]' E'N\\N' x'N'",
            "SELECT a FROM tN WHERE b > N ORDER BY b LIMIT N",
            "SELECT N::int[N], a - N, a -N FROM t, N",
        )
    ],
    *[
        {"db.system": s, "db.statement": t}
        for s in ("redis", "memcached")
        for t in (
            "GET user:N:x",
            "MGET a:N a:N b-N",
            "SET a:N N EX N",
            "GET a [N other arguments]",
            "DEL N N",
            "GET a:N\nGET a:N\nSET b N",
            "EVAL N N",
            "HGET N{N}.N N",
            "GET userN|N/N#N",
            "GET ?N",
        )
    ],
    *[
        {"db.system": s, "db.operation": "find", "db.statement": t}
        for s in ("mongodb", "elasticsearch")
        for t in (
            '{"find": "t", "filter": {"a": N, "b.N": "N", "N": {"$in": [N, N]}}}',
            "find {a: 'x N'} skip: N",
        )
    ],
    {
        "db.system": "mysql",
        "db.statement": "SELECT ?",
        "db.statement.parameters": "N, 'N'",
        "db.query.parameter.0": "N",
    },
    {
        "db.system": "redis",
        "db.statement": "GET ?",
        "cache.key": "a:N:N",
        "db.redis.database_index": 4321,
    },
    {
        "http.method": "GET",
        "http.target": "/a/N",
        "http.url": "http://h/a/N?b=N",
        "net.peer.ip": "N",
    },
)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from([1, 2, 3]))
def test_spans_that_differ_in_numbers(seed: int, kind: int) -> None:
    dice = random.Random(seed)

    special = dice.choice((0.0, 0.02, 0.2))
    sizes = dice.sample((3, 4, 6, 10), dice.choice((1, 1, 2)))  # few, so that answers are met again

    def number() -> str:
        if dice.random() < special:
            return dice.choice(("4321", "0000", "1000", "0012", "7", "80", "1111"))
        size = dice.choice(sizes)
        return str(dice.randrange(10 ** (size - 1), 10**size))

    def drawn(told: dict[str, Any]) -> dict[str, Any]:
        fixed = number() if dice.random() < special else ""
        return {
            k: re.sub("N(?![A-Z])", lambda _: fixed or number(), v) if isinstance(v, str) else v
            for k, v in told.items()
        }

    pair = Pair()
    few = dice.sample(NUMBERED, 3)
    for _ in range(4):
        told = [drawn(dice.choice(few)) for _ in range(40)]
        spans = [
            {"kind": kind, "name": dice.choice(("GET", "GET /a/4321")), "attributes": a}
            for a in told
        ]
        assert pair.agree(request_of(spans).SerializeToString()) is not None


def test_python_is_not_asked_again_for_other_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(number: int) -> bytes:
        told = (
            {"http.method": "GET", "http.url": f"http://users:8080/users/{number}?x={number + 1}"},
            {"db.system": "mysql", "db.statement": f"SELECT a FROM t WHERE id = {number}"},
            {"db.system": "redis", "db.statement": f"GET user:{number}:eur"},
        )
        return request_of([{"kind": 3, "attributes": a} for a in told]).SerializeToString()

    pair = Pair()
    assert pair.agree(body(770_000)) is not None
    values = set()
    with monkeypatch.context() as patched:
        patched.delattr("collector.decode.bridge._Answers.facets")
        for number in range(880_000, 880_020, 2):
            frame = pair.native(body(number)).frame
            values |= set(frame["values"])
    assert len(values) == 30
    assert pair.agree(body(990_000)) is not None


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
    request = request_of([{}, {}, {}])
    spans = request.resource_spans[0].scope_spans[0].spans
    for span, count in zip(spans, (2, 0, 1), strict=True):
        for _ in range(count):
            span.links.add(trace_id=IDS[0], span_id=IDS[1])
    spans[2].links.add(trace_id=b"\x01\x02", span_id=b"")

    decoded = Pair().agree(request.SerializeToString())
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

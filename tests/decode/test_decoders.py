"""Both decoders on bytes: equal to each other, steady on broken bytes, true to what was sent."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from collector.decode import otlpjson, protobuf
from collector.decode.errors import MalformedInput
from collector.decode.model import DecodeOptions
from decode.making import IDS, decode, request_of
from detectors.kit.columns import SPAN_COLUMNS, SPAN_SCHEMA
from detectors.kit.texts import Texts, code
from support.otlp import as_json

NAMES = st.sampled_from(
    sorted({a.removesuffix("*") for c in SPAN_COLUMNS for a in c.attributes})
    + ["asgi.event.type", "something.else", "db.query.parameter.0"]
)
VALUES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "SELECT * FROM t WHERE id = 5",
            "GET ?",
            "redis",
            "postgresql",
            "mongodb",
            "http://users:80/users/5?x=1",
            "GET",
            "/a/5",
        ]
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.binary(max_size=9),
    st.lists(st.text(max_size=5), max_size=3),
)
SPANS = st.fixed_dictionaries(
    {
        "trace_id": st.one_of(st.binary(max_size=20), st.just(IDS[0])),
        "span_id": st.one_of(st.binary(max_size=10), st.just(IDS[1])),
        "parent_span_id": st.one_of(st.just(b""), st.just(IDS[1]), st.binary(max_size=9)),
        "name": st.text(max_size=20),
        "kind": st.integers(0, 5),
        "start": st.integers(0, 2**64 - 1),
        "end": st.integers(0, 2**64 - 1),
        "status": st.integers(0, 2),
        "flags": st.integers(0, 2**32 - 1),
        "trace_state": st.sampled_from(["", "ot=th:8", "ot=th:c;rv:1,x=y", "ot=th:zz", "a=b"]),
        "attributes": st.dictionaries(NAMES, VALUES, max_size=6),
        "exception": st.one_of(st.none(), st.text(min_size=1, max_size=9)),
    }
)


@settings(max_examples=150, deadline=None)
@given(spans=st.lists(SPANS, max_size=4))
def test_protobuf_and_json_give_the_same(spans: list[dict[str, Any]]) -> None:
    request = request_of(spans)

    one = protobuf.decode_traces(request.SerializeToString(), Texts())
    other = otlpjson.decode_traces(as_json(request), Texts())

    assert_frame_equal(one.frame, other.frame)
    assert one.repaired == other.repaired
    assert sum(one.rejected.values()) == sum(other.rejected.values())
    assert one.accepted + sum(one.rejected.values()) == len(spans)
    assert dict(one.frame.schema) == SPAN_SCHEMA


@settings(max_examples=200, deadline=None)
@given(spans=st.lists(SPANS, min_size=1, max_size=3), seed=st.integers(0, 2**32))
def test_broken_bytes_are_malformed_or_decoded(spans: list[dict[str, Any]], seed: int) -> None:
    dice = random.Random(seed)
    request = request_of(spans)
    for body, decoder in (
        (bytearray(request.SerializeToString()), protobuf.decode_traces),
        (bytearray(as_json(request)), otlpjson.decode_traces),
    ):
        for _ in range(dice.randint(1, 8)):
            body[dice.randrange(len(body))] = dice.randrange(256)
        cut = bytes(body[: dice.randint(0, len(body))])
        try:
            decoded = decoder(cut, Texts())
        except MalformedInput as error:
            assert error.message
        else:
            assert dict(decoded.frame.schema) == SPAN_SCHEMA


@given(body=st.binary(max_size=200))
def test_any_bytes_are_malformed_or_decoded(body: bytes) -> None:
    for decoder in (protobuf.decode_traces, otlpjson.decode_traces):
        try:
            decoder(body, Texts())
        except MalformedInput as error:
            assert error.message


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b"short"}, "invalid_trace_id"),
        ({"trace_id": bytes(16)}, "invalid_trace_id"),
        ({"span_id": b""}, "invalid_span_id"),
        ({"span_id": bytes(8)}, "invalid_span_id"),
    ],
)
def test_a_span_without_identity_is_rejected_alone(fields: dict[str, Any], reason: str) -> None:
    decoded, _ = decode([fields, {}])

    assert decoded.rejected == {reason: 1}
    assert decoded.accepted == 1


@pytest.mark.parametrize(
    ("fields", "start", "duration", "reason"),
    [
        ({"start": 20, "end": 10}, 20, 0, "end_before_start"),
        ({"start": 0, "end": 10}, 10, 0, "invalid_time"),
        ({"start": 5, "end": 2**64 - 1}, 5, 0, "invalid_time"),
    ],
)
def test_impossible_times_are_repaired(
    fields: dict[str, Any], start: int, duration: int, reason: str
) -> None:
    decoded, _ = decode([fields])

    assert decoded.frame.select("start_ns", "duration_ns").row(0) == (start, duration)
    assert decoded.repaired == {reason: 1}


def test_identity_time_and_flags() -> None:
    decoded, _ = decode(
        [
            {
                "parent_span_id": IDS[1],
                "flags": 0x300,
                "kind": 2,
                "trace_state": "a=b,ot=rv:1;th:c",
                "attributes": {"user.id": 7, "messaging.message.id": "m1"},
            }
        ]
    )
    row = decoded.frame.row(0, named=True)

    assert row["trace_hi"] == int.from_bytes(IDS[0][:8])
    assert row["parent_span_id"] == row["span_id"] == int.from_bytes(IDS[1])
    assert (row["kind"], row["remote_parent"], row["sample_ppm"]) == ("server", True, 250_000)
    assert (row["actor"], row["message_id"]) == (code("7"), code("m1"))


@pytest.mark.parametrize(
    ("resource", "instance"),
    [
        ({"service.instance.id": "a", "k8s.pod.uid": "b"}, "a"),
        ({"k8s.pod.uid": "b", "container.id": "c"}, "b"),
        ({"k8s.pod.name": "shop-0", "k8s.container.name": "web"}, "shop-0/web"),
        ({"k8s.pod.name": "shop-0"}, "shop-0"),
        ({"container.id": "c", "host.name": "h", "process.pid": 7}, "c"),
        ({"host.name": "h", "process.pid": 7}, "h/7"),
        ({"host.name": "h"}, None),
        ({}, None),
    ],
)
def test_the_instance_is_the_first_of_a_chain(
    resource: dict[str, Any], instance: str | None
) -> None:
    decoded, texts = decode([{}], **{"service.name": "shop", **resource})

    assert texts.text(decoded.frame["instance"][0]) == instance


def test_a_configured_attribute_names_the_actor() -> None:
    request = request_of([{"attributes": {"http.request.header.x-user": ["u7"], "user.id": "no"}}])
    options = DecodeOptions(actor_attributes=("http.request.header.x-user",))

    decoded = protobuf.decode_traces(request.SerializeToString(), Texts(), options)

    assert decoded.frame["actor"][0] == code("u7")


@pytest.mark.parametrize("configured", ["x-shop-user", "x_shop_user", "X-Shop-User"])
@pytest.mark.parametrize("written", ["x-shop-user", "x_shop_user"])
def test_a_configured_header_is_found_in_both_spellings(configured: str, written: str) -> None:
    request = request_of([{"attributes": {f"http.request.header.{written}": ["u7"]}}])
    options = DecodeOptions(actor_attributes=(f"http.request.header.{configured}",))

    decoded = protobuf.decode_traces(request.SerializeToString(), Texts(), options)

    assert decoded.frame["actor"][0] == code("u7")


def test_requests_about_one_thing_have_one_entity() -> None:
    spans = [
        {
            "kind": 2,
            "attributes": {"http.method": "GET", "http.target": target, "http.route": route},
        }
        for target, route in (
            ("/carts/5", "/carts/{id}"),
            ("/carts/5/items", "/carts/{id}/items"),
            ("/carts/6", "/carts/{id}"),
            ("/carts", "/carts"),
        )
    ] + [{"kind": 3, "attributes": {"http.method": "GET", "http.url": "http://x/carts/5"}}]
    decoded, _ = decode(spans)

    assert decoded.frame["entity"].to_list() == [
        code("/carts/5"),
        code("/carts/5"),
        code("/carts/6"),
        None,
        None,
    ]


def test_nested_attributes_do_not_upset_anything() -> None:
    request = request_of([{"kind": 2, "attributes": {"http.method": "GET"}}])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    for name in ("http.route", "db.system", "messaging.destination"):
        outer = span.attributes.add(key=name).value.array_value
        outer.values.add().array_value.values.add().string_value = "deep"
        outer.values.add().kvlist_value.values.add(key="k").value.int_value = 1

    one = protobuf.decode_traces(request.SerializeToString(), Texts())
    other = otlpjson.decode_traces(as_json(request), Texts())

    assert one.accepted == 1
    assert_frame_equal(one.frame, other.frame)


def test_values_of_data_never_become_texts() -> None:
    secret = "sesame-4711"
    _, texts = decode(
        [
            {"attributes": {"db.system": "memcached", "db.statement": f"get {secret}"}},
            {"attributes": {"db.system": "mysql", "db.statement": f"SELECT '{secret}'"}},
            {"attributes": {"http.method": "GET", "http.url": f"http://a/{secret}?t={secret}"}},
            {"name": f"GET /x/{secret}", "kind": 2, "attributes": {"http.method": "GET"}},
            {"attributes": {"user.id": secret, "messaging.message.id": secret}},
        ]
    )

    kept = {**texts._young, **texts._old}
    assert kept
    assert not [t for t in kept.values() if secret in t]


def test_caches_are_bounded_and_follow_the_texts() -> None:
    texts = Texts(max_texts=50)
    decoder = protobuf.ProtobufDecoder(texts)
    for number in range(40):
        spans = [
            {
                "attributes": {
                    "db.system": "mysql",
                    "db.statement": f"SELECT c{number}x FROM t{number}y",
                }
            }
        ] * 3
        frame = decoder(request_of(spans).SerializeToString()).frame
        assert texts.text(frame["shape"][2]) is not None

    assert texts.generation > 0
    assert len(texts) <= 100


def test_one_bad_string_loses_no_spans() -> None:
    body = request_of([{"name": "caf-x"}, {"name": "tea"}]).SerializeToString()
    texts = Texts()

    decoded = protobuf.decode_traces(body.replace(b"caf-x", b"caf-\xc3"), texts)

    assert decoded.repaired == {"invalid_utf8": 1}
    assert [texts.text(c) for c in decoded.frame["name"]] == ["caf-?", "tea"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"caf\xc3", "caf?"),
        (rb"cut \ud83d", "cut \ufffd"),  # as JavaScript writes half of a character
        (rb"\\uDEAD \ude00", "\\uDEAD \ufffd"),
        (rb"\ud83d\ude00 \ud83d", "\U0001f600 \ufffd"),
    ],
)
def test_json_with_broken_characters_is_mended(written: bytes, read: str) -> None:
    body = as_json(request_of([{"name": "caf-x"}])).replace(b"caf-x", written)
    texts = Texts()

    decoded = otlpjson.decode_traces(body, texts)

    assert decoded.repaired == {"invalid_utf8": 1}
    assert texts.text(decoded.frame["name"][0]) == read


def test_broken_protobuf_names_the_byte() -> None:
    body = request_of([{}]).SerializeToString()

    for broken, offset in ((body[:-3], len(body) - 3), (body + b"\x0b", len(body))):
        with pytest.raises(MalformedInput) as caught:
            protobuf.decode_traces(broken, Texts())
        assert caught.value.offset == offset


@pytest.mark.parametrize("written", ["SPAN_KIND_SERVER", "server", 2, "2"])
def test_json_enums_are_names_or_numbers(written: Any) -> None:
    document = json.loads(as_json(request_of([{}])))
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span.update(kind=written, status=None, unheardOf={"a": [1]})

    decoded = otlpjson.decode_traces(json.dumps(document).encode(), Texts())

    assert decoded.frame["kind"][0] == "server"
    assert decoded.frame["status"][0] == "unset"


@pytest.mark.parametrize("written", ["\u00b2", "9" * 5_000, 10**30, -3, "nonsense"])
def test_unknown_enums_and_numbers_are_unspecified(written: Any) -> None:
    document = json.loads(as_json(request_of([{}])))
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span.update(kind=written, startTimeUnixNano=written)

    decoded = otlpjson.decode_traces(json.dumps(document).encode(), Texts())

    assert decoded.frame["kind"][0] == "unspecified"
    assert decoded.repaired == {"invalid_time": 1}


def test_old_json_of_instrumentation_libraries() -> None:
    document = json.loads(as_json(request_of([{}])))
    resource = document["resourceSpans"][0]
    for scope in resource["scopeSpans"]:
        scope["instrumentationLibrary"] = scope.pop("scope")
    resource["instrumentationLibrarySpans"] = resource.pop("scopeSpans")
    texts = Texts()

    decoded = otlpjson.decode_traces(json.dumps(document).encode(), texts)

    assert texts.text(decoded.frame["scope"][0]) == "test"


def test_a_huge_value_is_cut_and_a_missing_service_named() -> None:
    statement = "SELECT '" + "x" * 3_000_000
    request = request_of(
        [{"attributes": {"db.system": "mysql", "db.statement": statement}}], {"a": 1}
    )
    texts = Texts()

    decoded = protobuf.decode_traces(request.SerializeToString(), texts)

    assert texts.text(decoded.frame["service"][0]) == "unknown_service"
    assert texts.text(decoded.frame["label"][0]) == "SELECT"


@pytest.mark.parametrize("where", ["span", "pair", "event", "resource", "scope"])
def test_null_fields_are_absent_fields(where: str) -> None:
    """As protobuf's own JSON mapping reads them."""
    document = json.loads(as_json(request_of([{}])))
    resource = document["resourceSpans"][0]
    scope = resource["scopeSpans"][0]
    span = scope["spans"][0]
    match where:
        case "span":
            kept = ("traceId", "spanId", "startTimeUnixNano", "endTimeUnixNano")
            span.update(dict.fromkeys(set(span) - set(kept)))
        case "pair":
            span["attributes"] = [{"key": None, "value": None}, {"key": None, "value": {}}]
        case "event":
            span["events"] = [{"name": None, "attributes": None, "timeUnixNano": None}]
            span["links"] = [{"traceId": None, "spanId": None}]
        case "resource":
            resource["resource"] = None
        case "scope":
            scope["scope"] = None

    decoded = otlpjson.decode_traces(json.dumps(document).encode(), Texts())

    assert (decoded.frame.height, decoded.rejected) == (1, {})

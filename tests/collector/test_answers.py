"""What OTLP clients are answered, over both protocols and for every signal."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from collector.receive.answers import MESSAGES
from support.otlp import as_json
from support.running import PROTOBUF, Running, as_if_now, running
from support.sketch import Case, Line, request

METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
JSON = {"content-type": "application/json"}
LIMIT = 100_000


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(max_body_bytes=LIMIT) as started:
        yield started


def post(service: Running, signal: str, content: bytes, **headers: str) -> Any:
    url = f"http://{service.at.otlp_http}/v1/{signal}"
    return service.http.post(url, content=content, headers=PROTOBUF | headers)


def call(service: Running, method: str, content: bytes, **options: Any) -> bytes:
    with grpc.insecure_channel(service.at.otlp_grpc, **options) as channel:
        return bytes(channel.unary_unary(method)(content, timeout=20))


def spans(name: str = "x") -> ExportTraceServiceRequest:
    return as_if_now(request(Case(name, [Line("shop", "GET /books", 0, 20, [])])))


@pytest.mark.parametrize("signal", METHODS)
def test_success_leaves_partial_success_unset(service: Running, signal: str) -> None:
    content = spans().SerializeToString() if signal == "traces" else b""
    response = MESSAGES[signal]

    assert not response.FromString(call(service, METHODS[signal], content)).HasField(
        "partial_success"
    )
    answered = post(service, signal, content)
    assert answered.headers["content-type"] == "application/x-protobuf"
    assert not response.FromString(answered.content).HasField("partial_success")
    in_json = post(service, signal, as_json(spans()), **JSON)
    assert in_json.headers["content-type"] == "application/json"
    assert in_json.json() == {}


@pytest.mark.parametrize(
    ("signal", "content", "headers", "status", "reason"),
    [
        ("traces", b"\xff\xff", {}, 400, "malformed"),
        ("traces", b"[]", JSON, 400, "malformed"),
        ("traces", b"", JSON, 400, "malformed"),
        ("traces", b"no", {"content-encoding": "gzip"}, 400, "malformed"),
        ("logs", b"", {"content-type": "text/plain"}, 415, "unsupported"),
        ("metrics", b"", {"content-type": ""}, 415, "unsupported"),
        ("traces", b"", {"content-encoding": "zstd"}, 415, "unsupported"),
        ("traces", b"", {"content-encoding": "gzip, gzip"}, 415, "unsupported"),
        ("traces", bytes(LIMIT + 1), {}, 413, "too_large"),
        ("logs", bytes(LIMIT + 1), {}, 413, "too_large"),
        ("traces", gzip.compress(bytes(LIMIT + 1)), {"content-encoding": "gzip"}, 413, "too_large"),
    ],
)
def test_a_refusal_has_a_status_a_body_and_a_count(
    service: Running, signal: str, content: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    line = f'spanlint_requests_refused_total{{reason="{reason}",signal="{signal}"}}'
    before = service.metric(line)

    answered = post(service, signal, content, **headers)

    assert answered.status_code == status
    if headers == JSON:
        assert answered.headers["content-type"] == "application/json"
        assert answered.json()["message"]
    else:
        assert answered.headers["content-type"] == "application/x-protobuf"
        told = Status.FromString(answered.content)
        assert told.message
        assert told.code in (grpc.StatusCode.INVALID_ARGUMENT.value[0], 12)
    assert service.metric(line) == before + 1


@pytest.mark.parametrize(
    ("method", "content", "compression", "code"),
    [
        (METHODS["traces"], b"\xff\xff", 0, "INVALID_ARGUMENT"),
        (METHODS["traces"], bytes(LIMIT + 1), 0, "RESOURCE_EXHAUSTED"),
        (METHODS["traces"], bytes(50 * LIMIT), grpc.Compression.Gzip, "RESOURCE_EXHAUSTED"),
        ("/opentelemetry.proto.collector.trace.v1.TraceService/Import", b"", 0, "UNIMPLEMENTED"),
        ("/some.other.Service/Export", b"", 0, "UNIMPLEMENTED"),
    ],
)
def test_grpc_codes(
    service: Running, method: str, content: bytes, compression: Any, code: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(service, method, content, compression=compression)

    assert caught.value.code().name == code
    assert caught.value.details()
    assert call(service, METHODS["traces"], spans().SerializeToString()) == b""


def test_grpc_bodies_may_be_compressed(service: Running) -> None:
    before = service.metric("spanlint_spans_received_total")

    call(service, METHODS["traces"], spans().SerializeToString(), compression=grpc.Compression.Gzip)

    assert service.metric("spanlint_spans_received_total") == before + 1


def test_gzip_members_that_follow_one_another_are_one_body(service: Running) -> None:
    """RFC 1952, 2.2: what stands behind the first member is no rubbish to be dropped."""
    before = service.metric("spanlint_spans_received_total")
    whole = spans("a").SerializeToString() + spans("b").SerializeToString()
    members = gzip.compress(whole[:50]) + gzip.compress(whole[50:])

    assert post(service, "traces", members, **{"content-encoding": "gzip"}).status_code == 200

    assert service.metric("spanlint_spans_received_total") == before + 2
    bomb = gzip.compress(bytes(LIMIT // 2)) * 3
    assert post(service, "traces", bomb, **{"content-encoding": "gzip"}).status_code == 413


def test_a_part_that_is_unusable_is_told_in_either_protocol(service: Running) -> None:
    half = spans("a")
    half.MergeFrom(spans("b"))
    half.resource_spans[0].scope_spans[0].spans[0].trace_id = b"short"
    before = service.metric("spanlint_spans_received_total")

    over_http = post(service, "traces", half.SerializeToString())
    over_grpc = call(service, METHODS["traces"], half.SerializeToString())
    in_json = post(service, "traces", as_json(half), **JSON)

    assert over_http.status_code == in_json.status_code == 200
    for content in (over_http.content, over_grpc):
        told = ExportTraceServiceResponse.FromString(content).partial_success
        assert (told.rejected_spans, told.error_message) == (1, "invalid_trace_id: 1")
    assert json.loads(in_json.content)["partialSuccess"]["rejectedSpans"] == "1"
    assert service.metric("spanlint_spans_received_total") == before + 3
    assert service.metric('spanlint_spans_refused_total{reason="invalid_trace_id"}') == 3


@pytest.mark.parametrize(
    ("verb", "path", "status"), [("GET", "/v1/traces", 405), ("POST", "/v1/spans", 404)]
)
def test_other_paths(service: Running, verb: str, path: str, status: int) -> None:
    url = f"http://{service.at.otlp_http}{path}"

    assert service.http.request(verb, url).status_code == status

"""Forwarding: the same bytes, whatever the upstream does; nothing lost within the queue's bound."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import time
from email.utils import format_datetime
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector import forward
from collector.forward import Forwarder
from collector.parcel import Parcel
from collector.store import Counters, Store
from collector.upstream import Failed, as_protobuf, retry_after_s
from support.otlp import as_json
from support.running import PROTOBUF, Running, as_if_now, running, until
from support.sketch import Case, Line, request
from support.upstream import Answer, free_port, upstream

PROTOCOLS = pytest.mark.parametrize("protocol", ["http", "grpc"])
METHOD = "/opentelemetry.proto.collector.{}.v1.{}Service/Export"
SERVICES = {
    "traces": ("trace", "Trace"),
    "metrics": ("metrics", "Metrics"),
    "logs": ("logs", "Logs"),
}
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff in milliseconds: what is tested is that it comes again, not how patient it is."""
    monkeypatch.setattr(forward, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(forward, "_LONGEST_WAIT_S", 0.05)


def body(signal: str, number: int) -> bytes:
    """A request of that signal, each number another."""
    if signal == "metrics":
        metrics = ExportMetricsServiceRequest()
        metrics.resource_metrics.add().scope_metrics.add().metrics.add().name = f"m{number}"
        return metrics.SerializeToString()
    if signal == "logs":
        logs = ExportLogsServiceRequest()
        record = logs.resource_logs.add().scope_logs.add().log_records.add()
        record.body.string_value = f"l{number}"
        return logs.SerializeToString()
    return spans(number).SerializeToString()


def spans(number: int) -> ExportTraceServiceRequest:
    return as_if_now(request(Case(f"{number}", [Line("shop", "GET /books", 0, 20, [])])))


def send(service: Running, signal: str, content: bytes, over: str) -> None:
    if over == "grpc":
        with grpc.insecure_channel(service.at.otlp_grpc) as channel:
            channel.unary_unary(METHOD.format(*SERVICES[signal]))(content, timeout=10)
    else:
        url = f"http://{service.at.otlp_http}/v1/{signal}"
        assert service.http.post(url, content=content, headers=PROTOBUF).status_code == 200


@PROTOCOLS
@pytest.mark.parametrize("over", ["http", "grpc"])
def test_every_signal_arrives_as_the_same_bytes(protocol: str, over: str) -> None:
    with upstream(protocol) as up, running(forward=up.url) as service:
        sent = [(signal, body(signal, n)) for signal in SERVICES for n in range(5)]
        for signal, content in sent:
            send(service, signal, content, over)

        until(lambda: len(up.taken) == len(sent))
        assert sorted(up.taken) == sorted(sent)
        for signal in SERVICES:
            until(lambda s=signal: forwarded(service, s) == 5)
        assert dropped(service) == {}


@PROTOCOLS
def test_an_upstream_that_was_down_gets_everything_once_it_is_there(protocol: str) -> None:
    port = free_port()
    sent = [("traces", body("traces", n)) for n in range(30)]
    with running(forward=f"{protocol}://127.0.0.1:{port}") as service:
        for signal, content in sent:
            send(service, signal, content, "http")
        assert service.metric("spanlint_forward_queue_bytes") == sum(len(c) for _, c in sent)

        with upstream(protocol, port) as up:  # a body whose answer is lost comes again
            until(lambda: len(set(up.taken)) == len(sent))
            assert set(up.taken) == set(sent)
            until(lambda: service.metric("spanlint_forward_queue_bytes") == 0)
        assert dropped(service) == {}


@PROTOCOLS
def test_a_slow_upstream_holds_up_nobody(protocol: str) -> None:
    with upstream(protocol) as up, running(forward=up.url) as service:
        up.gate.clear()
        sent = [("traces", body("traces", n)) for n in range(20)]
        for signal, content in sent:
            send(service, signal, content, "http")
        until(lambda: service.metric("spanlint_spans_observed_total") == 20)
        assert up.taken == []

        up.gate.set()
        until(lambda: len(up.taken) == len(sent))
        assert sorted(up.taken) == sorted(sent)


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        ("http", Answer(429)),
        ("http", Answer(429, "1")),
        ("http", Answer(502)),
        ("http", Answer(503, "0")),
        ("http", Answer(503, "Wed, 21 Oct 2015 07:28:00 GMT")),
        ("http", Answer(503, "nonsense")),
        ("http", Answer(504)),
        ("grpc", Answer(UNAVAILABLE)),
        ("grpc", Answer(UNAVAILABLE, "1")),
        ("grpc", Answer(EXHAUSTED, "1")),
        ("grpc", Answer(grpc.StatusCode.ABORTED)),
        ("grpc", Answer(grpc.StatusCode.DATA_LOSS)),
    ],
    ids=lambda value: f"{value.status} {value.after}" if isinstance(value, Answer) else value,
)
def test_what_may_be_sent_again_is_sent_again(protocol: str, answer: Answer) -> None:
    with upstream(protocol) as up, running(forward=up.url) as service:
        up.answers = [answer] * 3
        sent = [("traces", body("traces", n)) for n in range(4)]
        for signal, content in sent:
            send(service, signal, content, "http")

        until(lambda: len(up.taken) == len(sent))
        assert sorted(up.taken) == sorted(sent)
        assert up.asked == len(sent) + 3
        assert dropped(service) == {}


@pytest.mark.parametrize(
    ("protocol", "answer", "reason"),
    [
        ("http", Answer(400), "http_400"),
        ("http", Answer(401), "http_401"),
        ("http", Answer(413), "http_413"),
        ("http", Answer(500), "http_500"),
        ("http", Answer(302), "http_302"),
        ("grpc", Answer(EXHAUSTED), "grpc_resource_exhausted"),
        ("grpc", Answer(grpc.StatusCode.INVALID_ARGUMENT, "1"), "grpc_invalid_argument"),
        ("grpc", Answer(grpc.StatusCode.UNAUTHENTICATED), "grpc_unauthenticated"),
        ("grpc", Answer(grpc.StatusCode.UNIMPLEMENTED), "grpc_unimplemented"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else value,
)
def test_what_may_not_is_dropped_and_counted(protocol: str, answer: Answer, reason: str) -> None:
    with upstream(protocol) as up, running(forward=up.url) as service:
        up.answers = [answer]
        send(service, "traces", body("traces", 1), "http")
        until(lambda: dropped(service) == {reason: 1})
        second = body("traces", 2)
        send(service, "traces", second, "http")

        until(lambda: up.taken)
        assert up.taken == [("traces", second)]
        assert up.asked == 2


@PROTOCOLS
def test_the_pause_that_is_asked_for_is_kept(protocol: str) -> None:
    status: Any = 503 if protocol == "http" else UNAVAILABLE
    with upstream(protocol) as up, running(forward=up.url) as service:
        up.answers = [Answer(status, "1")]
        started = time.monotonic()
        send(service, "traces", body("traces", 1), "http")
        until(lambda: up.taken)

        assert time.monotonic() - started >= 1.0


@PROTOCOLS
def test_nothing_is_lost_within_the_bound_and_what_is_over_is_counted(protocol: str) -> None:
    contents = [body("traces", n) for n in range(20)]
    bound = sum(map(len, contents[:12]))
    with upstream(protocol) as up, running(forward=up.url, forward_queue_bytes=bound) as service:
        up.gate.clear()
        for content in contents:
            send(service, "traces", content, "http")
        lost = dropped(service)["queue_full"]
        up.gate.set()

        until(lambda: len(up.taken) == len(contents) - lost)
        assert 0 < lost <= 9
        assert {c for _, c in up.taken} == set(contents[: len(contents) - int(lost)])


@PROTOCOLS
def test_what_is_queued_is_sent_within_the_grace_period(protocol: str) -> None:
    with upstream(protocol) as up:
        with running(forward=up.url, grace_s=10.0) as service:
            up.answers = [Answer(503 if protocol == "http" else UNAVAILABLE)] * 5  # type: ignore[arg-type]
            for n in range(10):
                send(service, "traces", body("traces", n), "http")
        assert len(up.taken) == 10


@PROTOCOLS
def test_headers_are_sent(protocol: str) -> None:
    with upstream(protocol) as up:
        with running(forward=up.url, forward_headers={"X-Scope-OrgID": "team"}) as service:
            send(service, "logs", body("logs", 1), "http")
            until(lambda: up.taken)
        assert up.headers[0]["x-scope-orgid"] == "team"


@PROTOCOLS
def test_json_and_gzip_reach_either_kind_of_upstream(protocol: str) -> None:
    sent = spans(1)
    with upstream(protocol) as up, running(forward=up.url) as service:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        content = gzip.compress(as_json(sent))
        assert service.send(content, **headers).status_code == 200
        until(lambda: up.taken)

    if protocol == "http":
        assert up.taken == [("traces", content)]
        assert up.headers[0]["content-encoding"] == "gzip"
        assert up.headers[0]["content-type"] == "application/json"
    else:
        assert ExportTraceServiceRequest.FromString(up.taken[0][1]) == sent


def test_a_sender_outlives_what_nobody_thought_of(caplog: pytest.LogCaptureFixture) -> None:
    async def told() -> Counters:
        counters = Counters(Store(""), 100)
        forwarder = Forwarder("http://127.0.0.1:9", {}, 10_000, counters)

        async def send(parcel: Parcel) -> None:
            if parcel.body == b"odd":
                raise RuntimeError("odd")

        forwarder._upstream.send = send  # type: ignore[method-assign]
        forwarder.start()
        for content in (b"odd", b"odd", b"odd", b"odd", b"odd", b"right"):
            forwarder.offer(Parcel("logs", content, json=False, encoding=""))
        await forwarder.stop(5.0)
        return counters

    counters = asyncio.run(told())

    assert counters.value(forward.FORWARDED, ("logs",)) == 1
    assert counters.value(forward.DROPPED, ("logs", "internal")) == 5
    assert "forwarding failed" in caplog.text


def test_json_that_is_none_is_dropped_not_sent() -> None:
    parcel = Parcel("logs", b'{"resourceLogs": 5}', json=True, encoding="")

    with pytest.raises(Failed, match="unreadable"):
        as_protobuf(parcel)


def test_retry_after_is_seconds_or_a_date() -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    later = format_datetime(now + dt.timedelta(seconds=90), usegmt=True)

    assert retry_after_s("7", now.timestamp()) == 7
    assert retry_after_s(later, now.timestamp()) == 90
    assert retry_after_s(later, now.timestamp() + 1_000) == 0
    assert [retry_after_s(x, 0) for x in ("", "soon", "-5", "²")] == [None] * 4


def forwarded(service: Running, signal: str) -> float:
    return service.metric(f'spanlint_forward_requests_total{{signal="{signal}"}}')


def dropped(service: Running) -> dict[str, float]:
    """Requests that were not forwarded, by reason."""
    prefix = 'spanlint_forward_dropped_total{reason="'
    lines = service.get("/metrics").text.splitlines()
    return {
        line.removeprefix(prefix).partition('"')[0]: float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith(prefix)
    }

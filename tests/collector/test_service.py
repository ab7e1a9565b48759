"""The process over real sockets: what goes in, what comes out, what survives."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from collector.receive.bodies import Refusal, inflate
from collector.service import StartError
from collector.settings import Settings
from collector.store import StateError, Store
from support.otlp import as_json
from support.running import PROTOBUF, Running, as_if_now, running, until
from support.sketch import read_cases, request

TRACES_OF_RULES = Path(__file__).parents[1] / "detectors"
CASES = read_cases(TRACES_OF_RULES / "n_plus_one_query.trace")
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def lazy_loads() -> ExportTraceServiceRequest:
    return as_if_now(request(CASES[0]))


def export(address: str, body: bytes) -> Any:
    with grpc.insecure_channel(address) as channel:
        return channel.unary_unary(TRACES)(body, timeout=10)


def spans_in(body: ExportTraceServiceRequest) -> int:
    return sum(len(s.spans) for r in body.resource_spans for s in r.scope_spans)


@pytest.fixture(scope="module")
def service() -> Any:
    with running() as started:
        yield started


@pytest.mark.parametrize("how", ["http", "gzip", "deflate", "json", "json gzip", "grpc"])
def test_every_way_in_is_counted_exactly(service: Running, how: str) -> None:
    sent = lazy_loads()
    body = as_json(sent) if "json" in how else sent.SerializeToString()
    before = service.metric("spanlint_spans_received_total")
    headers = {"content-type": "application/json"} if "json" in how else {}

    if how == "grpc":
        answer = ExportTraceServiceResponse.FromString(export(service.at.otlp_grpc, body))
        assert not answer.HasField("partial_success")
    else:
        if "gzip" in how:
            body, headers["content-encoding"] = gzip.compress(body), "gzip"
        if how == "deflate":
            body, headers["content-encoding"] = zlib.compress(body), "deflate"
        response = service.send(body, **headers)
        assert response.status_code == 200, response.text
        assert response.content in (b"", b"{}")

    assert service.metric("spanlint_spans_received_total") == before + spans_in(sent)


def test_a_finding_comes_out_everywhere(service: Running) -> None:
    service.send(lazy_loads().SerializeToString())

    found = until(service.findings)[0]
    assert (found["code"], found["operation"]) == ("N101", "GET /books")
    assert found["details"]["n"] == 12
    assert service.get(f"/api/v1/findings/{found['fingerprint']}").json()["fix"]
    assert service.get("/api/v1/findings/none").status_code == 404
    assert service.get("/api/v1/findings?code=N102").json() == []
    labels = 'code="N101",operation="GET /books",service_name="shop"'
    assert service.metric(f"spanlint_occurrences_total{{{labels}}}") >= 1
    assert "SELECT authors" in service.get("/").text
    assert service.get("/readyz").status_code == service.get("/healthz").status_code == 200
    assert {r["code"] for r in service.get("/api/v1/rules").json()} >= {"N101", "N106"}
    assert service.get("/api/v1/visibility?code=N101").json()[0]["state"] == "seen"
    paths = service.get("/openapi.json").json()["paths"]
    assert {"/metrics", "/api/v1/findings", "/api/v1/rules", "/api/v1/visibility"} <= set(paths)


def test_openmetrics_carries_exemplars_when_asked_for(service: Running) -> None:
    service.send(lazy_loads().SerializeToString())
    found = until(service.findings)[0]

    plain = service.get("/metrics").text
    asked = service.get("/metrics", accept="application/openmetrics-text; version=1.0.0")

    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    assert asked.text.endswith("# EOF\n")
    assert f'# {{trace_id="{found["exemplars"][0]["trace_id"]}"}}' in asked.text
    assert "trace_id" not in plain


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff\xff", {}, 400),
        (b"{oops", {"content-type": "application/json"}, 400),
        (b"x", {"content-type": "text/plain"}, 415),
        (b"x", {"content-encoding": "br"}, 415),
        (b"not gzip", {"content-encoding": "gzip"}, 400),
        (gzip.compress(bytes(30_000_000)), {"content-encoding": "gzip"}, 413),
        (bytes(21_000_000), {}, 413),
    ],
)
def test_bad_requests_get_a_status_and_are_counted(
    service: Running, body: bytes, headers: dict[str, str], status: int
) -> None:
    response = service.send(body, **headers)

    assert response.status_code == status
    if "json" in headers.get("content-type", ""):
        assert json.loads(response.content)["message"]
    else:
        assert Status.FromString(response.content).message
    assert service.send(b"").status_code == 200  # nothing else was lost


def test_a_body_that_grows_without_a_length_is_stopped(service: Running) -> None:
    def endless() -> Any:
        for _ in range(30):
            yield bytes(1_000_000)

    url = f"http://{service.at.otlp_http}/v1/traces"
    response = service.http.post(url, content=endless(), headers=PROTOBUF)

    assert response.status_code == 413


def test_grpc_says_what_is_wrong(service: Running) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        export(service.at.otlp_grpc, b"\xff\xff\xff")

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_unusable_spans_are_a_partial_success(service: Running) -> None:
    sent = lazy_loads()
    sent.resource_spans[0].scope_spans[0].spans[0].span_id = b""

    one = ExportTraceServiceResponse.FromString(service.send(sent.SerializeToString()).content)
    other = ExportTraceServiceResponse.FromString(
        export(service.at.otlp_grpc, sent.SerializeToString())
    )
    in_json = service.send(as_json(sent), **{"content-type": "application/json"}).json()

    assert one.partial_success.rejected_spans == other.partial_success.rejected_spans == 1
    assert "invalid_span_id" in one.partial_success.error_message
    assert in_json["partialSuccess"]["rejectedSpans"] == "1"


def test_overload_asks_to_come_again() -> None:
    with running(max_rows=1, quiet_s=60.0) as service:
        assert service.send(lazy_loads().SerializeToString()).status_code == 200

        refused = service.send(lazy_loads().SerializeToString())
        with pytest.raises(grpc.RpcError) as caught:
            export(service.at.otlp_grpc, b"")

        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        details = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
        info = RetryInfo()
        assert Status.FromString(details).details[0].Unpack(info)
        assert info.retry_delay.seconds >= 1
        line = 'spanlint_requests_refused_total{reason="overloaded",signal="traces"}'
        assert service.metric(line) == 2


def test_no_answer_and_no_scrape_waits_for_a_judgement() -> None:
    ended = threading.Event()
    with running() as service:
        service.service._analysing.submit(ended.wait, 30)
        try:
            sent = lazy_loads()
            assert service.send(sent.SerializeToString()).status_code == 200
            assert service.metric("spanlint_spans_received_total") == spans_in(sent)
            assert service.metric("spanlint_open_spans") == spans_in(sent)
            assert service.findings() == []
            assert not ended.is_set()
        finally:
            ended.set()

        assert until(service.findings)[0]["code"] == "N101"
        assert service.metric("spanlint_spans_observed_total") == spans_in(sent)
        assert service.metric("spanlint_open_spans") == 0


def test_spans_that_wait_for_the_analysis_count_against_the_limit() -> None:
    ended = threading.Event()
    sent = lazy_loads()
    with running(max_rows=3 * spans_in(sent)) as service:
        service.service._analysing.submit(ended.wait, 30)
        try:
            answers = [service.send(sent.SerializeToString()).status_code for _ in range(4)]
            assert answers == [200, 200, 200, 503]
        finally:
            ended.set()
        until(lambda: service.metric("spanlint_open_spans") == 0)
        assert service.send(sent.SerializeToString()).status_code == 200

        until(lambda: service.metric("spanlint_spans_observed_total") == 4 * spans_in(sent))
        assert service.metric("spanlint_spans_received_total") == 4 * spans_in(sent)


def test_a_taken_port_is_said() -> None:
    with running() as service, pytest.raises(StartError, match="otlp_http"):
        Running(Settings(otlp_grpc="", otlp_http=service.at.otlp_http, admin="127.0.0.1:0"))


def test_stopping_judges_what_is_open_and_a_restart_remembers(tmp_path: Path) -> None:
    state = str(tmp_path / "state.sqlite")
    labels = 'code="N101",operation="GET /books",service_name="shop"'
    with running(state=state, quiet_s=60.0) as service:
        service.send(lazy_loads().SerializeToString())
        assert service.findings() == []

    with running(state=state) as service:
        first = service.findings()[0]
        before = service.metric(f"spanlint_occurrences_total{{{labels}}}")
        received = service.metric("spanlint_spans_received_total")
        assert before == 1
        assert received > 0
        service.send(lazy_loads().SerializeToString())
        until(lambda: service.metric(f"spanlint_occurrences_total{{{labels}}}") == 2)
        again = service.findings()[0]

    assert again["fingerprint"] == first["fingerprint"]
    assert again["first_seen"] == first["first_seen"]


def test_what_is_answered_while_the_process_stops_is_judged(tmp_path: Path) -> None:
    state = str(tmp_path / "state.sqlite")
    body = lazy_loads()
    answered: list[int] = []
    enough = threading.Event()

    def send(url: str) -> None:
        with httpx.Client(timeout=30, trust_env=False, headers=PROTOBUF) as client:
            with suppress(httpx.TransportError):
                while client.post(url, content=body.SerializeToString()).status_code == 200:
                    answered.append(spans_in(body))
                    if len(answered) > 50:
                        enough.set()
            enough.set()

    with ThreadPoolExecutor(4) as pool, running(state=state, quiet_s=60.0) as service:
        for _ in range(4):
            pool.submit(send, f"http://{service.at.otlp_http}/v1/traces")
        assert enough.wait(30)

    with running(state=state) as service:
        received = service.metric("spanlint_spans_received_total")
        assert received == service.metric("spanlint_spans_observed_total") >= sum(answered) > 50


def test_what_instances_know_survives_a_restart(tmp_path: Path) -> None:
    state = str(tmp_path / "state.sqlite")
    cached = read_cases(TRACES_OF_RULES / "process_local_cache.trace")[0]
    entities, entries = (f'spanlint_facts_rows{{table="{t}"}}' for t in ("entities", "entries"))
    with running(state=state) as service:
        service.send(as_if_now(request(cached)).SerializeToString())
        until(lambda: service.metric(entities) > 0)

    with running(state=state) as service:
        assert service.metric(entities) > 60
        assert service.metric(entries) == 0


def test_facts_of_another_version_are_left(tmp_path: Path) -> None:
    state = str(tmp_path / "state.sqlite")
    store = Store(state)
    store.save_facts(b"SLF0 something else")
    store.close()
    with running(state=state) as service:
        assert service.metric('spanlint_facts_rows{table="entities"}') == 0


def test_two_processes_do_not_share_a_state_file(tmp_path: Path) -> None:
    state = str(tmp_path / "state.sqlite")
    with running(state=state), pytest.raises(StateError, match="another spanlint"):
        Running(Settings(state=state))


def test_tempo_names_on_demand() -> None:
    with running(service_graph=True, red_metrics=True) as service:
        service.send(lazy_loads().SerializeToString())
        until(service.findings)
        text = service.get("/metrics").text

    graph = 'traces_service_graph_request_total{client="shop",server="postgresql-1"} 13.0'
    assert graph in text
    assert "traces_service_graph_request_server_seconds_bucket" in text
    assert 'traces_spanmetrics_calls_total{service="shop",span_kind="SPAN_KIND_SERVER"' in text


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_the_same_bytes_are_forwarded(scheme: str) -> None:
    """The upstream is another spanlint: what it received is what was sent."""
    with running() as upstream:
        address = upstream.at.otlp_http if scheme == "http" else upstream.at.otlp_grpc
        with running(forward=f"{scheme}://{address}") as service:
            sent = [lazy_loads() for _ in range(3)]
            service.send(sent[0].SerializeToString())
            service.send(gzip.compress(as_json(sent[1])), **_GZIP_JSON)
            export(service.at.otlp_grpc, sent[2].SerializeToString())
            url = f"http://{service.at.otlp_http}/v1/logs"
            logs = ExportLogsServiceRequest().SerializeToString()
            assert service.http.post(url, content=logs, headers=PROTOBUF).status_code == 200
            wanted = sum(map(spans_in, sent))

            until(lambda: upstream.metric("spanlint_spans_received_total") == wanted)
            forwarded = 'spanlint_forward_requests_total{signal="traces"}'
            until(lambda: service.metric(forwarded) == 3)
            assert service.metric('spanlint_forward_requests_total{signal="logs"}') == 1


_GZIP_JSON = {"content-type": "application/json", "content-encoding": "gzip"}


def test_an_upstream_that_is_down_is_waited_for() -> None:
    with running() as first:
        address = first.at.otlp_http
    with running(forward=f"http://{address}") as service:
        assert service.send(lazy_loads().SerializeToString()).status_code == 200
        with running(otlp_http=address) as upstream:
            until(lambda: upstream.metric("spanlint_spans_received_total") > 0)


def test_what_does_not_fit_the_queue_is_dropped_and_counted() -> None:
    with running(forward="http://127.0.0.1:9", forward_queue_bytes=10, grace_s=0.1) as service:
        assert service.send(lazy_loads().SerializeToString()).status_code == 200
        line = 'spanlint_forward_dropped_total{reason="queue_full",signal="traces"}'
        assert service.metric(line) == 1


def test_what_is_on_its_way_when_the_process_stops_is_counted(tmp_path: Path) -> None:
    state = str(tmp_path / "state.sqlite")
    with running(forward="http://127.0.0.1:9", state=state, grace_s=0.1) as service:
        assert service.send(lazy_loads().SerializeToString()).status_code == 200

    with running(state=state) as service:
        line = 'spanlint_forward_dropped_total{reason="stopped",signal="traces"}'
        assert service.metric(line) == 1


@pytest.mark.parametrize("size", [1_000, 3_000_000])
def test_inflating_stops_at_the_limit(size: int) -> None:
    plain = bytes(size)
    for encoding, packed in (("gzip", gzip.compress(plain)), ("deflate", zlib.compress(plain))):
        assert inflate(packed, encoding, size) == plain
        with pytest.raises(Refusal) as caught:
            inflate(packed, encoding, size - 1)
        assert caught.value.reason == "too_large"

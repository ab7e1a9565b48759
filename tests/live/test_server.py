"""A real `spanlint serve`, unmodified SDKs, a real promtool: nothing lost, everything agrees."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.demo.spanlint import Served, serving
from live.metrics import metrics, wait_for_metrics
from live.recording import ROOT, Found, as_found
from support.otlp import as_json
from support.sketch import Case, Line, request

CLIENTS = ("grpc", "http", "grpc", "http")
TRACES, SPANS = 1_250, 10
RECEIVED = "spanlint_spans_received_total"
OBSERVED = "spanlint_spans_observed_total"
OBSERVED_TRACES = "spanlint_traces_observed_total"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as found:
        yield found


def test_nothing_is_lost_between_four_sdks_and_the_facts(served: Served) -> None:
    commands = [
        [
            sys.executable,
            str(ROOT / "tests/live/apps/emitter.py"),
            protocol,
            f"http://{served.otlp_grpc}" if protocol == "grpc" else served.otlp_http,
            str(TRACES),
            str(SPANS),
        ]
        for protocol in CLIENTS
    ]
    running = [subprocess.Popen(c, stdout=subprocess.PIPE, text=True) for c in commands]
    sent = [int(process.communicate(timeout=120)[0]) for process in running]

    assert sum(sent) == 50_000
    wanted = {RECEIVED: 50_000, OBSERVED: 50_000, OBSERVED_TRACES: 5_000}
    found = wait_for_metrics(served.admin, wanted)
    assert {name: found[name] for name in wanted} == wanted
    assert found["spanlint_spans_late_total"] == 0
    assert found.get("spanlint_requests_refused_total", 0) == 0


@pytest.mark.parametrize("everything", [False, True])
def test_promtool_finds_nothing_wrong_with_the_metrics(everything: bool, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not installed (Debian package prometheus)"
    options = {"service_graph": "true", "red_metrics": "true", "forward": "http://127.0.0.1:9"}
    with serving(tmp_path, **(options if everything else {})) as served:
        send(served, [lazy_loads()])
        assert httpx.post(f"{served.otlp_http}/v1/traces").status_code == 415
        wait_for_metrics(served.admin, {"spanlint_active_findings": 1})
        exposed = httpx.get(f"{served.admin}/metrics").text
    assert ("traces_spanmetrics_latency_bucket" in exposed) is everything
    assert "spanlint_requests_refused_total{" in exposed

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exposed, capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_trace_split_over_ten_requests_in_any_order_is_one_trace(
    served: Served, seed: int
) -> None:
    pieces = split(lazy_loads(), 10)
    random.Random(seed).shuffle(pieces)

    send(served, pieces)

    found = wait_for_metrics(served.admin, {"spanlint_active_findings": 1})
    assert found[OBSERVED_TRACES] == 1
    answer = httpx.get(f"{served.admin}/api/v1/findings").json()
    assert [as_found(f) for f in answer] == [
        Found("N101", "GET /books", "SELECT authors by id", (12, 12), entries=1)
    ]


def test_check_and_the_server_find_the_same(served: Served, tmp_path: Path) -> None:
    whole = lazy_loads(traces=7)
    recording = tmp_path / "recording.jsonl"
    recording.write_bytes(b"".join(as_json(piece) + b"\n" for piece in split(whole, 5)))
    (tmp_path / "recording.pb").write_bytes(whole.SerializeToString())

    send(served, split(whole, 20))
    wait_for_metrics(served.admin, {OBSERVED_TRACES: 7, "spanlint_active_findings": 1})
    live = {(f["fingerprint"], f["occurrences"], f["traces"]) for f in findings(served)}

    for name in ("recording.jsonl", "recording.pb"):
        assert check(tmp_path / name) == live
    assert metrics(served.admin)[OBSERVED_TRACES] == 7


def lazy_loads(traces: int = 1) -> ExportTraceServiceRequest:
    """A request that reads books and then each author; ended just now, as the server expects."""
    entry = Line("shop", "GET /books", 0, 120, [])
    entry.children = [
        Line("shop", "SELECT * FROM books", 2, 6, []),
        Line("shop", "SELECT * FROM authors WHERE id = %s", 8, 110, ["x12"]),
    ]
    drawn = request(Case("lazy loads", [entry], traces=traces))
    ahead = time.time_ns() - 60_000_000_000
    first = min(s.start_time_unix_nano for s in spans_of(drawn))
    for span in spans_of(drawn):
        span.start_time_unix_nano += ahead - first
        span.end_time_unix_nano += ahead - first
    return drawn


def spans_of(drawn: ExportTraceServiceRequest):
    return [s for r in drawn.resource_spans for scope in r.scope_spans for s in scope.spans]


def split(whole: ExportTraceServiceRequest, parts: int) -> list[ExportTraceServiceRequest]:
    """The spans of one resource dealt out to so many requests."""
    resource = whole.resource_spans[0]
    pieces = []
    for part in range(parts):
        piece = ExportTraceServiceRequest()
        copy = piece.resource_spans.add(resource=resource.resource)
        scope = copy.scope_spans.add(scope=resource.scope_spans[0].scope)
        scope.spans.extend(resource.scope_spans[0].spans[part::parts])
        pieces.append(piece)
    return pieces


def send(served: Served, requests: list[ExportTraceServiceRequest]) -> None:
    with httpx.Client(headers={"Content-Type": "application/x-protobuf"}) as client:
        for piece in requests:
            url = f"{served.otlp_http}/v1/traces"
            assert client.post(url, content=piece.SerializeToString()).status_code == 200


def findings(served: Served) -> list[dict]:
    found: list[dict] = httpx.get(f"{served.admin}/api/v1/findings").json()
    return found


def check(path: Path) -> set[tuple[str, int, int]]:
    ran = subprocess.run(
        [sys.executable, "-m", "collector.cli.main", "check", str(path), "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    found = json.loads(ran.stdout)["findings"]
    return {(f["fingerprint"], f["occurrences"], f["traces"]) for f in found}

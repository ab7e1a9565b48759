"""`spanlint serve` as a process: starts, ends gently, is killed, comes back."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.commands import ROOT
from support.running import as_if_now, until
from support.serving import COMMAND, Process
from support.sketch import Case, Line, request
from support.upstream import upstream

OCCURRENCES = (
    "spanlint_occurrences_total",
    (("code", "N101"), ("operation", "GET /books"), ("service_name", "shop")),
)
RECEIVED = ("spanlint_spans_received_total", ())


def lazy_loads(number: int) -> ExportTraceServiceRequest:
    entry = Line("shop", "GET /books", 0, 120, [])
    entry.children = [Line("shop", "SELECT * FROM authors WHERE id = %s", 8, 110, ["x12"])]
    return as_if_now(request(Case(f"lazy {number}", [entry])))


def finding(server: Process) -> Any:
    return next(iter(server.get("/api/v1/findings").json()), None)


def test_findings_and_counters_survive_kill_9_and_never_go_down(tmp_path: Path) -> None:
    settings = {"state": tmp_path / "state.sqlite", "service_graph": True, "red_metrics": True}
    highest: dict[Any, float] = {}

    def scrape(server: Process) -> dict[Any, float]:
        found = server.series()
        fallen = {
            key: (value, found.get(key))
            for key, value in highest.items()
            if found.get(key, -1) < value
            and not key[0].startswith("process_")  # a new one is young
        }
        assert not fallen
        highest.update(found)
        return found

    with Process(tmp_path, **settings) as server:
        for number in range(5):
            assert server.send(lazy_loads(number).SerializeToString()).status_code == 200
            scrape(server)
        until(lambda: scrape(server).get(OCCURRENCES) == 5)
        first = finding(server)
        assert server.send(lazy_loads(5).SerializeToString()).status_code == 200
        received = scrape(server)[RECEIVED]
        server.process.kill()
        assert server.ended() == -signal.SIGKILL

    with Process(tmp_path, **settings) as server:
        assert scrape(server)[RECEIVED] == received == 6 * 13
        assert finding(server)["fingerprint"] == first["fingerprint"]
        for number in range(6, 9):
            server.send(lazy_loads(number).SerializeToString())
            scrape(server)
        until(lambda: scrape(server).get(OCCURRENCES) == 8), "that of the killed window is lost"
        again = finding(server)
        server.send(lazy_loads(9).SerializeToString())
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == 0

    with Process(tmp_path, **settings) as server:
        assert scrape(server)[OCCURRENCES] == 9, "an open trace is judged before the end"
        last = finding(server)
    assert first["first_seen"] == again["first_seen"] == last["first_seen"]
    assert first["last_seen"] < again["last_seen"] <= last["last_seen"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_gentle_end_flushes_and_says_that_it_ends(
    tmp_path: Path, protocol: str, number: signal.Signals
) -> None:
    with upstream(protocol) as up, Process(tmp_path, forward=up.url) as server:
        up.gate.clear()
        bodies = [lazy_loads(n).SerializeToString() for n in range(10)]
        for body in bodies:
            assert server.send(body).status_code == 200
        assert server.get("/readyz").status_code == 200

        server.process.send_signal(number)
        until(lambda: server.get("/readyz").status_code == 503)
        assert server.get("/healthz").status_code == 200
        refused = server.send(bodies[0])
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0

        up.gate.set()
        assert server.ended() == 0
        assert sorted(b for _, b in up.taken) == sorted(bodies)


def test_the_grace_period_ends(tmp_path: Path) -> None:
    """An upstream that never answers: what was not sent is counted, the process ends."""
    settings = {"state": tmp_path / "state.sqlite", "grace_s": 0.5}
    with upstream("http") as up, Process(tmp_path, forward=up.url, **settings) as server:
        up.gate.clear()
        for number in range(9):
            server.send(lazy_loads(number).SerializeToString())
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == 0

    dropped = ("spanlint_forward_dropped_total", (("reason", "stopped"), ("signal", "traces")))
    with Process(tmp_path, **settings) as server:
        assert server.series()[dropped] == 9


def test_connections_that_stay_open_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with Process(tmp_path, grace_s=1) as server:
        host, port = server.at["otlp_http"].rsplit(":", 1)
        with socket.create_connection((host, int(port))) as half:
            half.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\nhalf")
            server.process.send_signal(signal.SIGTERM)
            assert server.ended() == 0


@pytest.mark.parametrize("name", ["otlp_grpc", "otlp_http", "admin"])
def test_a_taken_port_is_one_line(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = tmp_path / "spanlint.yaml"
        anywhere = dict.fromkeys(("otlp_grpc", "otlp_http", "admin"), "127.0.0.1:0")
        config.write_text("".join(f"{k}: {v}\n" for k, v in (anywhere | {name: address}).items()))
        done = subprocess.run(
            [*COMMAND, "serve", "--config", str(config)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )

    assert done.returncode == 2
    assert done.stderr.startswith(f"spanlint: {name}: cannot listen on {address}: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("forward: ftp://x", "forward: wanted http://"),
        ("state: /proc/nothing/state.sqlite", "/proc/nothing/state.sqlite"),
        ("quiet: 1", "unknown setting 'quiet'"),
        ("otlp_grpc: '127.0.0.1:99999'", "otlp_grpc must be host:port"),
    ],
)
def test_what_it_cannot_start_with_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "spanlint.yaml"
    anywhere = [f"{name}: 127.0.0.1:0" for name in ("otlp_grpc", "otlp_http", "admin")]
    kept = [line for line in anywhere if line.partition(":")[0] not in text]
    config.write_text("\n".join([*kept, text]) + "\n")
    done = subprocess.run(
        [*COMMAND, "serve", "--config", str(config)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_no_state_is_said(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    state.write_bytes(b"this is no database" * 100)

    done = subprocess.run(
        [*COMMAND, "serve", "--state", str(state)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert str(state) in done.stderr
    assert done.stderr.count("\n") == 1


def test_parts_can_be_off(tmp_path: Path) -> None:
    with Process(tmp_path, otlp_grpc="''", otlp_http="''") as server:
        assert set(server.at) == {"admin"}
        assert server.get("/readyz").status_code == 200


def test_requests_at_the_moment_of_the_end_are_taken_or_refused(tmp_path: Path) -> None:
    """What was answered with success was counted and forwarded; nothing is half taken."""
    state = tmp_path / "state.sqlite"
    taken: list[int] = []
    with upstream("http") as up:
        with Process(tmp_path, state=state, forward=up.url) as server:
            begun = threading.Event()

            def send() -> None:
                with httpx.Client(trust_env=False, timeout=20) as client:
                    url = f"http://{server.at['otlp_http']}/v1/traces"
                    kind = {"content-type": "application/x-protobuf"}
                    for number in range(10_000):
                        body = lazy_loads(number).SerializeToString()
                        try:
                            if client.post(url, content=body, headers=kind).status_code != 200:
                                return
                        except httpx.TransportError:
                            return
                        taken.append(number)
                        if number == 20:
                            begun.set()

            sender = threading.Thread(target=send)
            sender.start()
            assert begun.wait(60)
            server.process.send_signal(signal.SIGTERM)
            assert server.ended() == 0
            sender.join()
        assert len(up.taken) >= len(taken) > 20
    with Process(tmp_path, state=state) as server:
        found = server.series()
        assert found[RECEIVED] == 13 * len(up.taken)
        assert found["spanlint_spans_observed_total", ()] == 13 * len(up.taken)

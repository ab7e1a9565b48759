"""`spanlint capture`: real SDKs as children, their exit codes, signals, what is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import ROOT, spanlint

LOOP = """
import os, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("child")
KIND = trace.SpanKind


def books():
    route = {"http.request.method": "GET", "http.route": "/books", "url.path": "/books"}
    with tracer.start_as_current_span("GET /books", kind=KIND.SERVER, attributes=route):
        for i in range(12):
            query = f"SELECT * FROM authors WHERE id = {i}"
            seen = {"db.system.name": "postgresql", "db.query.text": query}
            with tracer.start_as_current_span("SELECT", kind=KIND.CLIENT, attributes=seen):
                pass
"""
ONCE = (
    LOOP + "\nbooks(); provider.shutdown(); print(sys.stdin.read()); sys.exit(int(sys.argv[1]))\n"
)
SERVER = (
    LOOP
    + """
import signal
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as many servers: only SIGINT flushes
books()
print("ready", flush=True)
try:
    signal.pause()
except KeyboardInterrupt:
    provider.shutdown()
"""
)


@pytest.fixture
def child(tmp_path: Path) -> Path:
    path = tmp_path / "child.py"
    path.write_text(ONCE)
    return path


@pytest.mark.parametrize("protocol", ["", "http/protobuf", "grpc"])
def test_the_spans_of_an_sdk_are_checked(protocol: str, child: Path) -> None:
    env = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_SERVICE_NAME": "shop"}

    done = spanlint(
        "capture", "--format", "json", "--output", "/dev/stderr", "--",
        sys.executable, child, "0", given=b"through stdin", env=env,
    )  # fmt: skip

    assert done.code == 1, done.err
    assert done.out == "through stdin\n", "the child's own output, and nothing else"
    found = json.loads(done.err)["findings"]
    assert [(f["code"], f["service"], f["details"]["n"]) for f in found] == [("N101", "shop", 12)]


def test_the_failure_of_the_child_passes_first(child: Path) -> None:
    done = spanlint("capture", "--", sys.executable, child, "7")

    assert done.code == 7
    assert "N101" in done.out


def test_what_arrived_can_be_kept(child: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.otlp"

    spanlint("capture", "--save", kept, "--", sys.executable, child, "0")

    assert spanlint("check", kept).code == 1


def test_a_command_without_spans_is_not_green() -> None:
    done = spanlint("capture", "--", sys.executable, "-c", "")

    assert done.code == 3
    assert "is it instrumented?" in done.err


def test_a_command_that_is_not_there() -> None:
    done = spanlint("capture", "--", "/no/such/command")

    assert done.code == 2
    assert "/no/such/command" in done.err
    assert "Traceback" not in done.err


def test_the_options_of_the_command_are_its_own() -> None:
    done = spanlint("capture", "--", sys.executable, "-c", "import sys; print(sys.argv)", "--save")

    assert "['-c', '--save']" in done.out


def test_a_server_is_ended_gently(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    command = [sys.executable, "-m", "collector.cli.main", "capture", "--"]
    with subprocess.Popen(
        [*command, sys.executable, str(tmp_path / "server.py")],
        cwd=ROOT,
        env=os.environ | {"OTEL_BSP_SCHEDULE_DELAY": "60000"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGTERM)
        out, _ = running.communicate(timeout=60)

    assert running.returncode == 1
    assert "12 times" in out


def test_a_server_can_be_given_some_time(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)

    done = spanlint("capture", "--for", "2", "--", sys.executable, tmp_path / "server.py")

    assert done.code == 1, done.err
    assert "N101" in done.out


def test_pytest_under_zero_code_instrumentation(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(
        "import sqlite3\n"
        "from opentelemetry import trace\n"
        "def test_books():\n"
        "    db = sqlite3.connect(':memory:')\n"
        "    cursor = db.cursor()\n"
        "    cursor.execute('CREATE TABLE authors (id INTEGER, name TEXT)')\n"
        "    with trace.get_tracer('t').start_as_current_span('test_books'):\n"
        "        for i in range(9):\n"
        "            cursor.execute('SELECT name FROM authors WHERE id = ?', (i,)).fetchall()\n"
    )
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")

    done = spanlint(
        "capture", "--fail-on", "info", "--",
        instrument, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path,
        env={"OTEL_SERVICE_NAME": "shop-tests"},
    )  # fmt: skip

    assert done.code == 1, done.out + done.err
    assert "1 passed" in done.out
    assert "SELECT authors by id runs 9 times in one test_books" in done.out

"""The processes of the demo: the shop's services under `opentelemetry-instrument`."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from collector.demo.backing import NotStarted, free_port, listening, stop, wait_until

_MODULES = {
    "sqlalchemy": "sqlalchemy",
    "psycopg": "psycopg",
    "redis": "redis",
    "celery": "celery",
    "opentelemetry.instrumentation.fastapi": "opentelemetry-instrumentation-fastapi",
    "opentelemetry.instrumentation.sqlalchemy": "opentelemetry-instrumentation-sqlalchemy",
    "opentelemetry.instrumentation.psycopg": "opentelemetry-instrumentation-psycopg",
    "opentelemetry.instrumentation.httpx": "opentelemetry-instrumentation-httpx",
    "opentelemetry.instrumentation.redis": "opentelemetry-instrumentation-redis",
    "opentelemetry.instrumentation.celery": "opentelemetry-instrumentation-celery",
    "opentelemetry.distro": "opentelemetry-distro",
}
"""What the shop needs beyond spanlint itself: module -> distribution."""


@dataclass(frozen=True, slots=True)
class Backing:
    """What the shop stores its things in: SQLAlchemy URL, and Redis URL or empty."""

    database_url: str
    redis_url: str


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where the shop's spans go (OTLP/HTTP), and in which semantic conventions."""

    endpoint: str
    new_conventions: bool = False


def missing() -> list[str]:
    """Distributions of the demo extra that are not installed."""
    absent = []
    for module, distribution in _MODULES.items():
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            absent.append(distribution)
    return absent


def environment(telemetry: Telemetry) -> dict[str, str]:
    """The environment of an instrumented process: OTEL_… as we need it, whatever it was here."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    return {
        **inherited,
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": telemetry.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "300",
        "OTEL_BSP_MAX_QUEUE_SIZE": "20000",
        **({"OTEL_SEMCONV_STABILITY_OPT_IN": "http,database"} if telemetry.new_conventions else {}),
    }


def instrumented(name: str, command: Sequence[str]) -> list[str]:
    """`command` under `opentelemetry-instrument`: no line of the service knows of spans."""
    launcher = Path(sys.executable).parent / "opentelemetry-instrument"
    return [str(launcher), "--service_name", name, *command]


@contextmanager
def running(
    names: Sequence[str], backing: Backing, telemetry: Telemetry, folder: Path
) -> Iterator[dict[str, str]]:
    """The services, answering; gives service -> base URL. Ends them so that no span is lost."""
    ports = {name: free_port() for name in names}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    shared = {
        **environment(telemetry),
        "SHOP_DATABASE_URL": backing.database_url,
        **({"SHOP_REDIS_URL": backing.redis_url} if backing.redis_url else {}),
        "CATALOGUE_URL": urls.get("catalogue", ""),
    }
    with ExitStack() as started:
        starting = [
            (_start(name, ports[name], shared, folder, started), name, ports[name])
            for name in names
        ]
        for process, name, port in starting:
            wait_until(partial(listening, port), process, folder / f"{name}.log")
        yield urls


def _start(
    name: str, port: int, shared: Mapping[str, str], folder: Path, started: ExitStack
) -> subprocess.Popen[bytes]:
    app = f"collector.demo.{name}:app"
    command = [sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port)]
    try:
        with (folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                instrumented(name, command),
                env=dict(shared),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except FileNotFoundError as error:
        raise NotStarted(f"{error.filename} is not there: install spanlint[demo]") from None
    # uvicorn under SIGTERM ends without flushing the batch processor; under SIGINT it flushes
    started.callback(stop, process, signal.SIGINT)
    return process

"""`spanlint serve` as a process of its own, on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from collector.demo import backing
from collector.demo.backing import NotStarted

QUICK = {"quiet_s": "2", "judge_interval_s": "1"}
"""spanlint's own are for production, where spans trickle in; here they come within 0.3 s."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where a running spanlint listens: base URLs, and host:port for gRPC."""

    admin: str
    otlp_http: str
    otlp_grpc: str


@contextmanager
def serving(folder: Path, *, admin_port: int = 0, **settings: str) -> Iterator[Served]:
    """Starts it, waits until it is ready, ends it with SIGTERM; its log and state are in `folder`.

    Raises NotStarted when the admin port is taken or the process ends.
    """
    if admin_port and backing.listening(admin_port):
        raise NotStarted(
            f"port {admin_port} is taken (by another spanlint?): choose one with --port, 0 for any"
        )
    admin, http, grpc = (
        f"127.0.0.1:{port}"
        for port in (admin_port or backing.free_port(), backing.free_port(), backing.free_port())
    )
    chosen = {
        **QUICK,
        "admin": admin,
        "otlp_http": http,
        "otlp_grpc": grpc,
        "state": str(folder / "state.sqlite"),
        **settings,
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SPANLINT_"))}
    variables = {f"SPANLINT_{name.upper()}": value for name, value in chosen.items()}
    log = folder / "spanlint.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "collector.cli.main", "serve"],
            env={**inherited, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone; we end the others in order
        )
    try:
        backing.wait_until(lambda: _ready(admin), process, log)
        yield Served(f"http://{admin}", f"http://{http}", grpc)
    finally:
        backing.stop(process, signal.SIGTERM)


def _ready(admin: str) -> bool:
    try:
        return httpx.get(f"http://{admin}/readyz", timeout=1).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False

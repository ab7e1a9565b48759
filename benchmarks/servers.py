"""The servers that are compared: how each is started, where it listens, what CPU it took.

A server is pinned to one core, the sender and the upstream to another where there is one. Peers
that are no Python packages are picked up from PATH.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUIET_S, MAX_AGE_S = 0.5, 1.5
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, SENDER_CORE = _CORES[0], _CORES[-1]
_READY_S = 30.0
_COLLECTOR = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
processors:
  memory_limiter: {{check_interval: 1s, limit_mib: 2000}}
  batch: {{}}
exporters:
{exporter}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [out]}}
"""


@dataclass(slots=True)
class Server:
    """A started server. Addresses are host:port, empty where it does not listen."""

    name: str
    grpc: str
    http: str
    process: subprocess.Popen[bytes]
    admin: str = ""
    ready_s: float = 0.0
    spent: Callable[[], float] = field(init=False)

    def __post_init__(self) -> None:
        self.spent = lambda: sum(map(_cpu_s, _family(self.process.pid)))

    def memory_mb(self, name: str = "VmRSS") -> float:
        """Resident memory, or its peak (`VmHWM`), of the server and its children."""
        return sum(_memory_mb(pid, name) for pid in _family(self.process.pid))


def _cpu_s(pid: int) -> float:
    """CPU of all threads of a process, ended ones too, finer than the ticks of /proc/PID/stat.

    The number of the clock is what clock_getcpuclockid(3) gives on Linux.
    """
    try:
        return time.clock_gettime(((~pid) << 3) | 2)
    except OSError:
        return 0.0


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def _memory_mb(pid: int, name: str) -> float:
    with suppress(OSError):
        for row in Path(f"/proc/{pid}/status").read_text().splitlines():
            if row.startswith(name + ":"):
                return int(row.split()[1]) / 1_000
    return 0.0


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((host, int(port))) == 0


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started inside runs on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def started(  # noqa: PLR0913 - what a server is
    name: str,
    command: list[str],
    grpc: str = "",
    http: str = "",
    admin: str = "",
    core: int = SERVER_CORE,
    environ: dict[str, str] | None = None,
) -> Iterator[Server]:
    """The server until the end of the block; raises RuntimeError when it does not come up."""
    began = time.monotonic()
    with pinned(core):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if not admin else subprocess.DEVNULL,
        )
    server = Server(name, grpc, http, process, admin)
    try:
        while not all(map(_listens, filter(None, (grpc, http, admin)))):
            if process.poll() is not None or time.monotonic() - began > _READY_S:
                raise RuntimeError(f"{name} did not start: {' '.join(command)}")
            time.sleep(0.01)
        server.ready_s = time.monotonic() - began
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def spanlint(
    name: str = "spanlint",
    forward: str = "",
    quiet_s: float = QUIET_S,
    max_age_s: float = MAX_AGE_S,
) -> object:
    """`spanlint serve` with all rules; traces close after seconds, so that a run is short."""
    grpc, http, admin = (f"127.0.0.1:{free_port()}" for _ in range(3))
    command = [sys.executable, "-m", "collector.cli.main", "serve"]
    command += ["--otlp-grpc", grpc, "--otlp-http", http, "--admin", admin]
    if forward:
        command += ["--forward", forward]
    window = {"SPANLINT_QUIET_S": str(quiet_s), "SPANLINT_MAX_AGE_S": str(max_age_s)}
    return started(name, command, grpc, http, admin, environ=window)


def rotel_binary() -> str | None:
    """The agent inside the PyPI package, or one on PATH."""
    spec = find_spec("rotel")
    if spec is not None and spec.origin:
        inside = Path(spec.origin).with_name("rotel-agent")
        if inside.exists():
            return str(inside)
    return shutil.which("rotel")


def rotel(name: str, folder: Path, forward: str = "", protocol: str = "grpc") -> object:
    """Rotel that throws spans away, or forwards them uncompressed as spanlint does."""
    grpc, http = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command = [str(rotel_binary()), "start", "--otlp-grpc-endpoint", grpc]
    command += ["--otlp-http-endpoint", http, "--otlp-grpc-max-recv-msg-size-mib", "64"]
    command += ["--pid-file", str(folder / f"{name}.pid"), "--log-file", str(folder / "rotel.log")]
    if forward:
        command += ["--exporter", "otlp", "--otlp-exporter-endpoint", forward]
        command += ["--otlp-exporter-protocol", protocol, "--otlp-exporter-compression", "none"]
    else:
        command += ["--exporter", "blackhole"]
    return started(name, command, grpc, http)


def floor(kind: str, core: int = SERVER_CORE, name: str = "") -> object:
    """The bare server of one protocol."""
    address = f"127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "benchmarks.floors", kind, str(port)]
    if kind == "grpc":
        return started(name or "bare grpc.aio", command, grpc=address, core=core)
    return started(name or "bare ASGI", command, http=address, core=core)


def collector(binary: str, folder: Path, forward: str = "") -> object:
    """An OpenTelemetry Collector with memory_limiter and batch."""
    grpc, http = free_port(), free_port()
    exporter = f'  otlphttp/out: {{endpoint: "{forward}", compression: none}}'
    text = _COLLECTOR.format(
        grpc=grpc, http=http, exporter=exporter if forward else "  nop/out: {}"
    ).replace("[out]", "[otlphttp/out]" if forward else "[nop/out]")
    name = f"{Path(binary).name}{' forward' if forward else ''}"
    config = folder / f"{name.replace(' ', '-')}.yaml"
    config.write_text(text)
    command = [binary, "--config", str(config)]
    return started(name, command, f"127.0.0.1:{grpc}", f"127.0.0.1:{http}")


def perf_sentinel(binary: str, folder: Path) -> object:
    """perf-sentinel's daemon."""
    grpc, http = free_port(), free_port()
    config = folder / "perf-sentinel.toml"
    config.write_text(
        f'[daemon]\nlisten_address = "127.0.0.1"\nlisten_port_http = {http}\n'
        f'listen_port_grpc = {grpc}\njson_socket = "{folder}/sentinel.sock"\ntrace_ttl_ms = 1000\n'
    )
    command = [binary, "watch", "--config", str(config)]
    return started("perf-sentinel", command, f"127.0.0.1:{grpc}", f"127.0.0.1:{http}")

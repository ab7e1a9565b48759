"""A private OTLP receiver for one command: what arrives is kept as it came, to be checked after.

Bodies are written to one file behind their length (4 bytes, big-endian), which is the format of the
Collector's file exporter: `check` reads it, and so do others.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import grpc
import uvicorn

from collector.receive.bodies import Refusal, inflate

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType, TracebackType

HOST = "127.0.0.1"
MAX_BODY_BYTES = 64 * 1024 * 1024
GRACE_S = 10.0
"""Between SIGINT, SIGTERM and SIGKILL: SDKs flush on a gentle end only."""
_TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_OTHERS = (
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
)
_JSON = b"application/json"
_PROTOBUF = b"application/x-protobuf"

_Message = MutableMapping[str, Any]


class Receiver:
    """OTLP over HTTP (protobuf and JSON) and gRPC on free loopback ports. Use as a context manager.

    Args:
        path: where the bodies of trace requests go; made anew.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._lock = threading.Lock()
        self.requests = 0
        self._socket = socket.create_server((HOST, 0))
        self.http_port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self._asgi, interface="asgi3", log_level="critical", lifespan="off", access_log=False
        )
        self._http = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._http.run, args=([self._socket],), daemon=True)
        self._pool = ThreadPoolExecutor(4)
        limit = ("grpc.max_receive_message_length", MAX_BODY_BYTES)
        self._grpc = grpc.server(self._pool, handlers=(_Export(self.keep),), options=(limit,))
        self.grpc_port: int = self._grpc.add_insecure_port(f"{HOST}:0")

    def __enter__(self) -> Self:
        self._thread.start()
        self._grpc.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._grpc.stop(1.0).wait()
        self._pool.shutdown()
        self._http.should_exit = True
        self._thread.join()
        self._socket.close()
        self._file.close()

    def keep(self, body: bytes) -> None:
        """One trace request, as bytes of OTLP protobuf or JSON."""
        if body:
            with self._lock:
                self._file.write(struct.pack(">I", len(body)) + body)
                self.requests += 1

    def endpoint(self, protocol: str) -> str:
        """Where a child that speaks `protocol` sends to."""
        return f"http://{HOST}:{self.grpc_port if protocol == 'grpc' else self.http_port}"

    async def _asgi(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        headers = dict(scope["headers"])
        body = await _body(receive)
        status = 200
        try:
            encoding = headers.get(b"content-encoding", b"").decode("latin-1")
            body = inflate(body, encoding, MAX_BODY_BYTES)
            if scope["path"] == "/v1/traces":
                self.keep(body)
        except Refusal as refusal:
            status = refusal.http_status
        json = headers.get(b"content-type", b"").startswith(_JSON)
        told = [(b"content-type", _JSON if json else _PROTOBUF)]
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": b"{}" if json else b""})


async def _body(receive: Callable[[], Awaitable[_Message]]) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


class _Export(grpc.GenericRpcHandler):
    """The Export calls of all signals; only traces are kept. The empty response means success."""

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        def traces(body: bytes, _: grpc.ServicerContext) -> bytes:
            keep(body)
            return b""

        def ignored(_: bytes, __: grpc.ServicerContext) -> bytes:
            return b""

        handler: Any = grpc.unary_unary_rpc_method_handler
        self._handlers = {_TRACES: handler(traces)} | dict.fromkeys(_OTHERS, handler(ignored))

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method, None when there is none."""
        return self._handlers.get(handler_call_details.method)


def environment(given: dict[str, str], receiver: Receiver) -> dict[str, str]:
    """The child's environment: its SDK, whatever it is, sends its traces here, all and soon.

    Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
    """
    env = dict(given)
    traces = env.pop("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", None)
    env.pop("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None)
    protocol = traces or env.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    env |= {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint(protocol),
        "OTEL_TRACES_EXPORTER": "otlp",
    }
    quiet = {
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, (env.get(name), HOST)))
    return quiet | env


def run(command: Sequence[str], env: dict[str, str], seconds: float | None = None) -> int:
    """Runs a command to its end, or for `seconds`; its exit code, 128 + n when a signal ended it.

    Standard streams are its own. Signals to us end it gently: SIGINT, which flushes SDKs, first. A
    child that we ended so did not fail: 0. Raises OSError when it cannot be started.
    """
    # The child keeps our streams; what to run is what the user asked for.
    with subprocess.Popen(command, env=env) as child:  # noqa: S603
        ending = _Ending(child)
        before = {s: signal.signal(s, ending.asked) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            code = _wait(child, ending, seconds)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    gently = code in (0, -signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM)
    if ending.begun and gently:
        return 0
    return 128 - code if code < 0 else code


class _Ending:
    """Ends a child in steps: SIGINT, then SIGTERM, then SIGKILL."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._steps = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
        self.begun = False

    def step(self) -> None:
        """The next signal."""
        self.begun = True
        number = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        self._child.send_signal(number)

    def asked(self, number: int, _: FrameType | None) -> None:
        """A signal came to us. Ctrl-C on a terminal went to the child as well: not twice."""
        if number == signal.SIGINT and sys.stdin.isatty() and len(self._steps) == 3:
            self._steps.pop(0)
            self.begun = True
        else:
            self.step()


def _wait(child: subprocess.Popen[bytes], ending: _Ending, seconds: float | None) -> int:
    if seconds is None:
        return child.wait()
    limit = seconds
    while True:
        try:
            return child.wait(limit)
        except subprocess.TimeoutExpired:
            ending.step()
            limit = GRACE_S


def inherited() -> dict[str, str]:
    """Our own environment."""
    return dict(os.environ)

"""An upstream that answers as told: OTLP over HTTP or gRPC, on loopback and an ephemeral port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status


@dataclass
class Answer:
    """What is answered instead of success. `after`: Retry-After, or seconds of RetryInfo."""

    status: int | grpc.StatusCode
    after: str = ""


@dataclass
class Upstream:
    """Bodies it took, by signal; `answers` are used up first, one a request.

    `gate` is waited for before anything is answered: cleared, the upstream is slow.
    """

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def meet(self, signal: str, body: bytes, headers: dict[str, str]) -> Answer | None:
        """The answer to a request; None is success."""
        with self._lock:
            self.asked += 1
        self.gate.wait(30)
        with self._lock:
            if self.answers:
                return self.answers.pop(0)
            self.taken.append((signal, body))
            self.headers.append(headers)
            return None


@contextmanager
def upstream(protocol: str, port: int = 0) -> Iterator[Upstream]:
    """A started upstream of `http` or `grpc`."""
    told = Upstream()
    told.gate.set()
    with (_http if protocol == "http" else _grpc)(told, port):
        try:
            yield told
        finally:
            told.gate.set()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def _http(told: Upstream, port: int) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = told.meet(self.path.removeprefix("/v1/"), body, headers)
            self.send_response(200 if answer is None else int(answer.status))
            if answer is not None and answer.after:
                self.send_header("Retry-After", answer.after)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        told.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _grpc(told: Upstream, port: int) -> Iterator[None]:
    class Handler(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            signal = details.method.split(".")[3]
            signal = {"trace": "traces"}.get(signal, signal)
            headers = {k: v for k, v in details.invocation_metadata if isinstance(v, str)}
            return grpc.unary_unary_rpc_method_handler(
                lambda body, context: _answer(told, signal, body, headers, context)
            )

    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool, handlers=(Handler(),))
        told.url = f"grpc://127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
        server.start()
        try:
            yield
        finally:
            told.gate.set()
            server.stop(0).wait()


def _answer(
    told: Upstream, signal: str, body: bytes, headers: dict[str, str], context: Any
) -> bytes:
    answer = told.meet(signal, body, headers)
    if answer is None:
        return b""
    assert isinstance(answer.status, grpc.StatusCode)
    if answer.after:
        packed = Packed()
        packed.Pack(RetryInfo(retry_delay=Duration(seconds=int(answer.after))))
        status = Status(code=answer.status.value[0], details=[packed])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(answer.status, "as told")
    raise AssertionError

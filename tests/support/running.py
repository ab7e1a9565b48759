"""A real service in this process: its own thread and event loop, ephemeral ports."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.service import Addresses, Service
from collector.settings import Settings

QUICK = {
    "otlp_grpc": "127.0.0.1:0",
    "otlp_http": "127.0.0.1:0",
    "admin": "127.0.0.1:0",
    "quiet_s": 0.2,
    "judge_interval_s": 0.2,
    "grace_s": 2.0,
}
PROTOBUF = {"content-type": "application/x-protobuf"}


class Running:
    """A started service, and ways to talk to it."""

    def __init__(self, settings: Settings) -> None:
        self.service = Service(settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        try:
            self.wait(self.service.start())
        except BaseException:
            self._end()
            raise
        self.http = httpx.Client(timeout=10, trust_env=False)

    @property
    def at(self) -> Addresses:
        return self.service.addresses

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def send(self, body: bytes, **headers: str) -> httpx.Response:
        return self.http.post(
            f"http://{self.at.otlp_http}/v1/traces", content=body, headers=PROTOBUF | headers
        )

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(f"http://{self.at.admin}{path}", headers=headers)

    def metric(self, line: str) -> float:
        """The value of a sample, named as the exposition writes it; 0 when it is not there."""
        for found in self.get("/metrics").text.splitlines():
            if found.startswith(line + " "):
                return float(found.rsplit(" ", 1)[1])
        return 0.0

    def findings(self) -> list[dict[str, Any]]:
        return list(self.get("/api/v1/findings").json())

    def finish(self) -> None:
        """Closes and judges what was received, as a stop does; it goes on receiving."""
        service = self.service
        if service._intake is not None:
            service._decoding.submit(service._intake.flush).result(30)
        service._analysing.submit(service._analysis.finish, time.time()).result(30)

    def stop(self) -> None:
        self.http.close()
        try:
            self.wait(self.service.stop())
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def running(**settings: Any) -> Iterator[Running]:
    """A service with short windows, stopped at the end."""
    service = Running(Settings(**(QUICK | settings)))
    try:
        yield service
    finally:
        service.stop()


def until(condition: Callable[[], Any], deadline_s: float = 20.0) -> Any:
    """Polls until the condition gives something true, and gives that."""
    end = time.monotonic() + deadline_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def as_if_now(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """The request with its spans moved so that they just ended."""
    spans = [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
    shift = time.time_ns() - max(s.end_time_unix_nano for s in spans)
    for span in spans:
        span.start_time_unix_nano += shift
        span.end_time_unix_nano += shift
    return request

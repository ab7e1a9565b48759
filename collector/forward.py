"""The same bytes to one upstream, so that a sidecar takes telemetry away from nobody.

A bounded queue in memory; senders retry with backoff and jitter and honour what the upstream asks
for. Nothing here is waited for by the analysed path; what is dropped is counted by reason.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.receive.bodies import Refusal, inflate
from collector.store import Counters

log = logging.getLogger(__name__)

FORWARDED = "spanlint_forward_requests_total"
DROPPED = "spanlint_forward_dropped_total"

_SENDERS = 4
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0
_LONGEST_ASKED_S = 300.0
"""An upstream may ask for a pause, but not for the rest of the day."""
_TIMEOUT_S = 10.0
_INFLATED_BYTES = 64 * 1024 * 1024
_RETRYABLE_HTTP = (408, 429, 502, 503, 504)
# https://opentelemetry.io/docs/specs/otlp/#failures; RESOURCE_EXHAUSTED only with RetryInfo.
_RETRYABLE_GRPC = (
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
)
_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_IDS = ("traceId", "spanId", "parentSpanId")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A request as it came."""

    signal: str
    body: bytes
    json: bool
    encoding: str


class _Failed(Exception):  # noqa: N818 - reads as what happened
    """The upstream did not take a parcel: whether to try again, and after how long."""

    def __init__(self, reason: str, *, again: bool, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.again, self.after_s = reason, again, after_s


class _HttpUpstream:
    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.AsyncClient(headers=dict(headers), timeout=_TIMEOUT_S, trust_env=False)

    async def send(self, parcel: Parcel) -> None:
        kind = "application/json" if parcel.json else "application/x-protobuf"
        headers = {"content-type": kind}
        if parcel.encoding:
            headers["content-encoding"] = parcel.encoding
        url = f"{self._url}/v1/{parcel.signal}"
        try:
            answer = await self._client.post(url, content=parcel.body, headers=headers)
        except httpx.HTTPError as error:
            raise _Failed(type(error).__name__, again=True) from None
        if answer.status_code >= 300:
            raise _Failed(
                f"http_{answer.status_code}",
                again=answer.status_code in _RETRYABLE_HTTP,
                after_s=retry_after_s(answer.headers.get("retry-after", ""), time.time()),
            )

    async def close(self) -> None:
        await self._client.aclose()


class _GrpcUpstream:
    def __init__(self, target: str, headers: Mapping[str, str]) -> None:
        self._channel = grpc.aio.insecure_channel(target)
        self._metadata = tuple((k.lower(), v) for k, v in headers.items())
        self._calls: dict[str, Any] = {s: self._channel.unary_unary(m) for s, m in _METHODS.items()}

    async def send(self, parcel: Parcel) -> None:
        body = as_protobuf(parcel)
        try:
            await self._calls[parcel.signal](body, timeout=_TIMEOUT_S, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            after_s = _retry_delay_s(error.trailing_metadata())
            asked = after_s is not None and error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            again = asked or error.code() in _RETRYABLE_GRPC
            name = f"grpc_{error.code().name.lower()}"
            raise _Failed(name, again=again, after_s=after_s) from None

    async def close(self) -> None:
        await self._channel.close()


def retry_after_s(written: str, now_s: float) -> float | None:
    """Seconds to wait, of a Retry-After header: a number of seconds or an HTTP date."""
    if written.isascii() and written.isdigit():
        return float(written)
    try:
        return max(0.0, parsedate_to_datetime(written).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None


def _retry_delay_s(metadata: Any) -> float | None:
    """The delay of a RetryInfo among the details of a gRPC status; None when there is none."""
    for name, value in metadata or ():
        if name == "grpc-status-details-bin":
            with suppress(DecodeError):
                for detail in Status.FromString(value).details:
                    info = RetryInfo()
                    if detail.Unpack(info):
                        return float(info.retry_delay.ToTimedelta().total_seconds())
    return None


def as_protobuf(parcel: Parcel) -> bytes:
    """The body as plain protobuf: gRPC carries neither JSON nor content encodings."""
    try:
        plain = inflate(parcel.body, parcel.encoding, _INFLATED_BYTES)
        if not parcel.json:
            return plain
        request = _REQUESTS[parcel.signal]()
        ParseDict(_with_base64_ids(json.loads(plain)), request, ignore_unknown_fields=True)
        return bytes(request.SerializeToString())
    except (Refusal, ValueError, ParseError) as error:  # a JSONDecodeError is a ValueError
        raise _Failed("unreadable", again=False) from error


def _with_base64_ids(value: Any) -> Any:
    """OTLP/JSON writes ids as hex where protobuf's JSON wants base64."""
    if isinstance(value, list):
        return [_with_base64_ids(v) for v in value]
    if isinstance(value, dict):
        return {
            k: base64.b64encode(bytes.fromhex(v)).decode()
            if k in _IDS and isinstance(v, str)
            else _with_base64_ids(v)
            for k, v in value.items()
        }
    return value


class Forwarder:
    """Sends parcels in the background. Call from the event loop."""

    def __init__(
        self, url: str, headers: Mapping[str, str], max_bytes: int, counters: Counters
    ) -> None:
        self._upstream = upstream_of(url, headers)
        self._max_bytes = max_bytes
        self._counters = counters
        self._queue: asyncio.Queue[Parcel] = asyncio.Queue()
        self.queued_bytes = 0
        self._senders: list[asyncio.Task[None]] = []
        self._dice = random.Random()  # noqa: S311 - jitter

    def start(self) -> None:
        """Begins to send."""
        self._senders = [asyncio.create_task(self._send_all()) for _ in range(_SENDERS)]

    def offer(self, parcel: Parcel) -> None:
        """Queues a parcel; drops and counts it when the queue is full."""
        if self.queued_bytes + len(parcel.body) > self._max_bytes:
            self._counters.add(DROPPED, (parcel.signal, "queue_full"), 1)
            return
        self.queued_bytes += len(parcel.body)
        self._queue.put_nowait(parcel)

    async def _send_all(self) -> None:
        while True:
            parcel = await self._queue.get()
            try:
                await self._deliver(parcel)
                self._counters.add(FORWARDED, (parcel.signal,), 1)
            except _Failed as failed:
                self._counters.add(DROPPED, (parcel.signal, failed.reason), 1)
            except asyncio.CancelledError:  # on its way when the grace period ended
                self._counters.add(DROPPED, (parcel.signal, "stopped"), 1)
                raise
            except Exception:  # a sender that ends would send nothing any more
                log.exception("forwarding failed")
                self._counters.add(DROPPED, (parcel.signal, "internal"), 1)
            finally:
                self.queued_bytes -= len(parcel.body)
                self._queue.task_done()

    async def _deliver(self, parcel: Parcel) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return await self._upstream.send(parcel)
            except _Failed as failed:
                if not failed.again:
                    raise
                asked_s = min(failed.after_s or 0.0, _LONGEST_ASKED_S)
                await asyncio.sleep(asked_s or wait_s * self._dice.uniform(0.5, 1.0))
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def stop(self, grace_s: float) -> None:
        """Sends what is queued within the grace period; drops and counts the rest."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), grace_s)
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        while not self._queue.empty():
            self._counters.add(DROPPED, (self._queue.get_nowait().signal, "stopped"), 1)
        await self._upstream.close()


def upstream_of(url: str, headers: Mapping[str, str]) -> _HttpUpstream | _GrpcUpstream:
    """The upstream that a URL names; raises ValueError for one of another scheme."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.netloc:
        return _HttpUpstream(url, headers)
    if parts.scheme == "grpc" and parts.netloc:
        return _GrpcUpstream(parts.netloc, headers)
    raise ValueError(f"forward: wanted http://…, https://… or grpc://host:port, not {url!r}")

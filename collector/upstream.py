"""Where requests are forwarded to: OTLP over HTTP or gRPC, one request at a time.

Source: https://opentelemetry.io/docs/specs/otlp/#failures says which failures may be tried again.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import grpc
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.parcel import Parcel
from collector.post import Client
from collector.receive.bodies import Refusal, inflate

TIMEOUT_S = 10.0
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
_CHANNEL = (("grpc.http2.write_buffer_size", 1 << 20),)
"""A request leaves in one piece or few: pieces of 64 KiB took a tenth more."""
_IDS = ("traceId", "spanId", "parentSpanId")


class Failed(Exception):  # noqa: N818 - reads as what happened
    """The upstream did not take a parcel: whether to try again, and after how long."""

    def __init__(self, reason: str, *, again: bool, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.again, self.after_s = reason, again, after_s


class Upstream(Protocol):
    """Takes parcels."""

    async def send(self, parcel: Parcel) -> None:
        """Raises Failed when the upstream did not take it."""

    async def close(self) -> None:
        """Ends its connections."""


class HttpUpstream:
    """OTLP/HTTP, the body as it came. Raises ValueError for headers that are none."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._client = Client(url, headers)

    async def send(self, parcel: Parcel) -> None:
        """Raises Failed when the upstream did not take it."""
        kind = "application/json" if parcel.json else "application/x-protobuf"
        headers = {"content-type": kind}
        if parcel.encoding:
            headers["content-encoding"] = parcel.encoding
        try:
            path = f"/v1/{parcel.signal}"
            answer = await self._client.post(path, headers, parcel.body, TIMEOUT_S)
        except OSError as error:  # a TimeoutError is one, and so is what a certificate lacks
            raise Failed(type(error).__name__, again=True) from None
        if answer.status >= 300:
            again = answer.status in _RETRYABLE_HTTP
            after_s = retry_after_s(answer.retry_after, time.time())
            raise Failed(f"http_{answer.status}", again=again, after_s=after_s)

    async def close(self) -> None:
        """Ends its connections."""
        self._client.close()


class GrpcUpstream:
    """OTLP/gRPC, which carries plain protobuf only."""

    def __init__(self, target: str, headers: Mapping[str, str]) -> None:
        self._channel = grpc.aio.insecure_channel(target, _CHANNEL)
        self._metadata = tuple((k.lower(), v) for k, v in headers.items())
        self._calls: dict[str, Any] = {s: self._channel.unary_unary(m) for s, m in _METHODS.items()}

    async def send(self, parcel: Parcel) -> None:
        """Raises Failed when the upstream did not take it."""
        body = as_protobuf(parcel)
        try:
            await self._calls[parcel.signal](body, timeout=TIMEOUT_S, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            after_s = _retry_delay_s(error.trailing_metadata())
            asked = after_s is not None and error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            again = asked or error.code() in _RETRYABLE_GRPC
            name = f"grpc_{error.code().name.lower()}"
            raise Failed(name, again=again, after_s=after_s) from None

    async def close(self) -> None:
        """Ends its channel."""
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
        raise Failed("unreadable", again=False) from error


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


def upstream_of(url: str, headers: Mapping[str, str]) -> Upstream:
    """The upstream that a URL names; raises ValueError for one of another scheme."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname:
        return HttpUpstream(url, headers)
    if parts.scheme == "grpc" and parts.netloc:
        return GrpcUpstream(parts.netloc, headers)
    raise ValueError(f"forward: wanted http://…, https://… or grpc://host:port, not {url!r}")

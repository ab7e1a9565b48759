"""What is answered: one table from a refusal to its status, for both protocols."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed  # type: ignore[attr-defined]
from google.protobuf.duration_pb2 import Duration  # type: ignore[attr-defined]
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.receive.bodies import Refusal

MESSAGES: dict[str, Any] = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}
"""Signal -> its response message; empty means full success."""

_GRPC_CODES = {
    "overloaded": grpc.StatusCode.UNAVAILABLE,  # retryable, with RetryInfo
    "too_large": grpc.StatusCode.INVALID_ARGUMENT,  # not RESOURCE_EXHAUSTED: it never fits
    "malformed": grpc.StatusCode.INVALID_ARGUMENT,
    "unsupported": grpc.StatusCode.UNIMPLEMENTED,
}


def grpc_code(refusal: Refusal) -> grpc.StatusCode:
    """The gRPC status code of a refusal."""
    return _GRPC_CODES[refusal.reason]


def rich_status(refusal: Refusal) -> bytes:
    """google.rpc.Status with RetryInfo, as `grpc-status-details-bin` carries it."""
    status = Status(code=grpc_code(refusal).value[0], message=refusal.message)
    if refusal.retry_after_s is not None:
        packed = Packed()
        packed.Pack(RetryInfo(retry_delay=Duration(seconds=max(1, round(refusal.retry_after_s)))))
        status.details.append(packed)
    return bytes(status.SerializeToString())

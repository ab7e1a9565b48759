"""OTLP/gRPC: the Export methods of traces, metrics and logs, on raw bytes.

Source: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
"""

from __future__ import annotations

from typing import Any

import grpc

from collector.receive.answers import MESSAGES, grpc_code, rich_status
from collector.receive.bodies import Refusal
from collector.receive.intake import Intake, Signal

SERVICES: dict[str, Signal] = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "traces",
    "opentelemetry.proto.collector.metrics.v1.MetricsService": "metrics",
    "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
}

_WHOLE = (
    ("grpc.http2.max_frame_size", 1 << 20),
    ("grpc.http2.lookahead_bytes", 1 << 20),
    ("grpc.http2.bdp_probe", 0),
)
"""A request comes in one piece: frames of 16 KiB and a window that grows by pings cost twice as
much to receive."""


def otlp_server(intake: Intake, max_body_bytes: int) -> grpc.aio.Server:
    """A server without a port yet; a larger message is refused by gRPC before it is read."""
    server: grpc.aio.Server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", max_body_bytes),
            ("grpc.so_reuseport", 0),  # a taken port is an error, not a second listener
            *_WHOLE,
        ]
    )
    for service, signal in SERVICES.items():
        # No deserialiser: the body is decoded by us, and forwarded as it came.
        handler = grpc.unary_unary_rpc_method_handler(_export(signal, intake))
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"Export": handler}),)
        )
    return server


def _export(signal: Signal, intake: Intake) -> Any:
    success = MESSAGES[signal]().SerializeToString()

    async def export(body: bytes, context: Any) -> bytes:
        try:
            taken = await intake.take(signal, body)
        except Refusal as refusal:
            intake.refused(signal, refusal)
            details = (("grpc-status-details-bin", rich_status(refusal)),)
            await context.abort(grpc_code(refusal), refusal.message, details)
        rejected = sum(taken.rejected.values())
        if not rejected:
            return bytes(success)
        answer = MESSAGES[signal]()
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = ", ".join(
            f"{reason}: {n}" for reason, n in sorted(taken.rejected.items())
        )
        return bytes(answer.SerializeToString())

    return export

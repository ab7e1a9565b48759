"""Servers that take spans and do nothing: what receiving costs at least, and the upstream.

`python -m benchmarks.floors grpc PORT` and `… asgi PORT`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

_METHOD = "opentelemetry.proto.collector.trace.v1.TraceService"


async def bare_grpc(port: int) -> None:
    """grpc.aio with no deserialiser."""
    import grpc

    async def export(body: bytes, context: Any) -> bytes:  # noqa: ARG001 - grpc's shape
        return b""

    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 << 20)])
    handler = grpc.unary_unary_rpc_method_handler(export)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_METHOD, {"Export": handler}),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


async def bare_asgi(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body and answers 200."""
    if scope["type"] != "http":
        return
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    headers = [(b"content-type", b"application/x-protobuf"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def main(kind: str, port: int) -> None:
    if kind == "grpc":
        asyncio.run(bare_grpc(port))
        return
    import uvicorn

    uvicorn.run(bare_asgi, port=port, log_level="warning", access_log=False, lifespan="off")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

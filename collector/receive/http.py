"""OTLP/HTTP: POST /v1/traces, /v1/metrics, /v1/logs; protobuf or JSON, gzip, deflate or plain.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import json
from typing import Any, get_args

from fastapi import FastAPI, Request, Response
from google.rpc.status_pb2 import Status

from collector.receive.answers import MESSAGES, grpc_code
from collector.receive.bodies import Refusal, too_large, unsupported
from collector.receive.intake import Intake, Signal, Taken

_PROTOBUF = ("application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf")
_JSON = ("application/json",)


def otlp_app(intake: Intake, max_body_bytes: int) -> FastAPI:
    """The receiver as an ASGI application."""
    app = FastAPI(title="spanlint OTLP/HTTP", docs_url=None, redoc_url=None)

    for signal in get_args(Signal):
        app.add_api_route(
            f"/v1/{signal}",
            _endpoint(signal, intake, max_body_bytes),
            methods=["POST"],
            response_model=None,
            summary=f"Export {signal}",
        )
    return app


def _endpoint(signal: Signal, intake: Intake, limit: int) -> Any:
    async def export(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_json = kind in _JSON
        try:
            if not is_json and kind not in _PROTOBUF:
                raise unsupported(
                    f"content type {kind!r}; known: application/x-protobuf, application/json"
                )
            body = await _read(request, limit)
            encoding = request.headers.get("content-encoding", "")
            taken = await intake.take(signal, body, json=is_json, encoding=encoding)
        except Refusal as refusal:
            intake.refused(signal, refusal)
            return _refused(refusal, is_json)
        return _accepted(signal, taken, is_json)

    return export


async def _read(request: Request, limit: int) -> bytes:
    """The body, given up as soon as it is larger than the limit."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _accepted(signal: Signal, taken: Taken, is_json: bool) -> Response:  # noqa: FBT001
    rejected = sum(taken.rejected.values())
    message = ", ".join(f"{reason}: {n}" for reason, n in sorted(taken.rejected.items()))
    if is_json:
        partial = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}}
        content = json.dumps(partial if rejected else {})
        return Response(content, media_type=_JSON[0])
    answer = MESSAGES[signal]()
    if rejected:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = message
    return Response(answer.SerializeToString(), media_type=_PROTOBUF[0])


def _refused(refusal: Refusal, is_json: bool) -> Response:  # noqa: FBT001
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(refusal.retry_after_s)))
    code = grpc_code(refusal).value[0]
    if is_json:
        content: str | bytes = json.dumps({"code": code, "message": refusal.message})
    else:
        content = Status(code=code, message=refusal.message).SerializeToString()
    media = _JSON[0] if is_json else _PROTOBUF[0]
    return Response(content, refusal.http_status, headers, media_type=media)

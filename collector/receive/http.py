"""OTLP/HTTP: POST /v1/traces, /v1/metrics, /v1/logs; protobuf or JSON, gzip, deflate or plain.

A bare ASGI application: it has three paths and no parameters, and a framework's way to them costs
more than decoding (docs/decisions/0042). Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import json
from typing import get_args

from google.rpc.status_pb2 import Status

from collector.asgi import App, Message, Receive, Send, respond
from collector.decode.model import Counts
from collector.receive.answers import MESSAGES, grpc_code
from collector.receive.bodies import Refusal, too_large, unsupported
from collector.receive.intake import Intake, Signal

_PROTOBUF = ("application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf")
_JSON = ("application/json",)
_SIGNALS: dict[str, Signal] = {f"/v1/{signal}": signal for signal in get_args(Signal)}
_NO_METHOD = 405
_NO_PATH = 404


def otlp_app(intake: Intake, max_body_bytes: int) -> App:
    """The receiver as an ASGI application."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        signal = _SIGNALS.get(scope["path"])
        if signal is None:
            await respond(send, _NO_PATH, "text/plain", b"Not Found")
        elif scope["method"] != "POST":
            await respond(send, _NO_METHOD, "text/plain", b"Method Not Allowed", {"allow": "POST"})
        else:
            await _export(signal, intake, max_body_bytes, scope, receive, send)

    return app


async def _export(  # noqa: PLR0913 - the receiver's, and ASGI's three
    signal: Signal, intake: Intake, limit: int, scope: Message, receive: Receive, send: Send
) -> None:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    is_json = kind in _JSON
    try:
        if not is_json and kind not in _PROTOBUF:
            raise unsupported(
                f"content type {kind!r}; known: application/x-protobuf, application/json"
            )
        body = await _read(receive, headers.get(b"content-length", ""), limit)
        if body is None:
            return
        encoding = headers.get(b"content-encoding", "")
        taken = await intake.take(signal, body, json=is_json, encoding=encoding)
    except Refusal as refusal:
        intake.refused(signal, refusal)
        await _refuse(send, refusal, is_json=is_json)
    else:
        media = _JSON[0] if is_json else _PROTOBUF[0]
        await respond(send, 200, media, _accepted(signal, taken, is_json=is_json))


async def _read(receive: Receive, declared: str, limit: int) -> bytes | None:
    """The body, given up as soon as it is larger than the limit; None when the sender went away."""
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _accepted(signal: Signal, taken: Counts, *, is_json: bool) -> bytes:
    rejected = sum(taken.rejected.values())
    if not rejected:
        return b"{}" if is_json else b""
    message = ", ".join(f"{reason}: {n}" for reason, n in sorted(taken.rejected.items()))
    if is_json:
        partial = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}}
        return json.dumps(partial).encode()
    answer = MESSAGES[signal]()
    answer.partial_success.rejected_spans = rejected
    answer.partial_success.error_message = message
    return bytes(answer.SerializeToString())


async def _refuse(send: Send, refusal: Refusal, *, is_json: bool) -> None:
    headers = {}
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(max(1, round(refusal.retry_after_s)))
    code = grpc_code(refusal).value[0]
    if is_json:
        content = json.dumps({"code": code, "message": refusal.message}).encode()
    else:
        content = Status(code=code, message=refusal.message).SerializeToString()
    media = _JSON[0] if is_json else _PROTOBUF[0]
    await respond(send, refusal.http_status, media, content, headers)

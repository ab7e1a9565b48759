"""What ASGI applications without a framework share. Source: https://asgi.readthedocs.io/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


async def respond(
    send: Send, status: int, media: str, content: bytes, headers: dict[str, str] | None = None
) -> None:
    """Sends an answer as a whole; media: its content type."""
    told = {"content-type": media, "content-length": str(len(content)), **(headers or {})}
    pairs = [(name.encode(), value.encode()) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})

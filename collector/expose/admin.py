"""The admin port: what machines ask for again and again is answered here, the rest by `api`.

A probe or a scrape has no parameters and needs no framework. FastAPI and what it brings hold 15 MB:
they are imported when somebody first asks for the API, its documentation or the page.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from collector.asgi import App, Message, Receive, Send, respond
from collector.expose.source import Snapshot, Source


class Answer(NamedTuple):
    """A status, a content type and a body."""

    status: int
    media: str
    content: bytes


async def healthz(source: Source, accept: str) -> Answer:  # noqa: ARG001 - as all of `PLAIN`
    """The process lives."""
    return _state(200, "ok")


async def readyz(source: Source, accept: str) -> Answer:  # noqa: ARG001 - as all of `PLAIN`
    """Spans are taken."""
    return _state(200, "ready") if source.ready() else _state(503, "not ready")


async def metrics(source: Source, accept: str) -> Answer:
    """Prometheus metrics."""
    # Written in a thread, as it may be large: the event loop answers exporters meanwhile.
    content, media = await asyncio.to_thread(_rendered, await source.snapshot(), accept)
    return Answer(200, media, content)


PLAIN: dict[str, Callable[[Source, str], Awaitable[Answer]]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
}
"""What is answered here, given the Accept header; docstrings are their titles in the API."""


def admin_app(source: Source) -> App:
    """The admin port as an ASGI application."""
    api: App | None = None

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal api
        plain = PLAIN.get(scope["path"])
        if plain is not None and scope["method"] == "GET":
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            await respond(send, *await plain(source, accept))
            return
        if api is None:
            api = await asyncio.to_thread(_api, source)
        await api(scope, receive, send)

    return app


def _state(status: int, said: str) -> Answer:
    return Answer(status, "application/json", json.dumps({"status": said}).encode())


def _rendered(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    from collector.expose.metrics import render  # 2 MB that who is not scraped does not need

    return render(snapshot, accept)


def _api(source: Source) -> App:
    from collector.expose.api import api  # what takes 15 MB and a third of a second

    return api(source)

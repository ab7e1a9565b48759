"""HTTP/1.1 to one server: POST a body, get a status and headers; connections are kept.

A general client costs as much for a request as decoding its 512 spans does. Here the body goes to
the socket as it is, and an answer's body is read past.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import unquote, urlsplit

import httptools

_PORTS = {"http": 80, "https": 443}


class HttpError(Exception):
    """The server could not be asked, or its answer not be read."""


@dataclass(slots=True)
class Answer:
    """Status, and headers by lower-case name."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class HttpClient:
    """POSTs to paths under one URL; raises ValueError for a URL that has no host.

    headers are sent with every request. As many connections as requests at the same time.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"wanted http://… or https://…, not {url!r}")
        self._host, self._port = parts.hostname, parts.port or _PORTS[parts.scheme]
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._base = parts.path.rstrip("/")
        told = {"host": parts.netloc.rpartition("@")[2], "user-agent": "spanlint", "accept": "*/*"}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            told["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        self._headers = told | {name.lower(): value for name, value in headers.items()}
        for name, value in self._headers.items():
            if any(c in name + value for c in "\r\n\0"):
                raise ValueError(f"a header must be one line: {name!r}")
        self._idle: list[_Connection] = []

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        """The answer to a request; raises HttpError when there is none in time."""
        told = self._headers | dict(headers) | {"content-length": str(len(body))}
        lines = [f"POST {self._base}{path} HTTP/1.1", *(f"{n}: {v}" for n, v in told.items())]
        head = "\r\n".join([*lines, "", ""]).encode("utf-8")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._asked(head, body)
        except (OSError, TimeoutError) as error:
            raise HttpError(f"{type(error).__name__}: {error}") from None

    async def _asked(self, head: bytes, body: bytes) -> Answer:
        connection = self._kept() or await self._connected()
        try:
            answer = await connection.ask(head, body)
        except BaseException:  # also when the time is over: what comes later answers nobody
            connection.close()
            raise
        if connection.usable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def _connected(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            _Connection, self._host, self._port, ssl=self._tls
        )
        return connection

    def close(self) -> None:
        """Ends the connections that are kept."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


class _Connection(asyncio.Protocol):
    """One request after the other."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[Answer] | None = None
        self._answer = Answer()
        self._whole = True
        self.usable = True

    async def ask(self, head: bytes, body: bytes) -> Answer:
        self._waiting = asyncio.get_running_loop().create_future()
        self._answer, self._whole = Answer(), False
        if self._transport is not None:
            self._transport.write(head)
            self._transport.write(body)
        return await self._waiting

    def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._whole:  # nobody asked
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(HttpError(f"no HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._answer.status and "content-length" not in self._answer.headers:
            self._tell()  # an answer may end where the connection does
        self._fail(HttpError(f"the connection was lost: {exc}" if exc else "it hung up"))

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        if self._answer.status < 200:  # 100 Continue, 103 Early Hints: the answer follows
            self._answer = Answer()
            return
        self._whole = True
        self.usable = self.usable and self._parser.should_keep_alive()
        self._tell()

    def _tell(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._answer)

    def _fail(self, error: HttpError) -> None:
        self.usable = False
        if self._waiting is not None:
            with suppress(asyncio.InvalidStateError):
                self._waiting.set_exception(error)

"""POST over HTTP/1.1 connections that stay open: all that forwarding asks of a client.

The parser is httptools', the rest is what a general client does besides: see
docs/decisions/0068-a-client-for-forwarding.md for what it costs.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote, unquote, urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_MOST_ANSWERED_BYTES = 256 * 1024
"""Head and body: an answer to a request says what was rejected, and why."""
_MOST_IDLE_S = 15.0
"""A server that hangs up on who rests does so later: a request on its way would be lost."""
_PATH = "/%:@!$&'()*+,;=~"
"""What stays as it is in a path."""


class NoAnswer(OSError):  # noqa: N818 - reads as what happened
    """The connection ended before an answer, or what came is none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and the header `Retry-After`, empty where there is none."""

    status: int
    retry_after: str


class Client:
    """Sends bodies below one URL, over as many connections as are asked at once.

    Raises ValueError for a URL or headers that are none.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._host.encode("idna")  # a UnicodeError is a ValueError: better now than at each request
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._path = quote(parts.path.rstrip("/"), safe=_PATH)
        own = {"host": parts.netloc.rpartition("@")[2], "user-agent": "spanlint"}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            own["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        own |= {name.lower(): value for name, value in headers.items()}
        if any(mark in name + value for name, value in own.items() for mark in "\r\n\0"):
            raise ValueError("forward_headers: a header must be one line")
        self._headers = own
        self._context: ssl.SSLContext | None = None
        self._idle: list[_Connection] = []

    async def post(
        self, path: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Answer:
        """Sends a body. Raises OSError where no answer comes, TimeoutError (one) where it is late.

        path: below that of the URL. Redirects are answers as any other.
        """
        head = self._head(path, {**headers, "content-length": str(len(body))})
        async with asyncio.timeout(timeout_s):
            connection = self._rested() or await self._connected()
            try:
                answer = await connection.ask(head, body)
            except BaseException:
                connection.abort()
                raise
        if connection.usable:
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    def _head(self, path: str, headers: Mapping[str, str]) -> bytes:
        lines = (f"{name}: {value}" for name, value in {**self._headers, **headers}.items())
        return "\r\n".join((f"POST {self._path}{path} HTTP/1.1", *lines, "\r\n")).encode()

    def _rested(self) -> _Connection | None:
        """A connection that is still open, the one that rests the shortest."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_s() < _MOST_IDLE_S:
                return connection
            connection.abort()
        return None

    async def _connected(self) -> _Connection:
        if self._tls and self._context is None:
            self._context = ssl.create_default_context()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: _Connection(loop), self._host, self._port, ssl=self._context
        )
        return connection

    def close(self) -> None:
        """Ends its connections."""
        while self._idle:
            self._idle.pop().abort()


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._parser = HttpResponseParser(self)
        self._retry_after = ""
        self._left_bytes = 0
        self._answered_at = 0.0
        self._headed = False
        self.usable = True

    def ask(self, head: bytes, body: bytes) -> asyncio.Future[Answer]:
        """The answer to a request; `NoAnswer` where none comes."""
        self._waiter = self._loop.create_future()
        self._parser = HttpResponseParser(self)
        self._retry_after, self._headed = "", False
        self._left_bytes = _MOST_ANSWERED_BYTES
        if self._transport is None:
            raise NoAnswer("closed")
        self._transport.writelines((head, body))
        return self._waiter

    def idle_s(self) -> float:
        """How long ago the last answer came."""
        return self._loop.time() - self._answered_at

    def abort(self) -> None:
        """Ends the connection at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer without a length ends with its connection."""
        self._transport, self.usable = None, False
        if self._headed:
            self._answered()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(NoAnswer(str(exc or "hung up")))

    def data_received(self, data: bytes) -> None:
        """What comes while nobody waits is no answer to anything."""
        self._left_bytes -= len(data)
        if self._waiter is None or self._waiter.done() or self._left_bytes < 0:
            self._fail("more than an answer")
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:  # an upgrade is no error to httptools
            self._fail(str(error))

    def _fail(self, why: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(NoAnswer(why))
        self.abort()

    def on_message_begin(self) -> None:
        """Of httptools, as those below: an answer that nobody asked for is another's."""
        self._retry_after = ""
        self.usable = self.usable and self._waiter is not None and not self._waiter.done()

    def on_header(self, name: bytes, value: bytes) -> None:
        """The only header that says more than the status."""
        if name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """What is no more than news on the way has a head as well."""
        self._headed = self._parser.get_status_code() >= 200

    def on_message_complete(self) -> None:
        """Nothing more comes; a server that answered before it read everything may hang up."""
        if self._headed:
            self.usable = self.usable and self._parser.should_keep_alive() and self._is_sent()
            self._answered()

    def _is_sent(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() == 0

    def _answered(self) -> None:
        self._answered_at = self._loop.time()
        if self._waiter is not None and not self._waiter.done():
            status = self._parser.get_status_code()
            self._waiter.set_result(Answer(status, self._retry_after))

"""A small proxy that nothing instruments: it spreads HTTP requests over instances and injects faults.

`Balancer` understands HTTP/1.1 with Content-Length, request by request; `Wire` passes bytes on, for
PostgreSQL, Redis and gRPC. One `Network` runs all of them on one event loop in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_GONE = (OSError, asyncio.IncompleteReadError)
_NO_INSTANCE = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


class Network:
    """The event loop of all proxies, in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs it on the loop, from another thread; gives what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def close(self) -> None:
        """Ends all connections and the loop."""
        self.run(self._cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _cancel(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def network() -> Iterator[Network]:
    """A network, closed at the end."""
    made = Network()
    try:
        yield made
    finally:
        made.close()


class Proxy:
    """One listening port. Faults are plain attributes, in force for what comes next.

    delay_s: before a request (HTTP) or a chunk (wire) goes on; up to jitter_s more. hang: it never
    does.
    drop: the connection is closed instead.
    """

    def __init__(self, net: Network, backends: list[int]) -> None:
        self.net = net
        self.backends = backends
        self.delay_s = 0.0
        self.jitter_s = 0.0
        self.hang = False
        self.drop = False
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server = net.run(self._listen(0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """Base URL of the port."""
        return f"http://127.0.0.1:{self.port}"

    async def _listen(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", port, backlog=200)

    def refuse(self) -> None:
        """Close the port and every connection."""
        self.net.run(self._refuse())

    async def _refuse(self) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    def accept(self) -> None:
        """Open the port again."""
        self._server = self.net.run(self._listen(self.port))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(*_GONE, asyncio.CancelledError):
            await self.serve(reader, writer)
        self._open.discard(writer)
        writer.close()

    async def fault(self) -> None:
        """What happens before anything goes on; raises ConnectionError when it must not."""
        if self.drop:
            raise ConnectionResetError
        if self.hang:
            await asyncio.sleep(3_600)
        if self.delay_s:
            await asyncio.sleep(self.delay_s + random.uniform(0.0, self.jitter_s))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client until it leaves."""
        raise NotImplementedError


class Wire(Proxy):
    """Bytes to the one backend and back."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", self.backends[0])
        self._open.add(behind[1])
        back = asyncio.create_task(self._pass(behind[0], writer, faults=False))
        try:
            await self._pass(reader, behind[1], faults=True)
        finally:
            back.cancel()
            behind[1].close()
            self._open.discard(behind[1])

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, faults: bool
    ) -> None:
        while chunk := await source.read(65_536):
            if faults:
                await self.fault()
            sink.write(chunk)
            await sink.drain()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def header(head: bytes, name: bytes) -> bytes:
    """The value of a header, empty when it is absent."""
    for line in head.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return b""


class Balancer(Proxy):
    """HTTP requests in turn to the backends; with `sticky`, those of one user to the same one."""

    def __init__(self, net: Network, backends: list[int], *, sticky: bool = False) -> None:
        self._turn = itertools.count()
        self.choose: Callable[[bytes], int] = self._by_user if sticky else self._in_turn
        super().__init__(net, backends)

    def _in_turn(self, _: bytes) -> int:
        return self.backends[next(self._turn) % len(self.backends)]

    def _by_user(self, head: bytes) -> int:
        # of the path when nobody is named, as balancers hash the URI
        who = header(head, b"x-user-id") or head.split(b" ")[1]
        return self.backends[crc32(who) % len(self.backends)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind: dict[int, Stream] = {}
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request = head + await reader.readexactly(_length(head))
                await self.fault()
                writer.write(await self._answer(behind, self.choose(head), request))
                await writer.drain()
        finally:
            for stream in behind.values():
                stream[1].close()

    async def _answer(self, behind: dict[int, Stream], port: int, request: bytes) -> bytes:
        """The answer of an instance; a kept connection that it closed meanwhile is renewed once."""
        kept = behind.pop(port, None)
        for stream in (kept, None) if kept else (None,):
            try:
                used = stream or await asyncio.open_connection("127.0.0.1", port)
                answer = await _exchange(used, request)
            except _GONE:
                continue
            behind[port] = used
            return answer
        return _NO_INSTANCE


async def _exchange(stream: Stream, request: bytes) -> bytes:
    reader, writer = stream
    writer.write(request)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(_length(head))

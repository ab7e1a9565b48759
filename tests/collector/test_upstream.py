"""Forwarding over HTTP, against a server that answers by script."""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from collector import upstream
from collector.parcel import Parcel
from collector.upstream import Failed, HttpUpstream, upstream_of

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
UNTIL_THE_END = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\nlater"
MOVED = b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"


class Server:
    """Answers each request by the next of the script; None hangs up, an empty one says nothing."""

    def __init__(self, script: list[bytes | None], *, ends: bool = False) -> None:
        self.script = script
        self.ends = ends
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.ended = asyncio.Event()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.script:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length:")[2].split()[0])
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(size))
                answer = self.script.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if self.ends:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()
            self.ended.set()


def asked(
    script: list[bytes | None],
    use: Callable[[HttpUpstream], Awaitable[Any]],
    *,
    ends: bool = False,
    url: str = "http://127.0.0.1:{}",
    **headers: str,
) -> tuple[Any, Server]:
    """What `use` gave, and the server it spoke to."""

    async def run() -> tuple[Any, Server]:
        server = Server(script, ends=ends)
        async with await asyncio.start_server(server.meet, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            client = HttpUpstream(url.format(port), headers)
            try:
                return await use(client), server
            finally:
                await client.close()

    return asyncio.run(asyncio.wait_for(run(), 30))


def send(client: HttpUpstream, body: bytes = b"spans") -> Awaitable[None]:
    return client.send(Parcel("traces", body, json=False, encoding=""))


def failure(script: list[bytes | None]) -> Failed:
    """How a request failed that was answered so."""
    with pytest.raises(Failed) as failed:
        asked(script, send, ends=True)
    return failed.value


def test_what_is_sent() -> None:
    url = "http://me:p%40ss@127.0.0.1:{}/otlp/"
    _, server = asked([OK], send, url=url, **{"X-Scope-OrgID": "team"})

    head = server.heads[0].decode().lower()
    assert head.startswith("post /otlp/v1/traces http/1.1\r\n")
    assert "x-scope-orgid: team\r\n" in head
    assert "content-type: application/x-protobuf\r\n" in head
    secret = base64.b64encode(b"me:p@ss").decode()
    assert f"authorization: basic {secret.lower()}\r\n" in head
    assert "me" not in head.partition("host: ")[2].partition("\r\n")[0]


def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000

    _, server = asked([OK], lambda client: send(client, body))

    assert server.bodies == [body]


def test_a_connection_is_used_again() -> None:
    async def twice(client: HttpUpstream) -> None:
        await send(client)
        await send(client)

    _, server = asked([OK, OK], twice)

    assert len(server.bodies) == 2
    assert server.connections == 1


NEWS_FIRST = b"HTTP/1.1 100 Continue\r\n\r\n" + OK
IN_CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
LAST = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
SWITCHED = b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000


@pytest.mark.parametrize(
    ("answer", "connections"),
    [(NEWS_FIRST, 1), (IN_CHUNKS, 1), (LAST, 2), (OK + MOVED, 2)],
    ids=["news first", "chunks", "the last", "one too many"],
)
def test_a_connection_is_used_as_long_as_it_may_be(answer: bytes, connections: int) -> None:
    async def twice(client: HttpUpstream) -> None:
        await send(client)
        await send(client)

    _, server = asked([answer, OK], twice)

    assert len(server.bodies) == 2
    assert server.connections == connections


def test_a_connection_that_was_ended_is_not_used() -> None:
    async def twice(client: HttpUpstream) -> None:
        await send(client)
        (rests,) = client._client._idle
        while rests.usable:  # noqa: ASYNC110 - nothing tells when it notices
            await asyncio.sleep(0.001)
        await send(client)

    _, server = asked([OK, OK], twice, ends=True)

    assert server.connections == 2


def test_an_answer_may_come_before_the_body_is_sent() -> None:
    read = asyncio.Event()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await read.wait()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(meet, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            client = HttpUpstream(f"http://127.0.0.1:{port}", {})
            with pytest.raises(Failed, match="http_413"):
                await send(client, bytes(50_000_000))
            assert client._client._idle == []
            read.set()
            await client.close()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_busy_upstream_is_asked_again_when_it_says() -> None:
    failed = failure([UNTIL_THE_END])

    assert (failed.reason, failed.again, failed.after_s) == ("http_503", True, 7.0)


def test_spans_do_not_follow_where_they_are_sent_on() -> None:
    failed = failure([MOVED])

    assert (failed.reason, failed.again) == ("http_307", False)


@pytest.mark.parametrize(
    "answer",
    [None, b"HTTP/1.1 2", b"SSH-2.0-OpenSSH_9.2\r\n", ENDLESS, SWITCHED],
    ids=["hung up", "half an answer", "no HTTP", "endless", "another protocol"],
)
def test_what_is_no_answer_may_be_sent_again(
    answer: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert failure([answer]).again
    assert not caplog.records


def test_an_answer_that_does_not_come_may_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "TIMEOUT_S", 0.05)

    async def late(client: HttpUpstream) -> None:
        with pytest.raises(Failed, match="Timeout") as failed:
            await send(client)
        assert failed.value.again
        await send(client)

    _, server = asked([b"", OK], late)

    assert server.connections == 2


def test_nobody_listens() -> None:
    async def run() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        client = HttpUpstream(f"http://127.0.0.1:{port}", {})
        with pytest.raises(Failed, match="Connect") as failed:
            await send(client)
        assert failed.value.again
        await client.close()

    asyncio.run(run())


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http:///x", "http://:1", "host:4318"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="wanted http"):
        upstream_of(url, {})


def test_a_host_that_cannot_be_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="label"):
        upstream_of("http://a..b", {})


def test_a_header_cannot_begin_a_second_request() -> None:
    with pytest.raises(ValueError, match="one line"):
        HttpUpstream("http://host", {"x": "a\r\n\r\nPOST / HTTP/1.1"})


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes the certificate")
def test_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=spanlint"
    extra = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key)]
    subprocess.run(
        [*command.split(), *extra, "-out", str(certificate)], check=True, capture_output=True
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def sent_once(url: str) -> None:
        client = HttpUpstream(url, {})
        try:
            await send(client)
        finally:
            await client.close()

    async def run() -> None:
        server = Server([OK])
        async with await asyncio.start_server(
            server.meet, "127.0.0.1", 0, ssl=context
        ) as listening:
            url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            with pytest.raises(Failed, match="CertVerification"):
                await sent_once(url)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            await sent_once(url)
        assert server.bodies == [b"spans"]

    asyncio.run(run())

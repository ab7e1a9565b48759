"""The client that forwards over HTTP, against a server that answers by script."""

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

from collector.httpclient import Answer, HttpClient, HttpError

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 202 Fine\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
UNTIL_THE_END = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\nlater"
CLOSING = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK


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
    use: Callable[[HttpClient, Server], Awaitable[Any]],
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
            client = HttpClient(url.format(port), headers)
            try:
                return await use(client, server), server
            finally:
                client.close()

    return asyncio.run(asyncio.wait_for(run(), 30))


def post(client: HttpClient, body: bytes = b"spans", timeout_s: float = 20) -> Awaitable[Answer]:
    return client.post("/v1/traces", body, {"content-type": "x/y"}, timeout_s)


@pytest.mark.parametrize(
    ("answer", "status", "again"),
    [(OK, 200, True), (CHUNKED, 202, True), (EARLY, 200, True), (CLOSING, 200, False)],
    ids=["length", "chunked", "early hints", "closing"],
)
def test_every_kind_of_answer_and_whether_the_connection_is_kept(
    answer: bytes, status: int, again: bool
) -> None:
    async def twice(client: HttpClient, _: Server) -> list[int]:
        return [(await post(client, body)).status for body in (b"one", b"two")]

    found, server = asked([answer, answer], twice)

    assert found == [status, status]
    assert server.bodies == [b"one", b"two"]
    assert server.connections == (1 if again else 2)


def test_an_answer_may_end_where_the_connection_does() -> None:
    found, _ = asked([UNTIL_THE_END], lambda client, _: post(client), ends=True)

    assert (found.status, found.headers["retry-after"]) == (503, "7")


def test_what_is_sent() -> None:
    url = "http://me:p%40ss@127.0.0.1:{}/otlp/"
    _, server = asked([OK], lambda client, _: post(client), url=url, **{"X-Scope-OrgID": "team"})

    head = server.heads[0].decode()
    assert head.startswith("POST /otlp/v1/traces HTTP/1.1\r\n")
    assert "x-scope-orgid: team\r\n" in head
    assert "content-type: x/y\r\n" in head
    assert f"authorization: Basic {base64.b64encode(b'me:p@ss').decode()}\r\n" in head
    assert "me" not in head.partition("host: ")[2].partition("\r\n")[0]


def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000

    _, server = asked([OK], lambda client, _: post(client, body))

    assert server.bodies == [body]


def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    async def several(client: HttpClient, _: Server) -> list[int]:
        found = await asyncio.gather(*(post(client, b"%d" % n) for n in range(3)))
        found.append(await post(client))
        return [a.status for a in found]

    found, server = asked([OK] * 4, several)

    assert found == [200] * 4
    assert server.connections == 3


def test_a_connection_that_ended_while_idle_is_not_used_again() -> None:
    async def twice(client: HttpClient, server: Server) -> int:
        await post(client)
        await server.ended.wait()
        while client._idle[0].usable:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
        return (await post(client)).status

    found, server = asked([OK, OK], twice, ends=True)

    assert found == 200
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "hung up"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", "hung up"),
    ],
)
def test_what_is_no_answer_is_an_error(answer: bytes | None, reason: str) -> None:
    with pytest.raises(HttpError, match=reason):
        asked([answer], lambda client, _: post(client), ends=True)


def test_an_answer_that_does_not_come_is_an_error_and_the_next_one_is_not_its() -> None:
    async def late(client: HttpClient, _: Server) -> Answer:
        with pytest.raises(HttpError, match="Timeout"):
            await post(client, timeout_s=0.05)
        return await post(client)

    found, server = asked([b"", OK], late)

    assert found.status == 200
    assert server.connections == 2


def test_nobody_listens() -> None:
    async def run() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        with pytest.raises(HttpError, match="Connect"):
            await post(HttpClient(f"http://127.0.0.1:{port}", {}))

    asyncio.run(run())


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http:///x", "host:4318"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="wanted http"):
        HttpClient(url, {})


def test_a_header_cannot_begin_a_second_request() -> None:
    with pytest.raises(ValueError, match="one line"):
        HttpClient("http://host", {"x": "a\r\n\r\nPOST / HTTP/1.1"})


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

    async def run() -> None:
        server = Server([OK])
        async with await asyncio.start_server(
            server.meet, "127.0.0.1", 0, ssl=context
        ) as listening:
            url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            with pytest.raises(HttpError, match="CERTIFICATE_VERIFY_FAILED"):
                await post(HttpClient(url, {}))
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            assert (await post(HttpClient(url, {}))).status == 200

    asyncio.run(run())

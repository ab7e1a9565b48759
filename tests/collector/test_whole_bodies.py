"""Bodies that come in pieces, as chunks, one after the other, too large, or not to their end."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from support.running import Running, as_if_now, running
from support.sketch import Case, Line, request

LIMIT = 100_000
KIND = b"content-type: application/x-protobuf\r\n"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(max_body_bytes=LIMIT) as started:
        yield started


def body(children: int) -> bytes:
    entry = Line("shop", "GET /books", 0, 120, [])
    entry.children = [Line("shop", "SELECT * FROM authors WHERE id = %s", 8, 110, [f"x{children}"])]
    return as_if_now(request(Case("one", [entry]))).SerializeToString()


def post(content: bytes, headers: bytes = b"") -> bytes:
    length = headers or f"content-length: {len(content)}\r\n".encode()
    return b"POST /v1/traces HTTP/1.1\r\nhost: x\r\n" + KIND + length + b"\r\n" + content


def asked(service: Running, *pieces: bytes, answers: int = 1) -> list[bytes]:
    """The status lines that pieces, sent one by one, are answered with."""
    host, _, port = service.at.otlp_http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as sender:
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sender.sendall(piece)
        got = b""
        while got.count(b"HTTP/1.1 ") < answers or b"\r\n\r\n" not in got.rpartition(b"HTTP/")[2]:
            part = sender.recv(65_536)
            if not part:
                break
            got += part
    return [b"HTTP/1.1 " + answer.split(b"\r\n")[0] for answer in got.split(b"HTTP/1.1 ")[1:]]


def received(service: Running) -> float:
    return service.metric("spanlint_spans_received_total")


def test_pieces_are_one_body(service: Running) -> None:
    before, whole = received(service), post(body(300))

    assert asked(service, *(whole[at : at + 7_000] for at in range(0, len(whole), 7_000))) == [
        b"HTTP/1.1 200 OK"
    ]
    assert received(service) == before + 301


def test_chunks_are_one_body(service: Running) -> None:
    before, content = received(service), body(300)
    parts = [content[at : at + 7_000] for at in range(0, len(content), 7_000)]
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]

    head = post(b"", b"transfer-encoding: chunked\r\n")
    assert asked(service, head, *chunks, b"0\r\n\r\n") == [b"HTTP/1.1 200 OK"]
    assert received(service) == before + 301


def test_requests_that_follow_at_once_are_answered_in_order(service: Running) -> None:
    before = received(service)

    lines = asked(service, post(body(3)) + post(b"\xff") + post(body(200)), answers=3)

    assert [line.split()[1] for line in lines] == [b"200", b"400", b"200"]
    assert received(service) == before + 4 + 201


def test_chunks_without_end_are_refused_while_they_come(service: Running) -> None:
    chunk = b"%x\r\n%b\r\n" % (60_000, bytes(60_000))

    lines = asked(service, post(b"", b"transfer-encoding: chunked\r\n"), chunk, chunk)

    assert [line.split()[1] for line in lines] == [b"413"]


def test_a_body_that_is_waited_for_is_told_to_come(service: Running) -> None:
    content = body(3)
    told = f"content-length: {len(content)}\r\nexpect: 100-continue\r\n".encode()

    lines = asked(service, post(b"", told), content, answers=2)

    assert [line.split()[1] for line in lines] == [b"100", b"200"]


def test_a_sender_that_goes_away_leaves_nothing(service: Running) -> None:
    before = received(service)
    host, _, port = service.at.otlp_http.rpartition(":")
    with socket.create_connection((host, int(port))) as sender:
        sender.sendall(post(body(300))[:-100])

    assert asked(service, post(body(3))) == [b"HTTP/1.1 200 OK"]
    assert received(service) == before + 4

"""A stub of MongoDB: no server can be installed from Debian's packages, so this speaks just enough.

OP_MSG with section kinds 0 and 1 (mongodb/specifications, `message/OP_MSG.md`) and the OP_QUERY of
the first hello; answers hello, find, insert and endSessions. It keeps nothing: a find gives a
document per wanted `_id`.
"""

from __future__ import annotations

import itertools
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bson

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
_HEADER = struct.Struct("<iiii")
_HELLO = {
    "ismaster": True, "helloOk": True, "isWritablePrimary": True, "maxBsonObjectSize": 16_777_216,
    "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "minWireVersion": 0,
    "maxWireVersion": 21, "ok": 1.0,
}  # fmt: skip


class _Connection(socketserver.StreamRequestHandler):
    numbers = itertools.count(1)

    def handle(self) -> None:
        while header := self.rfile.read(_HEADER.size):
            length, request, _, kind = _HEADER.unpack(header)
            body = self.rfile.read(length - _HEADER.size)
            if kind == OP_QUERY:
                document = bson.encode(_HELLO)
                self._send(request, OP_REPLY, struct.pack("<iqii", 8, 0, 0, 1) + document)
            elif kind == OP_MSG:
                reply = bson.encode(_answer(_command(body)))
                self._send(request, OP_MSG, struct.pack("<iB", 0, 0) + reply)

    def _send(self, request: int, kind: int, body: bytes) -> None:
        number = next(self.numbers)
        header = _HEADER.pack(_HEADER.size + len(body), number, request, kind)
        self.wfile.write(header + body)


def _command(body: bytes) -> dict[str, Any]:
    """The command document of section kind 0; sequences of kind 1 are put into it by name."""
    command: dict[str, Any] = {}
    position = 4
    while position < len(body):
        kind, position = body[position], position + 1
        (size,) = struct.unpack_from("<i", body, position)
        if kind == 0:
            command |= bson.decode(body[position : position + size])
        else:
            name, _, documents = body[position + 4 : position + size].partition(b"\0")
            command[name.decode()] = bson.decode_all(documents)
        position += size
    return command


def _answer(command: dict[str, Any]) -> dict[str, Any]:
    name = next(iter(command))
    if name == "find":
        wanted = command["filter"].get("_id")
        ids = wanted["$in"] if isinstance(wanted, dict) else [wanted]
        space = f"{command['$db']}.{command['find']}"
        batch = [{"_id": i, "name": "somebody"} for i in ids]
        return {"cursor": {"id": bson.Int64(0), "ns": space, "firstBatch": batch}, "ok": 1.0}
    if name == "insert":
        return {"n": len(command["documents"]), "ok": 1.0}
    return _HELLO if name in {"hello", "ismaster", "isMaster"} else {"ok": 1.0}


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextmanager
def mongo_stub() -> Iterator[str]:
    """`mongodb://…` of a stub on loopback and an ephemeral port."""
    server = _Server(("127.0.0.1", 0), _Connection)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"mongodb://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

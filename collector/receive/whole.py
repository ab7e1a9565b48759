"""Uvicorn's protocol, but the application is woken once for a body: when it is there as a whole.

Uvicorn stops reading when 64 KiB wait, wakes the application, and goes on when it took them: a body
is copied four times, and a task wakes as often as the socket is read. Here parts are kept as they
come and joined once. What is larger than may be is handed over as it comes, to be refused.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class WholeBodies(HttpToolsProtocol):
    """max_bytes: the largest body that is kept until it is whole; else as uvicorn has it."""

    def __init__(self, max_bytes: int, **told: Any) -> None:
        super().__init__(**told)
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._parts.clear()
        self._size = 0

    def on_body(self, body: bytes) -> None:
        """A part of a body came; of a request that is answered already, nobody wants it."""
        if self.cycle.response_complete:
            return
        self._parts.append(body)
        self._size += len(body)
        if self._size > self._max_bytes:
            super().on_body(self._taken())

    def on_message_complete(self) -> None:
        """A body ends."""
        if self._parts and not self.cycle.response_complete:
            # A body of type bytes is handed over as it is, a bytearray would be copied.
            self.cycle.body = self._taken()  # type: ignore[assignment]
        super().on_message_complete()

    def _taken(self) -> bytes:
        """What was kept, which is kept no more."""
        whole = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        return whole

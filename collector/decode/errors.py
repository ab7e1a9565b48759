"""What a decoder raises: only that a body as a whole cannot be read."""

from __future__ import annotations

from dataclasses import dataclass


class MalformedInput(Exception):  # noqa: N818 - the input is malformed; nothing else failed
    """A body that cannot be parsed. `offset` is the byte where parsing ended, when known."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass
class BrokenFile(Exception):  # noqa: N818 - the file is broken
    """A file that cannot be read to its end: which one, at which byte, why."""

    path: str
    offset: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: byte {self.offset}: {self.reason}"

"""What is forwarded: a request as it came."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parcel:
    """A request as it came."""

    signal: str
    body: bytes
    json: bool
    encoding: str

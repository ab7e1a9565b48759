"""What decoders give and take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized

    import polars as pl

    from collector.decode.attributes import Attributes


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """actor_attributes: attributes that name the actor, before those of the column table.

    decoder: `auto`, `native` or `reference`, of protobuf.
    """

    actor_attributes: tuple[str, ...] = ()
    decoder: str = "auto"


@dataclass(slots=True)
class Part:
    """One span in parts, as a wire format gives it.

    ids are bytes; status 0 unset, 1 ok, 2 error; exception: type of the last exception event.
    links: (trace id, span id) pairs.
    """

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status: int
    flags: int
    trace_state: str
    attributes: Attributes
    exception: str | None = None
    links: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the spans of one body.

    rejected: spans left out, by reason. repaired: spans kept after a repair, by reason;
    `invalid_utf8` counts the body once.
    """

    accepted: int
    rejected: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Packed:
    """Spans of some bodies, as a window or a spool takes them, and the counts of all."""

    spans: Sequence[Sized]
    rejected: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Spans of one body: a frame with the columns of `SPAN_SCHEMA`, and its counts."""

    frame: pl.DataFrame
    rejected: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        """Number of spans in the frame."""
        return self.frame.height


class Decoder(ABC):
    """Takes bodies one after the other, and gives their spans as one frame when asked.

    A frame costs the same for eight spans as for thousands, so a busy receiver feeds many bodies
    before it takes. Caches outlive bodies. Not for two threads at once.
    """

    name = "reference"
    left_to_reference = 0
    """Bodies so far that only the reference could read."""

    @abstractmethod
    def feed(self, body: bytes) -> Counts:
        """Adds the spans of a request; raises MalformedInput, and adds none, when it is none."""

    @abstractmethod
    def take(self) -> pl.DataFrame:
        """All spans since the last call: the columns of `SPAN_SCHEMA`."""

    def take_packed(self) -> list[Sized]:
        """All spans since the last call, as a window takes them: frames, or what is nearer."""
        return [self.take()] if len(self) else []

    @abstractmethod
    def __len__(self) -> int:
        """Spans that `take` would give."""

    def __call__(self, body: bytes) -> Decoded:
        """Spans of one request alone; raises MalformedInput when it is none."""
        counts = self.feed(body)
        return Decoded(self.take(), counts.rejected, counts.repaired)

"""What decoders give and take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
class Decoded:
    """Spans of one body.

    frame: the columns of `SPAN_SCHEMA`. rejected: spans left out, by reason. repaired: spans kept
    after a repair, by reason; `invalid_utf8` counts the body once.
    """

    frame: pl.DataFrame
    rejected: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        """Number of spans in the frame."""
        return self.frame.height

"""What decoders give and take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """actor_attributes: attributes that name the actor, before those of the column table."""

    actor_attributes: tuple[str, ...] = ()


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

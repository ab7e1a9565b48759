"""SQL statements to shapes."""

from __future__ import annotations

from detectors.kit.shapes.model import Shape
from detectors.kit.traits import Trait

__all__ = ["Shape", "shape_statement"]


def shape_statement(text: str, system: str | None) -> Shape:
    """The shape of one SQL statement; `system` is OTel's db.system.name."""
    words = text.split()
    verb = words[0].upper().rstrip(";") if words else None
    traits = Trait.READ if verb == "SELECT" else Trait(0)
    return Shape(" ".join(words), verb, None, None, None, int(traits), verb or "")

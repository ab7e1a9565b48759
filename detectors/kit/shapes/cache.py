"""Cache commands to shapes."""

from __future__ import annotations

from detectors.kit.shapes.model import CacheShape

__all__ = ["CacheShape", "shape_command"]


def shape_command(
    statement: str | None, name: str, system: str, pipeline_length: int | None
) -> CacheShape:
    """The shape of a Redis or memcached span from its statement, else from its span name."""
    words = (statement or name).split()
    return CacheShape(
        words[0].upper() if words else None, None, None, 0, pipeline_length or 1
    )

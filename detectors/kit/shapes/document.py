"""Document and key-value commands to shapes."""

from __future__ import annotations

from detectors.kit.shapes.model import Shape

__all__ = ["Shape", "shape_command"]


def shape_command(
    system: str, operation: str | None, statement: str | None, collection: str | None
) -> Shape:
    """The shape of a MongoDB, DynamoDB or Elasticsearch operation."""
    summary = " ".join(part for part in (operation, collection) if part)
    return Shape(summary, operation, collection, None, None, 0, summary)

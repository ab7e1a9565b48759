"""One answer of the classifier for all spans that differ in numbers alone.

The native decoder takes runs of digits out of URLs, statements, commands and keys (`native/src/
general.rs`) and asks for the facets once. They hold for the others when no text that is kept shows
a run; what is kept as a hash is given as a text with holes, which are filled with their own runs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collector.decode.facets import SEPARATOR, Facets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.decode.attributes import Attributes

Holed = tuple[list[str], list[int]]
"""Pieces of a text, and the numbers of the runs that stand between them."""

OPEN = {
    "db.query.text": "whole",
    "db.statement": "whole",
    "db.statement.parameters": "whole",
    "db.postgresql.values": "whole",
    "cache.key": "whole",
    "db.redis.key": "whole",
    "url.full": "url",
    "http.url": "url",
    "url.path": "url",
    "http.target": "url",
}
"""Attributes that runs are taken out of; of URLs only behind the host."""
HASHED = ("values", "key", "path", "entity")
_TEXTS = (
    *("label", "name", "system", "namespace", "operation", "target"),
    *("predicate", "shape", "peer", "route"),
)


def holed(
    name: str, attributes: Attributes, facets: Facets, runs: Sequence[str]
) -> dict[str, Holed] | None:
    """The hashed columns as texts with holes; None when this answer holds for this span alone."""
    sent = SEPARATOR.join((name, *map(str, attributes.values())))
    if any(sent.count(run) != 1 for run in runs):
        return None  # which of two equal numbers is it?
    kept = SEPARATOR.join(t for n in _TEXTS if (t := getattr(facets, n)))
    if any(run in kept for run in runs):
        return None
    hashed = (_literals(facets), facets.key, facets.path, facets.entity)
    return {n: _holes(t, runs) for n, t in zip(HASHED, hashed, strict=True) if t}


def _literals(facets: Facets) -> str | None:
    return None if facets.literals is None else SEPARATOR.join(facets.literals)


def _holes(text: str, runs: Sequence[str]) -> Holed:
    numbers = {run: number for number, run in enumerate(runs)}
    parts = re.split(f"({'|'.join(runs)})", text)
    return parts[::2], [numbers[run] for run in parts[1::2]]

"""What a span is, told from its name, kind and attributes: the record that classifiers give."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.kit.columns import CATEGORIES, KINDS
from detectors.kit.texts import code

KIND = {name: index for index, name in enumerate(KINDS)}
CATEGORY = {name: index for index, name in enumerate(CATEGORIES)}
SERVER, CLIENT = KIND["server"], KIND["client"]
PRODUCER, CONSUMER = KIND["producer"], KIND["consumer"]
SEPARATOR = "\x1f"


@dataclass(slots=True)
class Facets:
    """Texts of the derived columns of one span; None where a column is null.

    literals: None when values are hidden, the empty tuple when there is no parameter, else the
    values; kept only as a hash. key, path and entity likewise.
    """

    category: str
    label: str
    name: str
    system: str | None = None
    namespace: str | None = None
    operation: str | None = None
    target: str | None = None
    predicate: str | None = None
    shape: str | None = None
    literals: tuple[str, ...] | None = None
    key: str | None = None
    peer: str | None = None
    route: str | None = None
    path: str | None = None
    entity: str | None = None
    repeat: int = 1
    traits: int = 0


def values_code(literals: tuple[str, ...] | None) -> int | None:
    """The column `values`: a hash of the literals, None when they are hidden."""
    return None if literals is None else code(SEPARATOR.join(literals))


def joined(*parts: str | None) -> str:
    """The parts that are there, with a space between."""
    return " ".join(p for p in parts if p)

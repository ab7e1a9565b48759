"""Which attributes are read, from the one table of span columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detectors.kit.columns import SPAN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_VALUE_CHARS = 1_000_000
"""A longer attribute value is cut: memory is bounded before anything is kept."""
_MAX_LEARNT = 10_000
_HEADER = "http.request.header."

Attributes = dict[str, Any]

BESIDE = (
    # Read to classify a span, though no column holds them as they are.
    "asgi.event.type",
    "server.port",
    "net.peer.port",
    "url.query",
    "http.url",
    "http.target",
    "rpc.service",
    "messaging.destination.temporary",
    "db.query.summary",
)

NAMES: dict[str, tuple[str, ...]] = {
    c.name: tuple(a for a in c.attributes if not a.startswith("resource:") and "*" not in a)
    for c in SPAN_COLUMNS
}
"""Column -> span attributes in order of preference."""
PREFIXES: tuple[str, ...] = tuple(
    a.removesuffix("*") for c in SPAN_COLUMNS for a in c.attributes if a.endswith("*")
)
RESOURCE_NAMES: dict[str, tuple[str, ...]] = {
    c.name: tuple(a.removeprefix("resource:") for a in c.attributes if a.startswith("resource:"))
    for c in SPAN_COLUMNS
}


def actor_names(configured: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Attributes that name the actor, in order: those configured, then those of the column table.

    A configured header is found in both spellings: SDKs write `x-user` or `x_user`.
    """
    spelt: list[str] = []
    for name in configured:
        spelt.append(name)
        if name.lower().startswith(_HEADER):
            header = name[len(_HEADER) :].lower()
            spelt += (_HEADER + header.replace("_", "-"), _HEADER + header.replace("-", "_"))
    return tuple(dict.fromkeys((*spelt, *NAMES["actor"])))


class Wanted:
    """Says of an attribute name whether it is read; remembers what it said."""

    def __init__(self, extra: tuple[str, ...] = ()) -> None:
        read = [a for names in NAMES.values() for a in names]
        self.names = tuple(dict.fromkeys((*read, *BESIDE, *extra)))
        self._said: dict[str, bool] = dict.fromkeys(self.names, True)

    def __call__(self, name: str) -> bool:
        """Whether the attribute is read."""
        said = self._said.get(name)
        if said is None:
            said = name.startswith(PREFIXES)
            if len(self._said) < _MAX_LEARNT:
                self._said[name] = said
        return said


def first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first attribute of `names` that is there and not empty."""
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "":
            return value
    return None


def text(value: Any) -> str | None:
    """An attribute as text: the first element of a list, numbers as written; None when absent."""
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, (list, tuple)):
        return text(value[0]) if value else None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace") or None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def reader(column: str) -> Callable[[Mapping[str, Any]], str | None]:
    """A function that reads a column's text from attributes."""
    names = NAMES[column]
    return lambda attributes: text(first(attributes, names))


def number(value: Any, low: int, high: int) -> int | None:
    """An attribute as a whole number within bounds; None when it is not one."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return whole if low <= whole <= high else None


def flag(value: Any) -> bool | None:
    """An attribute as a truth value: booleans, `true`/`false`, counts; None when it is none."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value > 0
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None

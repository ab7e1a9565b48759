"""The records that shapers return."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """A statement without its values.

    `literals` is None when the values are hidden (placeholders, masked text), the empty tuple when
    the statement has no parameter at all, else the literal texts in their order.
    """

    shape: str
    operation: str | None
    target: str | None
    predicate: str | None
    literals: tuple[str, ...] | None
    traits: int
    summary: str


@dataclass(frozen=True, slots=True)
class UrlShape:
    """A URL or path without its ids.

    `template` is the path with ids replaced, then the query keys: `/users/{id}?page={}`. `ids` are
    the replaced path segments, then the query values in the order of their sorted keys.
    """

    template: str
    ids: tuple[str, ...]
    host: str | None
    has_query: bool
    paged: bool
    health: bool


@dataclass(frozen=True, slots=True)
class CacheShape:
    """A cache command without its values.

    `key` is the key as text (of several, all of them, separated by spaces), None when the statement
    masks it; `template` is the key with ids replaced (`user:{id}`). `commands` counts the commands
    of a pipeline, else it is 1.
    """

    operation: str | None
    key: str | None
    template: str | None
    traits: int
    commands: int

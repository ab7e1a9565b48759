"""Forms in other languages: visible cache keys, `$1` placeholders, other resources and names."""

from __future__ import annotations

from collections.abc import Callable

from zoo.forms.caches import hot, once_each, reads_and_writes
from zoo.forms.state import often
from zoo.model import Form, Kind, Part
from zoo.world import World


def _form(  # noqa: PLR0913
    routes: str,
    kind: Kind,
    what: str,
    drive: Callable[[World], None],
    *expects: str,
    instances: int = 1,
) -> Form:
    part = Part("shop", f"node.{routes}", instances, framework="node")
    told = f"Node: {what}"
    return Form(f"node_{routes}", kind, told, (part,), drive, expects, polyglot=True)


FORMS = (
    _form("aside", "good", "cache-aside with SET EX", hot, instances=2),
    _form("uncached", "bad", "no cache before a hot SELECT", hot, "C101 shop products"),
    _form("never_filled", "bad", "GET, then SELECT, never SET; keys are visible", hot,
          "C102 shop"),
    _form("no_expiry", "bad", "SET without a TTL", hot, "C106 shop"),
    _form("no_invalidation", "bad", "writes leave the cached value as it was", reads_and_writes,
          "C105 shop products"),
    _form("invalidation", "good", "DEL after the write", reads_and_writes),
    _form("memory", "bad", "a Map of the process, three instances", often, "S101 shop",
          instances=3),
    _form("each", "bad", "a query per product of a page", once_each, "N101 shop products"),
    _form("all", "good", "one query for all products of a page", once_each),
)  # fmt: skip

"""Forms in other languages: visible cache keys, `$1` placeholders, other resources and names."""

from __future__ import annotations

from collections.abc import Callable

from zoo.forms.caches import hot, once_each, reads_and_writes
from zoo.forms.state import often
from zoo.model import Form, Kind, Part
from zoo.world import World


def _form(  # noqa: PLR0913
    name: str,
    kind: Kind,
    what: str,
    drive: Callable[[World], None],
    *expects: str,
    instances: int = 1,
) -> Form:
    """`name`: `language_routes`."""
    language, _, routes = name.partition("_")
    part = Part("shop", f"{language}.{routes}", instances, framework=language)
    told = f"{language.title()}: {what}"
    return Form(name, kind, told, (part,), drive, expects, polyglot=True)


FORMS = (
    _form("node_aside", "good", "cache-aside with SET EX", hot, instances=2),
    _form("node_uncached", "bad", "no cache before a hot SELECT", hot, "C101 shop products"),
    _form("node_never_filled", "bad", "GET, then SELECT, never SET; keys are visible", hot,
          "C102 shop"),
    _form("node_no_expiry", "bad", "SET without a TTL", hot, "C106 shop"),
    _form("node_no_invalidation", "bad", "writes leave the cached value as it was",
          reads_and_writes, "C105 shop products"),
    _form("node_invalidation", "good", "DEL after the write", reads_and_writes),
    _form("node_memory", "bad", "a Map of the process, three instances", often, "S101 shop",
          instances=3),
    _form("node_each", "bad", "a query per product of a page", once_each, "N101 shop products"),
    _form("node_all", "good", "one query for all products of a page", once_each),
    _form("java_aside", "good", "cache-aside with SET EX", hot, instances=2),
    _form("java_uncached", "bad", "no cache before a hot SELECT", hot, "C101 shop products"),
    _form("java_uncached_by_hand", "bad", "the same, the id in the text, which the agent masks",
          hot, "C101 shop products"),
    _form("java_never_filled", "bad", "GET, then SELECT, never SET; keys are visible", hot,
          "C102 shop"),
    _form("java_no_expiry", "bad", "SET without a TTL", hot, "C106 shop"),
    _form("java_no_invalidation", "bad", "writes leave the cached value as it was",
          reads_and_writes, "C105 shop products"),
    _form("java_invalidation", "good", "DEL after the write", reads_and_writes),
    _form("java_memory", "bad", "a map of the process, three instances", often, "S101 shop",
          instances=3),
    _form("java_each", "bad", "a query per product of a page", once_each, "N101 shop products"),
    _form("java_all", "good", "one query for all products of a page", once_each),
)  # fmt: skip

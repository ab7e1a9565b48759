"""What the native decoder is told of shapes: words of the shapers, and who reads which attribute.

The native decoder reads paths, commands and statements itself, by the words that stand in
`detectors/kit/shapes` and the attributes that the classifiers beside this file look at. They are
handed over from here, so that there is one source of each.
"""

from __future__ import annotations

from typing import Any

from collector.decode.attributes import PREFIXES
from collector.decode.databases import ALIASES, CACHES, DOCUMENTS, PARAMETER_ATTRIBUTES
from collector.decode.messages import PRESENCE as MESSAGES
from detectors.kit.shapes import ids, lexer, lists, url, words
from detectors.kit.shapes.commands import MEMCACHED, REDIS, REDIS_MANY
from detectors.kit.traits import Trait

OWN = ("values", "key", "path", "entity")
"""Columns that are hashes: no two spans have to share them to be of one form."""

_STATEMENTS = ("db.query.text", "db.statement")
URLS = ("url.path", "url.query", "http.target", "url.full", "http.url")
_BITS = (
    Trait.READ,
    Trait.WRITE,
    Trait.LISTED,
    Trait.PIPELINE,
    Trait.PARAMETERS,
    Trait.SINGLE_KEY,
    Trait.FILL,
    Trait.EXPIRES,
)


def reads() -> dict[str, Any]:
    """Attributes by what they decide; in order of preference where that counts."""
    (parameter_prefix,) = PREFIXES
    return {
        "noise": ("asgi.event.type",),
        "systems": ("db.system.name", "db.system"),
        "messages": MESSAGES,
        "rpc": ("rpc.system", "rpc.system.name", "rpc.service"),
        "rpc_method": ("rpc.method",),
        "methods": ("http.request.method", "http.method"),
        "statements": _STATEMENTS,
        "parameters": PARAMETER_ATTRIBUTES,
        "parameter_prefix": parameter_prefix,
        "keys": ("cache.key", "db.redis.key"),
        "operation": ("db.operation.name",),
        "length": ("db.redis.pipeline_length",),
        "urls": URLS,
        "ports": ("server.port", "net.peer.port"),
    }


def lexicon() -> dict[str, Any]:
    """Words and tables of the shapers."""
    return {
        "words": sorted(ids.WORDS),
        "paging": sorted(url.PAGING),
        "health": sorted(url.HEALTH),
        "caches": sorted(CACHES),
        "documents": sorted(DOCUMENTS),
        "redis": {verb: int(traits) for verb, traits in REDIS.items()},
        "memcached": {verb: int(traits) for verb, traits in MEMCACHED.items()},
        "many": sorted(REDIS_MANY),
        "bits": {str(bit.name): int(bit) for bit in _BITS},
        "dialects": {name: tuple(lexer.dialect_of("", name)) for name in lexer.NAMED},
        "aliases": ALIASES,
        "before_operand": sorted(lexer.BEFORE_OPERAND),
        "naming": sorted(words.NAMING),
        "constants": sorted(lists.CONSTANTS),
    }

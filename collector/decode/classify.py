"""Classifies spans: the same name, kind and telling attributes always give the same facets.

Facets are cached by what they are made of, and the codes of their texts with them. Repeated
statements cost a dictionary look-up; only new ones are shaped. The cache is bounded, and starts
anew when the texts behind its codes are forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.decode.attributes import text
from collector.decode.calls import http, method_of, path_of, rpc, templated_name
from collector.decode.databases import database, system_of
from collector.decode.facets import CATEGORY, SERVER, Facets, values_code
from collector.decode.messages import is_message, messaging
from detectors.kit.shapes.entity import entity_of
from detectors.kit.texts import Texts, code
from detectors.kit.traits import Trait

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.decode.attributes import Attributes

Coded = tuple[Any, ...]
"""Codes of a span's facets, in the order of `CODED`."""
CODED = (
    "name",
    "label",
    "category",
    "system",
    "namespace",
    "operation",
    "target",
    "predicate",
    "shape",
    "values",
    "key",
    "peer",
    "route",
    "path",
    "entity",
    "repeat",
    "traits",
)

_PATH = CODED.index("path")
_TELLING_OF_ROUTED = ("http.route", "http.request.method", "http.method", "asgi.event.type")

_MAX_CACHED = 20_000
_MAX_CACHED_CHARS = 8_000_000
_LONG_TEXT = 4_096
"""A longer value stands in a cache key as its code."""
_INTERNAL_HTTP = ("asgi.event.type",)
_IGNORED = frozenset(
    # Read for columns of their own; they do not tell what a span is.
    (
        "http.response.status_code",
        "http.status_code",
        "rpc.grpc.status_code",
        "rpc.status_code",
        "rpc.response.status_code",
        "messaging.message.id",
        "messaging.message_id",
        "messaging.conversation_id",
        "error.type",
        "user.id",
        "enduser.id",
        "enduser.pseudo.id",
        "session.id",
        "db.response.returned_rows",
        "cache.hit",
        "retry_attempts",
        "celery.retries",
        "http.request.resend_count",
        "http.resend_count",
        "code.file.path",
        "code.filepath",
        "code.line.number",
        "code.lineno",
        "network.peer.address",
        "net.peer.ip",
        "sampling.probability",
        "sampling.ratio",
    )
)


class Classifier:
    """From span name, kind and attributes to coded facets."""

    def __init__(self, texts: Texts, ignored: tuple[str, ...] = ()) -> None:
        self._texts = texts
        self._ignored = _IGNORED | set(ignored)
        self._cache: dict[tuple[Any, ...], Coded] = {}
        self._chars = 0
        self._generation = texts.generation

    def __call__(self, name: str, kind: int, attributes: Attributes) -> Coded:
        """The coded facets of a span."""
        if self._generation != self._texts.generation:
            self._forget()
        if kind == SERVER and "http.route" in attributes:
            return self._routed(name, kind, attributes)
        signature = self._signature(name, kind, attributes)
        known = self._cache.get(signature)
        return known if known is not None else self._learn(signature, name, kind, attributes)

    def _routed(self, name: str, kind: int, attributes: Attributes) -> Coded:
        """A request whose route is known: path and entity are its own, nearly always new."""
        told = {k: attributes[k] for k in _TELLING_OF_ROUTED if k in attributes}
        signature = (name, kind, *told.items())
        known = self._cache.get(signature) or self._learn(signature, name, kind, told)
        path = path_of(attributes)
        if path is None:
            return known
        entity = entity_of(path, text(attributes["http.route"]))
        hashes = code(path), code(entity) if entity else None
        return (*known[:_PATH], *hashes, *known[_PATH + len(hashes) :])

    def _signature(self, name: str, kind: int, attributes: Attributes) -> tuple[Any, ...]:
        ignored = self._ignored
        parts: list[Any] = [name, kind]
        for key, value in attributes.items():
            if key not in ignored:
                parts.append(key)
                if isinstance(value, str) and len(value) > _LONG_TEXT:
                    parts.append(code(value))
                else:
                    parts.append(value)
        if attributes.get("http.status_code", attributes.get("http.response.status_code")) == 404:
            parts.append(404)
        return tuple(parts)

    def _learn(
        self, signature: tuple[Any, ...], name: str, kind: int, attributes: Attributes
    ) -> Coded:
        coded = self._coded(classify(name, kind, attributes))
        if self._generation != self._texts.generation:
            self._forget()
            coded = self._coded(classify(name, kind, attributes))
        size = sum(len(p) for p in signature if isinstance(p, (str, tuple)))
        if len(self._cache) >= _MAX_CACHED or self._chars + size > _MAX_CACHED_CHARS:
            self._forget()
        self._cache[signature] = coded
        self._chars += size
        return coded

    def _forget(self) -> None:
        self._cache = {}
        self._chars = 0
        self._generation = self._texts.generation

    def _coded(self, facets: Facets) -> Coded:
        def named(value: str | None) -> int | None:
            return self._texts.code(value) if value else None

        return (
            named(facets.name) or self._texts.code("(unnamed)"),
            named(facets.label) or self._texts.code("(unnamed)"),
            CATEGORY[facets.category],
            named(facets.system),
            named(facets.namespace),
            named(facets.operation),
            named(facets.target),
            named(facets.predicate),
            named(facets.shape),
            values_code(facets.literals),
            code(facets.key) if facets.key else None,
            named(facets.peer),
            named(facets.route),
            code(facets.path) if facets.path else None,
            code(facets.entity) if facets.entity else None,
            facets.repeat,
            facets.traits,
        )

    def __len__(self) -> int:
        return len(self._cache)


def classify(name: str, kind: int, attributes: Attributes) -> Facets:
    """Facets of one span; the first kind of span that its attributes tell of."""
    if any(n in attributes for n in _INTERNAL_HTTP):
        return Facets("internal", templated_name(name), templated_name(name), traits=Trait.NOISE)
    system = system_of(attributes)
    if system is not None:
        return database(system, name, attributes)
    for is_kind, facets_of in _BY_ATTRIBUTE:
        if is_kind(attributes):
            return facets_of(kind, name, attributes)
    bare = name.lower()
    if bare in _BARE_CONNECTIONS:
        return Facets("connection", name, name)
    return Facets("internal", templated_name(name), templated_name(name))


_BARE_CONNECTIONS = frozenset(
    ("connect", "pg-pool.connect", "tcp.connect", "tls.connect", "dns.lookup")
)


def _http(kind: int, name: str, attributes: Attributes) -> Facets:
    return http(method_of(attributes) or "", kind, name, attributes)


_BY_ATTRIBUTE: tuple[
    tuple[Callable[[Attributes], bool], Callable[[int, str, Attributes], Facets]], ...
] = (
    (is_message, messaging),
    (lambda a: "rpc.system" in a or "rpc.system.name" in a or "rpc.service" in a, rpc),
    (lambda a: method_of(a) is not None, _http),
)

"""Classifies spans: the same name, kind and telling attributes always give the same facets.

Facets are cached by what they are made of, and the codes of their texts with them. Repeated
statements cost a dictionary look-up; only new ones are shaped. The cache is bounded, and starts
anew when the texts behind its codes are forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.decode.attributes import BESIDE, NAMES, text
from collector.decode.calls import (
    PEER_ADDRESSES,
    PEER_NAMES,
    STATUS_NAMES,
    http,
    is_missing,
    method_of,
    path_of,
    rpc,
    templated_name,
)
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
TELLING_OF_ROUTED = ("http.route", "http.request.method", "http.method", "asgi.event.type")

_MAX_CACHED = 20_000
_MAX_CACHED_CHARS = 8_000_000
_LONG_TEXT = 4_096
"""A longer value stands in a cache key as its code."""
_INTERNAL_HTTP = ("asgi.event.type",)
IGNORED = frozenset(
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

_LOOKED_AT = {*BESIDE, *(n for c, names in NAMES.items() if c != "actor" for n in names)}
"""An actor's attribute among these tells what a span is all the same."""


def is_routed(kind: int, attributes: Attributes) -> bool:
    """Whether a request's route is known: then path and entity alone are its own."""
    return kind == SERVER and "http.route" in attributes


def own_of_routed(attributes: Attributes) -> tuple[int | None, int | None]:
    """Hashes of path and entity of a request whose route is known; nearly always new."""
    path = path_of(attributes)
    if path is None:
        return None, None
    entity = entity_of(path, text(attributes["http.route"]))
    return code(path), code(entity) if entity else None


def _signature(name: str, kind: int, told: Attributes) -> tuple[Any, ...]:
    """What facets are remembered by."""
    parts: list[Any] = [name, kind]
    for key, value in told.items():
        parts.append(key)
        if isinstance(value, str) and len(value) > _LONG_TEXT:
            parts.append(code(value))
        else:
            parts.append(value)
    return tuple(parts)


class Classifier:
    """From span name, kind and attributes to coded facets."""

    def __init__(self, texts: Texts, actors: tuple[str, ...] = ()) -> None:
        self._texts = texts
        self.ignored = IGNORED | {a for a in actors if a not in _LOOKED_AT}
        self._cache: dict[tuple[Any, ...], Coded] = {}
        self._chars = 0
        self._generation = texts.generation

    def __call__(self, name: str, kind: int, attributes: Attributes) -> Coded:
        """The coded facets of a span."""
        if self._generation != self._texts.generation:
            self._forget()
        told = self.telling(kind, attributes)
        signature = _signature(name, kind, told)
        known = self._cache.get(signature) or self._learn(signature, name, kind, told)
        if not is_routed(kind, attributes):
            return known
        path, entity = own_of_routed(attributes)
        return known if path is None else (*known[:_PATH], path, entity, *known[_PATH + 2 :])

    def afresh(self, name: str, kind: int, attributes: Attributes) -> Facets:
        """The facets of a span, remembered by the caller; routed ones without their own."""
        return classify(name, kind, self.telling(kind, attributes))

    def telling(self, kind: int, attributes: Attributes) -> Attributes:
        """The attributes that tell what a span is; nothing else is looked at.

        Addresses only where nothing else names the other side, a status only when it says that
        there is nothing: both are many, and neither makes another span of it otherwise.
        """
        if is_routed(kind, attributes):
            return {k: attributes[k] for k in TELLING_OF_ROUTED if k in attributes}
        ignored = self.ignored
        told = {k: v for k, v in attributes.items() if k not in ignored}
        if kind != SERVER and not any(n in told for n in PEER_NAMES):
            told |= {n: attributes[n] for n in PEER_ADDRESSES if n in attributes}
        if is_missing(attributes):
            told[STATUS_NAMES[0]] = 404
        return told

    def _learn(
        self, signature: tuple[Any, ...], name: str, kind: int, attributes: Attributes
    ) -> Coded:
        coded = self.coded(classify(name, kind, attributes))
        if self._generation != self._texts.generation:
            self._forget()
            coded = self.coded(classify(name, kind, attributes))
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

    def coded(self, facets: Facets) -> Coded:
        """The columns of facets, in the order of `CODED`; their texts are remembered."""

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

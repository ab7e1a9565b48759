"""HTTP and RPC spans: methods, routes, path templates, peers."""

from __future__ import annotations

import re

from collector.decode.attributes import Attributes, reader, text
from collector.decode.facets import CLIENT, SERVER, Facets
from detectors.kit.shapes.entity import entity_of
from detectors.kit.shapes.url import UrlShape, template_path
from detectors.kit.traits import Trait

SENDING = frozenset(("POST", "PUT", "PATCH"))
"""Methods with a body: ids may be in it, where no span shows them."""
READING = frozenset(("GET", "HEAD", "OPTIONS", "QUERY"))

_ADDRESSES = ("server.address", "net.peer.name", "net.sock.peer.name", "net.peer.ip")
PEER_NAMES = ("service.peer.name", "peer.service", *_ADDRESSES[:3])
PEER_ADDRESSES = ("net.peer.ip", "network.peer.address")
STATUS_NAMES = ("http.response.status_code", "http.status_code")
_PORTS = ("server.port", "net.peer.port")
_IPV4 = re.compile(r"(?<![\d.])(?!127\.)\d{1,3}(?:\.\d{1,3}){3}")
_route = reader("route")


def peer_of(attributes: Attributes) -> str | None:
    """The other side: service.peer.name, else address:port."""
    named = text(attributes.get("service.peer.name")) or text(attributes.get("peer.service"))
    if named:
        return named
    address = next((a for n in _ADDRESSES if (a := text(attributes.get(n)))), None)
    if address is None:
        return text(attributes.get("network.peer.address"))
    port = next((p for n in _PORTS if (p := text(attributes.get(n)))), None)
    return f"{address}:{port}" if port and ":" not in address else address


def method_of(attributes: Attributes) -> str | None:
    """The HTTP method, None when the span is no HTTP span."""
    return text(attributes.get("http.request.method")) or text(attributes.get("http.method"))


def is_missing(attributes: Attributes) -> bool:
    """Whether the HTTP status says that there is no such thing."""
    return next((s for n in STATUS_NAMES if (s := text(attributes.get(n)))), None) == "404"


def http(method: str, kind: int, name: str, attributes: Attributes) -> Facets:
    """Facets of an HTTP span."""
    method = method.upper()[:16]
    if kind == SERVER:
        return _server(method, name, attributes)
    return _client(method, kind, name, attributes)


def _server(method: str, name: str, attributes: Attributes) -> Facets:
    route, path = _route(attributes), path_of(attributes)
    url = template_path(path) if path else None
    if route:
        label = f"{method} /{route.lstrip('/')}"
    elif is_missing(attributes):
        label = f"{method} (no route)"  # raw paths of whoever scans the service
    elif url:
        label = f"{method} {url.template.partition('?')[0]}"
    else:
        label = templated_name(name)
    health = template_path(route).health if route else bool(url and url.health)
    return Facets(
        "http",
        label,
        templated_name(name),
        operation=method,
        target=route or (url.template if url else None),
        route=route,
        path=path,
        entity=entity_of(path, route) if path else None,
        traits=int(Trait.HEALTH) if health else 0,
    )


def _client(method: str, kind: int, name: str, attributes: Attributes) -> Facets:
    full = text(attributes.get("url.full")) or text(attributes.get("http.url"))
    path = path_of(attributes)
    url = template_path(full) if full else template_path(path) if path else None
    if url is None:
        return Facets("http", templated_name(name), templated_name(name), operation=method)
    peer = peer_of(attributes) or url.host
    host = _host(text(attributes.get("service.peer.name")) or url.host or peer)
    label = f"{method} {host}{url.template}" if host else f"{method} {url.template}"
    return Facets(
        "http" if kind == CLIENT else "internal",
        label,
        templated_name(name),
        operation=method,
        target=url.template,
        shape=label,
        literals=None if method in SENDING and not url.ids else url.ids,
        peer=peer,
        path=path,
        traits=_call_traits(method, url),
    )


def _host(host: str | None) -> str | None:
    """The host without its port: replicas behind ports and addresses are one peer."""
    if host is None:
        return None
    bare = host if host.startswith("[") or host.count(":") > 1 else host.partition(":")[0]
    return _IPV4.sub("{ip}", bare)


def _call_traits(method: str, url: UrlShape) -> int:
    traits = Trait(0)
    if method in READING:
        traits |= Trait.READ
    if url.ids:
        traits |= Trait.PARAMETERS
    if url.paged:
        traits |= Trait.PAGED
    if url.health:
        traits |= Trait.HEALTH
    return int(traits)


def path_of(attributes: Attributes) -> str | None:
    """Path and query of an HTTP request, whichever attributes carry them.

    `http.target` of ASGI has no query while `http.url` has: the longer of the two is taken.
    """
    path = text(attributes.get("url.path"))
    if path:
        query = text(attributes.get("url.query"))
        return f"{path}?{query}" if query else path
    target = text(attributes.get("http.target"))
    url = text(attributes.get("url.full")) or text(attributes.get("http.url"))
    if url:
        rest = url.partition("://")[2] or url
        slash = rest.find("/")
        from_url = rest[slash:] if slash >= 0 else "/"
        return max(target or "", from_url, key=len)
    return target


def templated_name(name: str) -> str:
    """A span name with the ids of its words replaced: `GET /users/5` is `GET /users/{id}`."""
    if not any(c.isdigit() for c in name) and "/" not in name:
        return name
    return " ".join(template_path(word).template for word in name.split(" "))


def rpc(kind: int, name: str, attributes: Attributes) -> Facets:
    """Facets of an RPC span: old `rpc.service` + `rpc.method`, new `rpc.method` alone."""
    method = text(attributes.get("rpc.method")) or ""
    service = text(attributes.get("rpc.service"))
    full = f"{service}/{method}" if service and "/" not in method else method
    full = full or name.removeprefix("/")
    system = text(attributes.get("rpc.system.name")) or text(attributes.get("rpc.system"))
    health = full.lower().startswith("grpc.health.")
    return Facets(
        "rpc",
        full,
        name,
        system=system,
        operation=full.rpartition("/")[2],
        target=full,
        shape=full if kind == CLIENT else None,
        peer=peer_of(attributes),
        route=None,
        traits=int(Trait.HEALTH) if health else 0,
    )

"""Which thing a request is about: its path, cut after the last parameter.

`POST /carts/5/items` (route `/carts/{id}/items`) and `GET /carts/5` (route `/carts/{id}`) are about
`/carts/5`. The path is cut by counting segments from its end, so that a prefix that a proxy or a
mounted application adds does not matter.
"""

from __future__ import annotations

from functools import lru_cache

from detectors.kit.shapes.url import template_path

_PARAMETER = frozenset("{}<>[]()*")
"""`{id}`, `<int:id>`, `[id]`, `(?P<id>\\d+)`, `*`: all frameworks but those that write `:id`."""
_FORMAT = "(.:format)"
"""What Rails adds to every route."""


def entity_of(path: str, route: str | None) -> str | None:
    """The entity of a request's path (query included) and route; None when it names none.

    Without a route the path's own ids are its parameters. A path without any parameter is an
    entity together with its query (`/cart?id=5`), and none without.
    """
    whole = path.partition("#")[0]
    bare, _, query = whole.partition("?")
    after = _after_parameter(route) if route else _after(template_path(bare).template)
    if after is None:
        return whole if query else None
    segments = [s for s in bare.split("/") if s]
    kept = segments[: max(0, len(segments) - after)]
    return "/" + "/".join(kept) if kept else None


@lru_cache(4_096)
def _after_parameter(route: str) -> int | None:
    return _after(route.replace(_FORMAT, ""))


def _after(template: str) -> int | None:
    """How many segments follow the last parameter of a template; None when it has none."""
    segments = [s for s in template.strip("^$").split("/") if s]
    for after, segment in enumerate(reversed(segments)):
        if segment.startswith(":") or not _PARAMETER.isdisjoint(segment):
            return after
    return None

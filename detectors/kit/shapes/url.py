"""Paths and URLs to templates."""

from __future__ import annotations

import re

from detectors.kit.shapes.ids import is_id, mask_segment
from detectors.kit.shapes.model import UrlShape

__all__ = ["UrlShape", "template_path"]

_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*://", re.IGNORECASE)
_INDEX = re.compile(r"\[\d+\]")
PAGING = frozenset(
    [
        "page",
        "offset",
        "cursor",
        "after",
        "before",
        "page_token",
        "pagetoken",
        "start",
        "start_after",
        "startafter",
        "start_at",
        "startat",
        "skip",
        "next",
        "next_token",
        "nexttoken",
        "continue",
        "continuation",
        "continuation_token",
        "continuation-token",
        "continuationtoken",
        "marker",
        "since_id",
        "max_id",
        "last_id",
        "page[number]",
        "page[offset]",
        "page[cursor]",
        "page[after]",
        "page[before]",
        "page_number",
        "pagenumber",
        "page_no",
        "pageno",
        "pageindex",
        "page_index",
        "pageno",
        "p",
        "$skip",
        "$skiptoken",
        "scroll_id",
        "exclusivestartkey",
        "starting_after",
        "ending_before",
    ]
)
HEALTH = frozenset(
    [
        "health",
        "healthz",
        "livez",
        "readyz",
        "ready",
        "readiness",
        "live",
        "liveness",
        "alive",
        "metrics",
        "ping",
        "status",
        "heartbeat",
        "healthcheck",
        "health-check",
        "health_check",
        "_health",
        "up",
        "prometheus",
    ]
)
_GRPC_HEALTH = "grpc.health.v1.health"


def _split(text: str) -> tuple[str | None, str, str]:
    """Host, path and query of a URL or path; credentials and the fragment are dropped."""
    rest = text.partition("#")[0]
    rest, _, query = rest.partition("?")
    scheme = _SCHEME.match(rest)
    if scheme is None:
        return None, rest, query
    authority, slash, path = rest[scheme.end() :].partition("/")
    host = authority.rpartition("@")[2].lower()
    return host or None, slash + path or "/", query


def _mask_path(path: str) -> tuple[str, list[str], bool]:
    """Path template, ids, and whether a page number stands in the path (`/page/2`)."""
    segments: list[str] = []
    ids: list[str] = []
    paged = False
    before = ""
    for segment in path.split("/"):
        plain, _, matrix = segment.partition(";")  # ;jsessionid=…
        masked, taken = mask_segment(plain, before)
        if taken is not None:
            ids.append(taken)
            paged = paged or (before.lower() == "page" and taken.isdigit())
        if matrix:
            ids.append(matrix)
        segments.append(masked)
        before = plain
    return "/".join(segments), ids, paged


def _mask_query(query: str) -> tuple[str, list[str], bool]:
    """Query template with sorted keys, values in that order, and whether it pages."""
    keys: dict[str, None] = {}
    values: list[str] = []
    for part in sorted(query.split("&")):
        if not part:
            continue
        key, equals, value = part.partition("=")
        if not equals and is_id(key):
            key, value = "{}", key
        keys[_INDEX.sub("[]", key)] = None
        values.append(value)
    template = "&".join(key if key == "{}" else key + "={}" for key in sorted(keys))
    paged = any(key.lower() in PAGING for key in keys)
    return template, values, paged


def template_path(path_or_url: str) -> UrlShape:
    """The template of a path, a path with query, or an absolute URL.

    Ids become `{id}`, query values `{}`, query keys are sorted and named once: `/users/5/orders`
    is `/users/{id}/orders`. `host` is lower case, with its port when the URL names one, and None
    for a path. `health` says that the path ends in the name of a health check or metrics scrape
    and has no id (`/orders/5/status` is somebody's order). Never raises; linear.
    """
    host, path, query = _split(path_or_url)
    template, ids, paged = _mask_path(path)
    last = template.rstrip("/").rpartition("/")[2].lower()
    health = not ids and (last in HEALTH or _GRPC_HEALTH in template.lower())
    has_query = bool(query)
    if has_query:
        keys, values, query_paged = _mask_query(query)
        ids += values
        paged = paged or query_paged
        template = f"{template}?{keys}" if keys else template
    return UrlShape(template, tuple(ids), host, has_query, paged=paged, health=health)

"""A storefront for pictures of dashboards: a product page and a checkout over services with faults."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry.instrumentation.redis import RedisInstrumentor

from zoo.ask import Ask, Failed, Handler, Routes
from zoo.services.caches import ITEM, PREFIX, key, setex, through
from zoo.services.failures import CHECKOUT, ORDER, TO_PAYMENT, at_once, retrying
from zoo.stores import call, redis

PAGE = ("reviews", "search", "prices", "offers")
"""What a product page is made of."""


def banner() -> str:
    """The same for all, for two seconds."""
    found = redis().get(f"{PREFIX}:banner")
    if found is None:
        found = "Everything must go"
        redis().setex(f"{PREFIX}:banner", 2, found)
    return found


def product(ask: Ask) -> list[Any]:
    """A banner, and each part from its service; the page does without one that fails."""
    parts = [banner()]
    for peer in PAGE:
        try:
            parts.append(call(peer, f"/products/{ask.id}"))
        except Failed:
            parts.append(None)
    return parts


def dated(ask: Ask) -> str:
    """A key that nobody will ask for again."""
    return f"{key(ask)}:{time.time_ns()}"


def now_and_then(inner: Handler) -> Handler:
    """Fails for one product in eight."""

    def handler(ask: Ask) -> Any:
        if ask.id % 8 == 0:
            raise Failed(503)
        return inner(ask)

    return handler


def _told(span: Any, _: Any, response: Any) -> None:
    """As docs/operating.md advises: a GET that found something is a hit."""
    if span.is_recording() and span.name.startswith("GET"):
        span.set_attribute("cache.hit", response is not None)


RedisInstrumentor().uninstrument()
RedisInstrumentor().instrument(response_hook=_told)

FORMS: dict[str, Routes] = {
    "gateway": {ITEM: product, CHECKOUT: retrying("orders", "/orders", at_once)},
    "orders": {ORDER: retrying(*TO_PAYMENT, at_once)},
    "prices": {ITEM: through(setex)},
    "search_cached": {ITEM: through(setex)},
    "offers": {ITEM: now_and_then(through(setex, named=dated))},
}

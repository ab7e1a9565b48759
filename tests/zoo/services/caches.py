"""Products, read through every kind of cache: none, right ones and wrong ones.

`products(id, name, price)` is the table; ids from 1 to 100,000 exist.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from zoo.ask import Ask, Handler, Routes
from zoo.stores import memcached, redis, sql

ITEM = "GET /products/{id}"
CHANGE = "PUT /products/{id}"
TTL_S = 300
PREFIX = os.environ.get("ZOO_NAME", "zoo")
"""Forms share servers, never keys."""


def load(ask: Ask) -> str:
    """One product from the database."""
    return str(sql("SELECT id, name, price FROM products WHERE id = %s", ask.id))


def load_slowly(ask: Ask) -> str:
    """The same, of a table that is large enough to take 80 ms."""
    return str(sql("SELECT id, name, price, pg_sleep(0.08) FROM products WHERE id = %s", ask.id))


def store(ask: Ask) -> None:
    """A new price."""
    sql("UPDATE products SET price = price + 1 WHERE id = %s", ask.id)


def key(ask: Ask) -> str:
    return f"{PREFIX}:product:{ask.id}"


def key_per_visitor(ask: Ask) -> str:
    """The key holds what most requests do not share, though the product is the same for all."""
    return f"{key(ask)}:{ask.user}"


def through(
    fill: Callable[[str, str], Any], read: Handler = load, named: Callable[[Ask], str] = key
) -> Handler:
    """Cache-aside over Redis; `fill` is how a value is put there."""

    def handler(ask: Ask) -> str:
        name = named(ask)
        found = redis().get(name)
        if found is None:
            found = read(ask)
            fill(name, found)
        return found

    return handler


def setex(name: str, value: str) -> None:
    redis().setex(name, TTL_S, value)


def set_ex(name: str, value: str) -> None:
    redis().set(name, value, ex=TTL_S)


def set_and_expire(name: str, value: str) -> None:
    with redis().pipeline() as pipeline:
        pipeline.set(name, value)
        pipeline.expire(name, TTL_S)
        pipeline.execute()


def set_then_expire(name: str, value: str) -> None:
    redis().set(name, value)
    redis().expire(name, TTL_S)


def set_for_ever(name: str, value: str) -> None:
    redis().set(name, value)


def set_briefly(name: str, value: str) -> None:
    redis().psetex(name, 60, value)


def set_for_a_second(name: str, value: str) -> None:
    redis().psetex(name, 1_000, value)


def through_memcached(ask: Ask) -> str:
    found = memcached().get(key(ask))
    if found is None:
        found = load(ask)
        memcached().set(key(ask), found, expire=TTL_S)
    return found


def memcached_never_filled(ask: Ask) -> str:
    """The fill was lost in a refactoring."""
    return memcached().get(key(ask)) or load(ask)


def redis_never_filled(ask: Ask) -> str:
    return redis().get(key(ask)) or load(ask)


def categories(ask: Ask) -> str:
    return str(sql("SELECT DISTINCT id % 7 AS category FROM products WHERE id < 50 ORDER BY 1"))


def order(ask: Ask) -> str:
    """A session check, then a read that has nothing to do with it."""
    redis().get(f"session:{ask.user}")
    return load(ask)


def flagged(ask: Ask) -> str:
    """A feature flag decides whether the database is asked."""
    enabled = redis().get(f"flag:related:{ask.id % 2}")
    return load(ask) if enabled else "plain"


def profile(ask: Ask) -> str:
    """What belongs to the one who asks."""
    return str(sql("SELECT name FROM products WHERE id = %s", int(ask.user or 0)))


def reserve(ask: Ask) -> str:
    """A lock on the row, then a write: no cache may answer this."""
    sql("SELECT id, price FROM products WHERE id = %s FOR UPDATE", ask.id)
    store(ask)
    return "reserved"


def audit(ask: Ask) -> str:
    sql("INSERT INTO audit (product, at) VALUES (%s, now())", ask.id)
    return "kept"


def ping(ask: Ask) -> str:
    return str(sql("SELECT 1"))


def single_flight(ask: Ask) -> str:
    """One of those who miss loads; the others wait for what it puts there."""
    for _ in range(100):
        found = redis().get(key(ask))
        if found is not None:
            return found
        if redis().set(f"lock:{key(ask)}", "1", nx=True, px=2_000):
            found = load_slowly(ask)
            set_for_a_second(key(ask), found)
            redis().delete(f"lock:{key(ask)}")
            return found
        time.sleep(0.05)
    return load_slowly(ask)


def stale_while_revalidate(ask: Ask) -> str:
    """The value outlives its freshness; the first who sees it stale reloads it aside."""
    found, fresh = redis().mget(key(ask), f"fresh:{key(ask)}")
    if found is None:
        return _reload(ask)
    if fresh is None and redis().set(f"lock:{key(ask)}", "1", nx=True, px=1_000):
        threading.Thread(target=_reload, args=(ask,)).start()
    return found


def _reload(ask: Ask) -> str:
    found = load_slowly(ask)
    redis().setex(key(ask), TTL_S, found)
    redis().psetex(f"fresh:{key(ask)}", 1_000, "1")
    return found


def change(ask: Ask) -> str:
    store(ask)
    return "changed"


def change_and_delete(ask: Ask) -> str:
    store(ask)
    redis().delete(key(ask))
    return "changed"


def change_and_set(ask: Ask) -> str:
    store(ask)
    setex(key(ask), load(ask))
    return "changed"


def versioned(ask: Ask) -> str:
    """The version is part of the key, so that a write makes the old value unreachable."""
    name = f"{key(ask)}:v{redis().get(f'version:{key(ask)}') or 0}"
    found = redis().get(name)
    if found is None:
        found = load(ask)
        setex(name, found)
    return found


def change_version(ask: Ask) -> str:
    store(ask)
    redis().incr(f"version:{key(ask)}")
    return "changed"


def preferences(ask: Ask) -> str:
    return str(redis().get(f"preferences:{ask.id}"))


def keep_preferences(ask: Ask) -> str:
    """Redis is where they live, not a copy of them."""
    redis().set(f"preferences:{ask.id}", "dark")
    return "kept"


FORMS: dict[str, Routes] = {
    "uncached": {ITEM: load},
    "uncached_list": {"GET /categories": categories},
    "session_before_hot_read": {ITEM: order},
    "unique": {ITEM: load},
    "by_actor": {"GET /me": profile},
    "locking": {"POST /products/{id}/reservation": reserve},
    "audit": {"POST /products/{id}/views": audit},
    "health": {"GET /ready": ping, ITEM: through(setex)},
    "setex": {ITEM: through(setex)},
    "pipeline": {ITEM: through(set_and_expire)},
    "memcached": {ITEM: through_memcached},
    "memcached_never_filled": {ITEM: memcached_never_filled, "GET /categories": categories},
    "redis_never_filled": {ITEM: redis_never_filled, "GET /ready": ping},
    "session_then_unrelated": {ITEM: order},
    "flag_gates": {ITEM: flagged},
    "keys_unique": {ITEM: through(setex, named=key_per_visitor)},
    "mostly_new": {ITEM: through(setex)},
    "ttl_too_short": {ITEM: through(set_briefly)},
    "cold_start": {ITEM: through(setex)},
    "stampede": {ITEM: through(set_for_a_second, load_slowly)},
    "single_flight": {ITEM: single_flight},
    "stale_while_revalidate": {ITEM: stale_while_revalidate},
    "no_invalidation": {ITEM: through(setex), CHANGE: change},
    "delete_after_write": {ITEM: through(setex), CHANGE: change_and_delete},
    "write_through": {ITEM: through(setex), CHANGE: change_and_set},
    "versioned_keys": {ITEM: versioned, CHANGE: change_version},
    "no_expiry": {ITEM: through(set_for_ever)},
    "expire_later": {ITEM: through(set_then_expire)},
    "set_with_ttl": {ITEM: through(set_ex)},
    "system_of_record": {
        "GET /preferences/{id}": preferences,
        "PUT /preferences/{id}": keep_preferences,
    },
}

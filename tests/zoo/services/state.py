"""State in one process, and the same state where all instances see it."""

from __future__ import annotations

import os
from collections import OrderedDict
from functools import lru_cache

from zoo.ask import Ask, Failed, Routes
from zoo.services.caches import ITEM, load
from zoo.stores import redis, sql

GLOBAL_DICT: dict[int, str] = {}
SMALL: OrderedDict[int, str] = OrderedDict()
SESSIONS: dict[str, str] = {}
CARTS: dict[int, int] = {}
LOGIN, ME = "POST /login", "GET /me"
CART, CART_ITEMS = "PUT /carts/{id}", "POST /carts/{id}/items"
SMALL_SIZE = 30


def from_dict(ask: Ask) -> str:
    if ask.id not in GLOBAL_DICT:
        GLOBAL_DICT[ask.id] = load(ask)
    return GLOBAL_DICT[ask.id]


def from_bounded(ask: Ask) -> str:
    """The dict of someone who thought of memory."""
    if ask.id not in SMALL:
        SMALL[ask.id] = load(ask)
        if len(SMALL) > SMALL_SIZE:
            SMALL.popitem(last=False)
    return SMALL[ask.id]


@lru_cache(maxsize=10_000)
def _product(number: int) -> str:
    return str(sql("SELECT id, name, price FROM products WHERE id = %s", number))


def from_lru(ask: Ask) -> str:
    return _product(ask.id)


def from_redis(ask: Ask) -> str:
    found = redis().get(f"product:{ask.id}")
    if found is None:
        found = load(ask)
        redis().setex(f"product:{ask.id}", 300, found)
    return found


def from_two_levels(ask: Ask) -> str:
    """A dict in front of the shared cache."""
    if ask.id not in GLOBAL_DICT:
        GLOBAL_DICT[ask.id] = from_redis(ask)
    return GLOBAL_DICT[ask.id]


def from_new_version(ask: Ask) -> str:
    """The canary reads one thing more."""
    found = from_redis(ask)
    if os.environ.get("ZOO_VERSION") == "2":
        sql("SELECT count(*) FROM audit WHERE product = %s", ask.id)
    return found


def login(ask: Ask) -> str:
    SESSIONS[ask.user] = "here"
    return "welcome"


def me(ask: Ask) -> str:
    if ask.user not in SESSIONS:
        raise Failed(401)
    return SESSIONS[ask.user]


def login_shared(ask: Ask) -> str:
    redis().setex(f"session:{ask.user}", 300, "here")
    return "welcome"


def me_shared(ask: Ask) -> str:
    if redis().get(f"session:{ask.user}") is None:
        raise Failed(401)
    return "here"


def create_cart(ask: Ask) -> str:
    CARTS[ask.id] = 0
    return "created"


def add_item(ask: Ask) -> int:
    if ask.id not in CARTS:
        raise Failed(404)
    CARTS[ask.id] += 1
    return CARTS[ask.id]


def create_cart_shared(ask: Ask) -> str:
    redis().hset(f"cart:{ask.id}", "items", 0)
    return "created"


def add_item_shared(ask: Ask) -> int:
    if not redis().exists(f"cart:{ask.id}"):
        raise Failed(404)
    return int(redis().hincrby(f"cart:{ask.id}", "items", 1))


def broken_replica(ask: Ask) -> str:
    """One instance was started with a wrong secret."""
    if os.environ["ZOO_INSTANCE"] == "1":
        raise Failed(401)
    return me_shared(ask)


FORMS: dict[str, Routes] = {
    "dict": {ITEM: from_dict},
    "bounded_dict": {ITEM: from_bounded},
    "lru_cache": {ITEM: from_lru},
    "redis": {ITEM: from_redis},
    "two_levels": {ITEM: from_two_levels},
    "canary": {ITEM: from_new_version},
    "sessions": {LOGIN: login, ME: me},
    "sessions_shared": {LOGIN: login_shared, ME: me_shared},
    "carts": {CART: create_cart, CART_ITEMS: add_item},
    "carts_shared": {CART: create_cart_shared, CART_ITEMS: add_item_shared},
    "broken_replica": {LOGIN: login_shared, ME: broken_replica},
}

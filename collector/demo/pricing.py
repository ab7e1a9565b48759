"""Prices, kept in Redis: read in a bad and a good form."""

from __future__ import annotations

import os
from functools import cache

import redis
from fastapi import FastAPI

app = FastAPI(title="pricing")


@cache
def prices() -> redis.Redis:
    """The client of this process."""
    return redis.Redis.from_url(os.environ["SHOP_REDIS_URL"], decode_responses=True)


def _shown(price: object) -> str:
    return "on request" if price is None else str(price)


@app.get("/prices/each")
def prices_each(n: int) -> list[str]:
    """N103: one round trip per price."""
    store = prices()
    return [_shown(store.get(f"price:{i}")) for i in range(n)]


@app.get("/prices/mget")
def prices_mget(n: int) -> list[str]:
    """One round trip for all."""
    return [_shown(price) for price in prices().mget([f"price:{i}" for i in range(n)])]

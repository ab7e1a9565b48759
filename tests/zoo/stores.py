"""What the services of the zoo keep things in and talk to each other by; addresses are `ZOO_…`.

`ZOO_DRIVER` is `psycopg` or `sqlalchemy`, `ZOO_CLIENT` is `requests` or `httpx`: the same form is
seen through several libraries.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from zoo.ask import Failed

POOL = 12


class _Pool:
    """A few psycopg connections, opened when first needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(POOL):
            self._idle.put(None)

    @contextmanager
    def connection(self) -> Iterator[Any]:
        import psycopg

        held = self._idle.get()
        try:
            if held is None or held.closed:
                held = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
            yield held
        finally:
            self._idle.put(held if held is not None and not held.broken else None)


@cache
def _pool() -> _Pool:
    return _Pool(os.environ["ZOO_DB"])


@cache
def _engine() -> Any:
    from sqlalchemy import create_engine

    url = os.environ["ZOO_DB"].replace("postgresql://", "postgresql+psycopg://")
    return create_engine(url, pool_size=POOL, isolation_level="AUTOCOMMIT")


def sql(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a statement with `%s` for each value; no rows for a write."""
    if os.environ.get("ZOO_DRIVER") == "sqlalchemy":
        return _by_sqlalchemy(statement, values)
    with _pool().connection() as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)  # without values `%` is itself
        return cursor.fetchall() if cursor.description else []


def _by_sqlalchemy(statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    from sqlalchemy import text

    for i in range(len(values)):
        statement = statement.replace("%s", f":v{i}", 1)
    with _engine().connect() as connection:
        result = connection.execute(text(statement), {f"v{i}": v for i, v in enumerate(values)})
        return [tuple(row) for row in result] if result.returns_rows else []


@cache
def redis() -> Any:
    """The Redis client of this process."""
    from redis import Redis

    return Redis.from_url(os.environ["ZOO_REDIS"], decode_responses=True)


@cache
def memcached() -> Any:
    """The memcached client of this process."""
    from pymemcache.client.base import PooledClient

    host, _, port = os.environ["ZOO_MEMCACHED"].partition(":")
    return PooledClient((host, int(port)), max_pool_size=POOL)


@cache
def session() -> Any:
    """The HTTP client of this process."""
    if os.environ.get("ZOO_CLIENT") == "httpx":
        import httpx

        return httpx.Client(limits=httpx.Limits(max_connections=64))
    import requests
    from requests.adapters import HTTPAdapter

    made = requests.Session()
    made.mount("http://", HTTPAdapter(pool_connections=8, pool_maxsize=32))
    return made


def call(
    peer: str, path: str, *, method: str = "GET", mode: str = "", timeout: float | None = 5.0
) -> Any:
    """What a peer answers; raises Failed when it answers 4xx or 5xx, or does not answer."""
    url = os.environ[f"ZOO_{peer.upper()}_URL"] + path
    try:
        answer = session().request(method, url, timeout=timeout, headers={"x-mode": mode})
    except Exception as error:
        raise Failed(503, f"{peer}: {type(error).__name__}") from error
    if answer.status_code >= 400:
        raise Failed(502 if answer.status_code >= 500 else answer.status_code, peer)
    return answer.json()

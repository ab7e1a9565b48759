"""Real libraries under their real instrumentations: every bad endpoint found, every good one silent."""

from __future__ import annotations

import pytest

from live.recording import Found, as_found, findings_of, record

CONVENTIONS = pytest.mark.parametrize("new", [False, True], ids=["old", "new"])


def judged(app: str, **how) -> list[Found]:
    found = [as_found(f) for f in findings_of(record(app, **how))]
    return sorted(found, key=lambda f: (f.code, f.operation))


@CONVENTIONS
def test_psycopg_alone(database: str, new: bool) -> None:
    assert judged("psycopg_raw", new_conventions=new, DATABASE_URL=database) == [
        Found("N101", "GET /lazy", "SELECT raw_authors by id"),
        Found("N101", "GET /literals", "SELECT raw_authors by id"),
        Found("N104", "GET /rows", "INSERT raw_items"),
    ]


@CONVENTIONS
@pytest.mark.parametrize(
    "disabled",
    [
        pytest.param("psycopg", id="orm"),
        pytest.param("sqlalchemy", id="driver"),
        pytest.param("", id="both"),
    ],
)
def test_sqlalchemy_and_its_driver(database: str, disabled: str, new: bool) -> None:
    how = {"disabled": disabled, "new_conventions": new, "DATABASE_URL": database}
    assert judged("orm", **how) == [
        Found("N101", "GET /get", "SELECT orm_authors by id"),
        Found("N101", "GET /many-to-one", "SELECT orm_authors by id"),
        Found("N101", "GET /one-to-many", "SELECT orm_books by author_id"),
        Found("N104", "GET /flushes", "INSERT orm_authors"),
    ]


@CONVENTIONS
def test_asyncpg(database: str, new: bool) -> None:
    assert judged("asyncpg_cursor", new_conventions=new, DATABASE_URL=database) == [
        Found("N101", "GET /fetchrow", "SELECT apg_users by id"),
        Found("N101", "GET /prepared", "SELECT apg_users by id"),
        Found("N104", "GET /rows", "INSERT apg_items"),
    ]


@CONVENTIONS
def test_django(database: str, new: bool) -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "live.apps.django_settings"}
    assert judged("django_main", new_conventions=new, DATABASE_URL=database, **settings) == [
        Found("N101", "GET /lazy", "SELECT library_author by id"),
        Found("N104", "GET /saving", "INSERT library_author"),
    ]


@CONVENTIONS
def test_httpx_and_requests(new: bool) -> None:
    assert judged("http_calls", new_conventions=new) == [
        Found("N102", "GET /httpx-each", "GET 127.0.0.1 /users/{id}"),
        Found("N102", "GET /httpx-slow-bodies", "GET 127.0.0.1 /reports/{id}"),
        Found("N102", "GET /requests-each", "GET 127.0.0.1 /items/{id}/price"),
    ]


@CONVENTIONS
def test_grpc(new: bool) -> None:
    assert judged("grpc_calls", new_conventions=new) == [
        Found("N102", "GET /each", "Get shop shop.Users/Get"),
    ]


@CONVENTIONS
def test_pymongo(mongo_url: str, new: bool) -> None:
    assert judged("mongo", new_conventions=new, MONGO_URL=mongo_url) == [
        Found("N101", "GET /each", "find users"),
        Found("N104", "GET /insert-each", "insert items"),
    ]


@CONVENTIONS
def test_sqlite(new: bool) -> None:
    assert judged("sqlite_raw", new_conventions=new) == [
        Found("N101", "GET /lazy", "SELECT authors by id"),
        Found("N104", "GET /rows", "INSERT items"),
    ]


@CONVENTIONS
def test_redis_and_memcached(redis_url: str, memcached: str, new: bool) -> None:
    assert judged("caches", new_conventions=new, REDIS_URL=redis_url, MEMCACHED=memcached) == [
        Found("N103", "GET /memcached-each", "get user:{id}"),
        Found("N103", "GET /redis-each", "GET"),
        Found("N103", "GET /redis-hashes", "HGETALL"),
    ]

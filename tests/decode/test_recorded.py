"""What real instrumentations emit, in old and new conventions, as columns.

`tests/data/cap*.jsonl.gz` hold the spans of Python instrumentations (`tests/data/convert.py` tells
from what); other languages stand in `test_languages.py`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from collector.decode.files import read_files
from decode.making import Row, check, readable
from detectors.kit.texts import Texts, code

DATA = Path(__file__).parents[1] / "data"
CONVENTIONS = ("default", "http_database")


@cache
def recorded(conventions: str) -> dict[str, list[Row]]:
    """Instrumentation -> its rows."""
    texts = Texts()
    found: dict[str, list[Row]] = {}
    for part in ("cap", "cap2"):
        for decoded in read_files([str(DATA / f"{part}_{conventions}.jsonl.gz")], texts):
            assert not decoded.rejected
            assert not decoded.repaired
            for row in decoded.frame.rows(named=True):
                told = readable(row, texts)
                found.setdefault(told["service"], []).append(told)
    return found


@pytest.fixture(params=CONVENTIONS)
def rows(request: pytest.FixtureRequest) -> dict[str, list[Row]]:
    return recorded(request.param)


def one(rows: list[Row], **wanted: Any) -> Row:
    """The first row with these columns."""
    for row in rows:
        if all(row[name] == value for name, value in wanted.items()):
            return row
    raise AssertionError(f"no row with {wanted}: {[(r['name'], r['label']) for r in rows]}")


def test_every_instrumentation_is_there(rows: dict[str, list[Row]]) -> None:
    assert len(rows) == 21
    assert sum(map(len, rows.values())) > 90


DATABASES: dict[str, tuple[str, Row, Row]] = {
    "psycopg placeholder": (
        "psycopg",
        {"label": "SELECT users", "values": None},
        {
            "category": "db",
            "system": "postgresql",
            "namespace": "postgres",
            "operation": "SELECT",
            "target": "users",
            "predicate": "id",
            "shape": "SELECT name FROM users WHERE id = ?",
            "peer": "127.0.0.1:54399",
            "traits": {"READ", "PARAMETERS"},
        },
    ),
    "psycopg literal": (
        "psycopg",
        {"label": "SELECT users", "values": code("7")},
        {"shape": "SELECT name FROM users WHERE id = ?", "traits": {"READ", "PARAMETERS"}},
    ),
    "psycopg failing": (
        "psycopg",
        {"label": "SELECT nope"},
        {"status": "error", "error_type": "psycopg.errors.UndefinedTable", "values": code("")},
    ),
    "psycopg executemany": (
        "psycopg",
        {"operation": "INSERT"},
        {"label": "INSERT orders", "traits": {"WRITE", "PARAMETERS"}, "repeat": 1},
    ),
    "asyncpg cursor": (
        "asyncpg",
        {"name": "CURSOR: SELECT"},
        {
            "category": "db",
            "operation": "SELECT",
            "label": "SELECT users",
            "traits": {"READ", "CURSOR", "PARAMETERS"},
        },
    ),
    "asyncpg begin": (
        "asyncpg",
        {"name": "BEGIN;"},
        {"category": "transaction", "operation": "BEGIN", "label": "BEGIN", "traits": {"CONTROL"}},
    ),
    "asyncpg commit": (
        "asyncpg",
        {"name": "COMMIT;"},
        {"category": "transaction", "operation": "COMMIT", "traits": {"CONTROL"}},
    ),
    "sqlite3": (
        "sqlite3",
        {"operation": "INSERT"},
        {"system": "sqlite", "label": "INSERT t", "peer": None, "category": "db"},
    ),
    "sqlalchemy connect": (
        "sqlalchemy",
        {"name": "connect"},
        {"category": "connection", "label": "connect", "operation": None, "traits": set()},
    ),
    "sqlalchemy lazy load": (
        "sqlalchemy",
        {"label": "SELECT orders"},
        {
            "name": "SELECT postgres",
            "operation": "SELECT",
            "predicate": "user_id",
            "values": None,
            "traits": {"READ", "PARAMETERS"},
        },
    ),
    "sqlalchemy expanded list": (
        "sqlalchemy",
        {"label": "SELECT users"},
        {
            "shape": "SELECT users.id, users.name FROM users WHERE users.id IN (?)",
            "traits": {"READ", "LISTED", "PARAMETERS"},
        },
    ),
    "sqlalchemy ping": (
        "sqlalchemy",
        {"name": "select"},
        {"operation": "SELECT", "traits": {"PING", "PARAMETERS"}},
    ),
    "django set_config": (
        "django",
        {"shape": "SELECT set_config(?, ?, false)"},
        {"traits": {"CONTROL", "PARAMETERS"}},
    ),
    "django get": (
        "django",
        {"target": "users", "predicate": "id", "traits": {"READ", "LISTED", "PARAMETERS"}},
        {"label": "SELECT users", "category": "db"},
    ),
    "mongo find": (
        "pymongo",
        {"name": "shop.find"},
        {
            "category": "db",
            "system": "mongodb",
            "namespace": "shop",
            "operation": "find",
            "target": "users",
            "label": "find users",
            "values": None,
            "traits": {"READ"},
        },
    ),
    "dynamodb get": (
        "botocore",
        {"name": "DynamoDB.GetItem"},
        {
            "category": "db",
            "system": "dynamodb",
            "operation": "GetItem",
            "target": "users",
            "label": "GetItem users",
            "resends": 0,
            "http_status": 200,
            "traits": {"READ", "SINGLE_KEY"},
        },
    ),
    "dynamodb query": (
        "botocore",
        {"name": "DynamoDB.Query"},
        {"operation": "Query", "traits": {"READ"}},
    ),
    "redis get": (
        "redis",
        {"name": "GET", "status": "unset"},
        {
            "category": "cache",
            "system": "redis",
            "operation": "GET",
            "label": "GET",
            "key": None,
            "values": None,
            "peer": "127.0.0.1:6399",
            "traits": {"READ", "PARAMETERS", "SINGLE_KEY"},
        },
    ),
    "redis set with expiry": (
        "redis",
        {"name": "SET"},
        {"traits": {"WRITE", "PARAMETERS", "FILL", "EXPIRES"}, "category": "cache"},
    ),
    "redis setex": (
        "redis",
        {"name": "SETEX"},
        {"traits": {"WRITE", "PARAMETERS", "FILL", "EXPIRES"}},
    ),
    "redis mget": ("redis", {"name": "MGET"}, {"traits": {"READ", "LISTED", "PARAMETERS"}}),
    "redis pipeline": (
        "redis",
        {"name": "GET SET"},
        {
            "repeat": 2,
            "operation": "GET SET",
            "traits": {"READ", "WRITE", "PIPELINE", "PARAMETERS", "FILL"},
        },
    ),
    "redis down": (
        "redis",
        {"status": "error"},
        {"error_type": "redis.exceptions.ConnectionError", "peer": "127.0.0.1:6398"},
    ),
    "memcached get": (
        "memcache",
        {"key": code("user:5"), "operation": "get"},
        {
            "category": "cache",
            "system": "memcached",
            "target": "user:{id}",
            "label": "get user:{id}",
            "values": code("user:5"),
            "traits": {"READ", "PARAMETERS", "SINGLE_KEY"},
        },
    ),
    "memcached get_many": (
        "memcache",
        {"operation": "get_many"},
        {"traits": {"READ", "LISTED", "PARAMETERS"}},
    ),
}


@pytest.mark.parametrize("case", DATABASES)
def test_databases_and_caches(case: str, rows: dict[str, list[Row]]) -> None:
    service, wanted, expected = DATABASES[case]

    row = one(rows[service], **wanted)

    check(row, {"kind": "client", **expected})


def test_orm_and_driver_spans_have_one_shape(rows: dict[str, list[Row]]) -> None:
    queries = [r for r in rows["sa_double"] if r["label"] == "SELECT users"]

    assert len(queries) == 4
    assert len({(r["shape"], r["predicate"], r["values"]) for r in queries}) == 1


@pytest.mark.parametrize("client", ["requests", "httpx", "urllib3", "aiohttp"])
def test_http_clients(client: str, rows: dict[str, list[Row]]) -> None:
    found = one(rows[client], http_status=200)
    boom = one(rows[client], http_status=500)

    assert found["target"].startswith("/users/{id}?")
    assert found["label"] == found["shape"] == f"GET 127.0.0.1{found['target']}"
    assert found["traits"] == {"READ", "PARAMETERS"}
    assert found["values"] is not None
    assert found["path"] is not None
    assert found["peer"].startswith("127.0.0.1:")
    check(
        boom,
        {
            "category": "http",
            "operation": "GET",
            "target": "/boom",
            "status": "error",
            "error_type": "500",
            "values": code(""),
            "traits": {"READ"},
        },
    )


@pytest.mark.parametrize("client", ["requests", "httpx", "aiohttp"])
def test_connections_refused_name_the_exception(client: str, rows: dict[str, list[Row]]) -> None:
    row = one(rows[client], target="/x")

    assert row["http_status"] is None
    assert "Connect" in row["error_type"]


SERVERS = {
    "flask": ("/users/<int:uid>", "GET /users/<int:uid>"),
    "fastapi": ("/users/{uid}", "GET /users/{uid}"),
    "django": ("users/<int:uid>/", "GET /users/<int:uid>/"),
}


@pytest.mark.parametrize("framework", SERVERS)
def test_http_servers(framework: str, rows: dict[str, list[Row]]) -> None:
    route, label = SERVERS[framework]

    row = one(rows[framework], kind="server", route=route)
    missing = one(rows[framework], http_status=404, kind="server")
    failing = one(rows[framework], http_status=500, kind="server")

    expected = {"category": "http", "label": label, "target": route, "operation": "GET"}
    check(row, {**expected, "http_status": 200, "shape": None, "traits": set()})
    check(missing, {"label": "GET (no route)", "route": None})
    check(failing, {"status": "error"})
    assert failing["error_type"] in {"500", "ValueError"}


def test_asgi_events_are_noise(rows: dict[str, list[Row]]) -> None:
    events = [r for r in rows["fastapi"] if r["kind"] == "internal"]

    assert len(events) == 8
    assert all(r["traits"] == {"NOISE"} for r in events)


def test_celery(rows: dict[str, list[Row]]) -> None:
    publish = one(rows["celery"], kind="producer", target="t.add")
    run = one(rows["celery"], kind="consumer", target="t.add")
    retried = one(rows["celery"], resends=2)

    common = {"category": "messaging", "system": "celery", "target": "t.add"}
    check(publish, {**common, "label": "publish t.add", "operation": "publish"})
    check(run, {**common, "label": "run t.add", "operation": "process", "resends": None})
    check(retried, {"label": "run t.fail", "status": "error", "error_type": "ValueError"})
    assert publish["message_id"] == run["message_id"] is not None


def test_grpc(rows: dict[str, list[Row]]) -> None:
    call = one(rows["grpc"], kind="client", rpc_status=0)
    answer = one(rows["grpc"], kind="server", rpc_status=14)

    common = {"category": "rpc", "label": "shop.Users/Get", "target": "shop.Users/Get"}
    check(call, {**common, "shape": "shop.Users/Get", "values": None, "peer": None})
    check(answer, {**common, "system": "grpc", "operation": "Get", "status": "error"})


ZOO = ("a3", "a_orm_flask", "l_hidden", "n_a_new")


@pytest.mark.parametrize("name", ZOO)
def test_recorded_services_are_read_whole(name: str) -> None:
    texts = Texts()
    parts = list(read_files([str(DATA / "zoo" / f"{name}.jsonl.gz")], texts))

    assert sum(d.accepted for d in parts) > 400
    assert not any(d.rejected or d.repaired for d in parts)
    for decoded in parts:
        assert decoded.frame["instance"].null_count() == 0
        assert {texts.text(c) for c in decoded.frame["label"]}.isdisjoint({None})


@pytest.mark.parametrize("name", ZOO)
def test_labels_and_shapes_are_few(name: str) -> None:
    texts = Texts()
    labels = set()
    for decoded in read_files([str(DATA / "zoo" / f"{name}.jsonl.gz")], texts):
        labels |= {
            c for column in ("name", "label", "shape", "target") for c in decoded.frame[column]
        }

    assert len(labels) < 60


def test_decoding_twice_gives_the_same() -> None:
    path = str(DATA / "cap_default.jsonl.gz")
    first = list(read_files([path], Texts()))
    second = list(read_files([path, path], Texts()))

    for index, decoded in enumerate(first):
        assert_frame_equal(decoded.frame, second[index].frame)
        assert_frame_equal(decoded.frame, second[index + len(first)].frame)

"""What real instrumentations emit, in old and new conventions, as columns.

`tests/data/cap*.jsonl.gz` hold the spans of Python instrumentations (`tests/data/convert.py` tells
from what); other languages are written down here from their sources.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from collector.decode.files import read_files
from decode.making import decode
from detectors.kit.columns import SPAN_COLUMNS
from detectors.kit.texts import Texts, code
from detectors.kit.traits import Trait

DATA = Path(__file__).parents[1] / "data"
TEXTS = tuple(c.name for c in SPAN_COLUMNS if c.role == "text")
CONVENTIONS = ("default", "http_database")
Row = dict[str, Any]


def readable(row: Row, texts: Texts) -> Row:
    """A row with its texts, and its traits as names."""
    told = {**row, **{name: texts.text(row[name]) for name in TEXTS}}
    told["traits"] = set((Trait(row["traits"]).name or "").split("|")) - {""}
    return told


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


def check(row: Row, expected: Row) -> None:
    assert {name: row[name] for name in expected} == expected


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


# Other languages, from their sources: kind, span name, attributes, columns.
JDBC = {
    "db.system": "postgresql",
    "db.connection_string": "postgresql://db:5432",
    "db.name": "shop",
    "db.statement": "select a1_0.id from author a1_0 where a1_0.id=?",
    "db.operation": "SELECT",
    "db.sql.table": "author",
    "server.address": "db",
    "server.port": 5432,
}
OTHERS: dict[str, tuple[int, str, Row, Row]] = {
    "java jdbc": (
        3,
        "SELECT shop.author",
        JDBC,
        {
            "category": "db",
            "label": "SELECT author",
            "predicate": "id",
            "values": None,
            "peer": "db:5432",
            "traits": {"READ", "PARAMETERS"},
        },
    ),
    "java jdbc parameters": (
        3,
        "SELECT author",
        {
            "db.system.name": "postgresql",
            "db.query.text": "select id from author where id=?",
            "db.query.summary": "SELECT author",
            "db.query.parameter.0": "7",
        },
        {"label": "SELECT author", "values": code("7")},
    ),
    "java lettuce": (
        3,
        "GET",
        {
            "db.system": "redis",
            "db.statement": "GET user:5",
            "db.operation": "GET",
            "lettuce.command.results.count": 1,
        },
        {"label": "GET user:{id}", "key": code("user:5"), "hit": True, "operation": "GET"},
    ),
    "java jedis set": (
        3,
        "SET",
        {"db.system": "redis", "db.statement": "SET user:5 ?", "db.operation": "SET"},
        {"label": "SET user:{id}", "traits": {"WRITE", "PARAMETERS", "FILL"}},
    ),
    "java kafka": (
        5,
        "orders process",
        {
            "messaging.system": "kafka",
            "messaging.destination.name": "orders",
            "messaging.operation": "process",
            "messaging.kafka.message.offset": 7,
        },
        {"category": "messaging", "system": "kafka", "label": "process orders", "target": "orders"},
    ),
    "node pg": (
        3,
        "pg.query:SELECT shop",
        {
            "db.system.name": "postgresql",
            "db.namespace": "shop",
            "db.query.text": "SELECT * FROM users WHERE id = $1",
            "server.address": "db",
            "server.port": 5432,
        },
        {"label": "SELECT users", "values": None, "namespace": "shop", "peer": "db:5432"},
    ),
    "node pg values": (
        3,
        "pg.query:SELECT shop",
        {
            "db.system": "postgresql",
            "db.statement": "SELECT * FROM users WHERE id = $1",
            "db.postgresql.values": ["5"],
        },
        {"label": "SELECT users", "values": code("5")},
    ),
    "node pg-pool": (
        1,
        "pg-pool.connect",
        {"db.system": "postgresql", "db.name": "shop"},
        {"category": "connection", "label": "pg-pool.connect"},
    ),
    "node mysql2": (
        3,
        "SELECT",
        {"db.system.name": "mysql", "db.query.text": "SELECT * FROM users WHERE id = 5"},
        {"label": "SELECT users", "values": code("5"), "shape": "SELECT * FROM users WHERE id = ?"},
    ),
    "node ioredis": (
        3,
        "get",
        {"db.system.name": "redis", "db.query.text": "get user:5", "db.operation.name": "get"},
        {"operation": "GET", "label": "GET user:{id}", "key": code("user:5")},
    ),
    "node ioredis set": (
        3,
        "set",
        {"db.system.name": "redis", "db.query.text": "set user:5 [1 other arguments]"},
        {"label": "SET user:{id}", "traits": {"WRITE", "PARAMETERS", "FILL"}},
    ),
    "node ioredis pipeline": (
        3,
        "PIPELINE get",
        {
            "db.system.name": "redis",
            "db.operation.name": "PIPELINE get",
            "db.query.text": "get user:5",
        },
        {"operation": "GET", "traits": {"READ", "PARAMETERS", "PIPELINE", "SINGLE_KEY"}},
    ),
    "node mongodb": (
        3,
        "mongodb.find",
        {
            "db.system": "mongodb",
            "db.name": "shop",
            "db.mongodb.collection": "users",
            "db.operation": "find",
            "db.statement": '{"_id":"?"}',
        },
        {"label": "find users", "category": "db"},
    ),
    "go query": (
        3,
        "sql.conn.query",
        {"db.system.name": "postgresql", "db.query.text": "SELECT a FROM t WHERE b = $1"},
        {"label": "SELECT t", "predicate": "b", "category": "db"},
    ),
    "go prepare": (
        3,
        "sql.conn.prepare",
        {"db.system.name": "postgresql", "db.query.text": "SELECT a FROM t WHERE b = $1"},
        {"traits": {"LOCAL_STEP"}},
    ),
    "go rows": (3, "sql.rows", {"db.system": "mysql"}, {"traits": {"LOCAL_STEP"}}),
    "go reset": (
        3,
        "sql.conn.reset_session",
        {"db.system.name": "mysql"},
        {"category": "connection"},
    ),
    "go connect": (
        3,
        "sql.connector.connect",
        {"db.system.name": "mysql"},
        {"category": "connection"},
    ),
    "go begin": (
        3,
        "sql.conn.begin_tx",
        {"db.system.name": "mysql"},
        {"category": "transaction", "operation": "BEGIN"},
    ),
    "dotnet sqlclient": (
        3,
        "SELECT Orders",
        {
            "db.system.name": "microsoft.sql_server",
            "db.query.text": "SELECT * FROM Orders WHERE Id = ?",
            "db.query.summary": "SELECT Orders",
        },
        {"label": "SELECT Orders", "values": None},
    ),
    "dotnet summary only": (
        3,
        "SELECT Orders",
        {"db.system.name": "microsoft.sql_server", "db.query.summary": "SELECT Orders"},
        {"label": "SELECT Orders", "shape": "SELECT Orders", "traits": {"READ"}},
    ),
    "dotnet redis": (
        3,
        "SET",
        {"db.system": "redis", "db.statement": "SET"},
        {"operation": "SET", "key": None, "category": "cache"},
    ),
    "ruby pg": (
        3,
        "SELECT shop",
        {
            "db.system": "postgresql",
            "db.statement": "SELECT * FROM users WHERE id = ?",
            "db.operation": "SELECT",
            "db.collection.name": "users",
        },
        {"label": "SELECT users", "values": None},
    ),
    "ruby redis pipeline": (
        3,
        "PIPELINED",
        {"db.system": "redis", "db.statement": "GET ?\nGET ?\nSET ? ?"},
        {"repeat": 3, "category": "cache"},
    ),
    "elastic composite": (
        3,
        "SELECT FROM users",
        {
            "db.system": "postgresql",
            "db.statement": "SELECT a FROM users WHERE id = ?",
            "composite.count": 12,
        },
        {"repeat": 12, "traits": {"READ", "PARAMETERS", "AGGREGATED"}},
    ),
    "java batch": (
        3,
        "BATCH INSERT orders",
        {
            "db.system.name": "postgresql",
            "db.query.text": "INSERT INTO orders (a) VALUES (?)",
            "db.operation.batch.size": 50,
        },
        {"repeat": 50, "label": "INSERT orders", "traits": {"WRITE", "PARAMETERS", "PIPELINE"}},
    ),
    "elasticsearch": (
        3,
        "Elasticsearch/books/_doc/17",
        {
            "db.system": "elasticsearch",
            "elasticsearch.url": "/books/_doc/17",
            "elasticsearch.method": "GET",
            "elasticsearch.target": "books",
            "elasticsearch.found": False,
        },
        {"category": "db", "name": "Elasticsearch/books/_doc/{id}", "hit": False},
    ),
    "statement without text": (
        3,
        "Cassandra",
        {"db.system": "cassandra", "db.name": "shop"},
        {"category": "db", "shape": None, "values": None},
    ),
    "name with a value": (
        3,
        "SELECT * FROM t WHERE id = 'u-77'",
        {"db.system": "mysql", "db.statement": "SELECT * FROM t WHERE id = 'u-77'"},
        {"name": "SELECT t", "label": "SELECT t", "values": code("'u-77'")},
    ),
    "pinged": (
        3,
        "SELECT",
        {"db.system": "mysql", "db.statement": "/* app */ SELECT 1"},
        {"traits": {"PING", "PARAMETERS"}},
    ),
    "celery broker": (
        3,
        "LPUSH",
        {"db.system": "redis", "db.statement": "LPUSH ? ?"},
        {"category": "cache", "operation": "LPUSH"},
    ),
    "sqs": (
        4,
        "orders send",
        {
            "rpc.system": "aws-api",
            "rpc.service": "SQS",
            "rpc.method": "SendMessage",
            "messaging.system": "aws.sqs",
            "messaging.destination": "orders",
        },
        {"category": "messaging", "system": "aws.sqs", "label": "publish orders"},
    ),
    "rabbitmq": (
        4,
        "orders send",
        {
            "messaging.system": "rabbitmq",
            "messaging.temp_destination": "orders",
            "net.peer.name": "mq",
            "net.peer.port": 5672,
        },
        {"label": "publish orders", "peer": "mq:5672"},
    ),
    "rabbitmq reply queue": (
        5,
        "amq.gen-JzTY20BRgKO receive",
        {"messaging.system": "rabbitmq", "messaging.destination": "amq.gen-JzTY20BRgKO"},
        {"target": "(temporary)", "name": "process (temporary)"},
    ),
    "kafka batch": (
        5,
        "orders receive",
        {
            "messaging.system": "kafka",
            "messaging.destination.name": "orders",
            "messaging.operation.type": "receive",
            "messaging.batch.message_count": 100,
        },
        {"label": "receive orders", "repeat": 100, "traits": {"PIPELINE"}},
    ),
    "grpc of semconv 1.44": (
        3,
        "shop.Users/Get",
        {
            "rpc.system.name": "grpc",
            "rpc.method": "shop.Users/Get",
            "rpc.response.status_code": "UNAVAILABLE",
            "server.address": "users",
            "server.port": "50051",
        },
        {"label": "shop.Users/Get", "operation": "Get", "rpc_status": 14, "peer": "users:50051"},
    ),
    "grpc health": (
        2,
        "grpc.health.v1.Health/Check",
        {"rpc.system": "grpc", "rpc.service": "grpc.health.v1.Health", "rpc.method": "Check"},
        {"category": "rpc", "traits": {"HEALTH"}},
    ),
    "http health": (
        2,
        "GET /healthz",
        {"http.request.method": "GET", "http.route": "/healthz", "url.path": "/healthz"},
        {"traits": {"HEALTH"}},
    ),
    "http paged": (
        3,
        "GET",
        {"http.request.method": "GET", "url.full": "http://users/u?page=3"},
        {"traits": {"READ", "PARAMETERS", "PAGED"}, "label": "GET users/u?page={}"},
    ),
    "http peer by name": (
        3,
        "GET",
        {
            "http.request.method": "GET",
            "url.full": "http://10.1.2.3/u/5",
            "service.peer.name": "users",
        },
        {"peer": "users", "label": "GET users/u/{id}"},
    ),
    "http resend": (
        3,
        "GET",
        {
            "http.request.method": "GET",
            "url.full": "http://users/u/5",
            "http.request.resend_count": 2,
        },
        {"resends": 2},
    ),
    "http post hides what it sends": (
        3,
        "POST",
        {"http.request.method": "POST", "url.full": "http://users/u"},
        {"values": None, "label": "POST users/u"},
    ),
    "http server without route": (
        2,
        "GET /users/5",
        {"http.method": "GET", "http.target": "/users/5?x=1"},
        {"label": "GET /users/{id}", "name": "GET /users/{id}", "route": None},
    ),
    "graphql": (
        1,
        "graphql.resolve hero",
        {"graphql.operation.type": "query"},
        {"category": "internal", "label": "graphql.resolve hero"},
    ),
    "port and status as text": (
        3,
        "GET",
        {
            "http.method": "GET",
            "http.url": "http://users:80/u",
            "net.peer.name": "users",
            "net.peer.port": "80",
            "http.status_code": "503",
        },
        {"peer": "users:80", "http_status": 503},
    ),
    "cache hit by hook": (
        3,
        "GET",
        {"db.system": "redis", "db.statement": "GET ?", "cache.hit": "false", "cache.key": "a:5"},
        {"hit": False, "key": code("a:5"), "label": "GET"},
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_languages(case: str) -> None:
    kind, name, attributes, expected = OTHERS[case]

    decoded, texts = decode([{"kind": kind, "name": name, "attributes": attributes}])

    check(readable(decoded.frame.row(0, named=True), texts), expected)


ZOO = ("a3", "a_orm_flask", "l_hidden", "n_a_new")


@pytest.mark.parametrize("name", ZOO)
def test_recorded_services_are_read_whole(name: str) -> None:
    texts = Texts()
    parts = list(read_files([str(DATA / f"{name}.jsonl.gz")], texts))

    assert sum(d.accepted for d in parts) > 400
    assert not any(d.rejected or d.repaired for d in parts)
    for decoded in parts:
        assert decoded.frame["instance"].null_count() == 0
        assert {texts.text(c) for c in decoded.frame["label"]}.isdisjoint({None})


@pytest.mark.parametrize("name", ZOO)
def test_labels_and_shapes_are_few(name: str) -> None:
    texts = Texts()
    labels = set()
    for decoded in read_files([str(DATA / f"{name}.jsonl.gz")], texts):
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

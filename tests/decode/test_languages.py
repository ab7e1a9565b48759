"""Spans of other languages and libraries, from their sources, as columns.

Each case: kind (OTLP number), span name, attributes, and the columns expected.
"""

from __future__ import annotations

import pytest

from decode.making import Row, check, decode, readable
from detectors.kit.texts import code

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

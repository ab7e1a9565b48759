"""What a fleet of services sends: traces of a shop whose services speak different conventions.

Everything comes from one seeded generator. Numbers that differ from request to request (ids in
paths, keys and literals) are ten digits that begin with 77, so that `bodies` can renew them without
encoding a body again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

MS = 1_000_000
SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
PRODUCER, CONSUMER = Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER
INTERNAL = Span.SPAN_KIND_INTERNAL
_HAS_REMOTE, _IS_REMOTE = 1 << 8, 1 << 9

SERVICES = ("gateway", "orders", "inventory", "pricing", "worker")
NEW_STATEMENT_RATIO = 0.03
"""Share of SQL spans whose text nobody has sent before: literals in place of parameters."""
LOOP_RATIO = 0.04
"""Share of orders that are read with one query per item."""

_AGENT = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.7390.122 Safari/537.36"
)


@dataclass(slots=True)
class Sent:
    """A span and who sends it."""

    service: str
    scope: str
    span: Span


@dataclass(slots=True)
class Trace:
    """A trace while it is drawn; `clock` is the time that has passed in it, in ns."""

    dice: Random
    trace_id: bytes
    clock: int
    sent: list[Sent] = field(default_factory=list)

    def fresh(self) -> int:
        """A number that no other request has."""
        return 7_700_000_000 + self.dice.randrange(90_000_000)

    def add(  # noqa: PLR0913 - a span has as many parts
        self,
        who: tuple[str, str],
        kind: Any,
        name: str,
        parent: Span | None,
        attributes: dict[str, Any],
        lasts_ns: int,
        *,
        remote: bool = False,
    ) -> Span:
        """A span of (service, scope) that begins now."""
        span = Span(
            trace_id=self.trace_id,
            span_id=self.dice.randbytes(8),
            parent_span_id=parent.span_id if parent is not None else b"",
            name=name,
            kind=kind,
            start_time_unix_nano=self.clock,
            end_time_unix_nano=self.clock + lasts_ns,
            trace_state="vendor=00f067aa0ba902b7;s:1",
            flags=1 | _HAS_REMOTE | (_IS_REMOTE if remote else 0),
        )
        for key, value in attributes.items():
            said = span.attributes.add(key=key).value
            if isinstance(value, str):
                said.string_value = value
            elif isinstance(value, bool):
                said.bool_value = value
            else:
                said.int_value = value
        self.clock += MS // 5
        self.sent.append(Sent(*who, span))
        return span

    def close(self, span: Span, *, failed: bool = False) -> None:
        """The span ends now."""
        span.end_time_unix_nano = self.clock
        self.clock += MS // 10
        if failed:
            span.status.code = Status.STATUS_CODE_ERROR
            span.status.message = "upstream answered 500"


_NODE = ("gateway", "@opentelemetry/instrumentation-http")
_FLASK = ("orders", "opentelemetry.instrumentation.flask")
_PSYCOPG = ("orders", "opentelemetry.instrumentation.psycopg")
_REDIS = ("orders", "opentelemetry.instrumentation.redis")
_REQUESTS = ("orders", "opentelemetry.instrumentation.requests")
_KAFKA = ("orders", "opentelemetry.instrumentation.confluent_kafka")
_JDBC = ("inventory", "io.opentelemetry.jdbc")
_GRPC_SERVER = ("inventory", "io.opentelemetry.grpc-1.6")
_GO = ("pricing", "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp")
_GO_REDIS = ("pricing", "github.com/redis/go-redis/extra/redisotel")
_CELERY = ("worker", "opentelemetry.instrumentation.confluent_kafka")
_WORKER_SQL = ("worker", "opentelemetry.instrumentation.psycopg")


def _thread(dice: Random) -> dict[str, Any]:
    return {
        "thread.id": dice.randrange(1, 40),
        "thread.name": f"http-nio-8080-exec-{dice.randrange(16)}",
    }


def old_http_server(route: str, path: str, status: int) -> dict[str, Any]:
    """Attributes of a Flask span, conventions of 2022."""
    return {
        "http.method": "GET",
        "http.server_name": "0.0.0.0",  # noqa: S104 - what Flask reports
        "http.scheme": "http",
        "net.host.name": "orders.shop.svc.cluster.local",
        "http.host": "orders.shop.svc.cluster.local:8080",
        "net.host.port": 8080,
        "http.target": path,
        "net.peer.ip": "10.42.7.118",
        "http.user_agent": _AGENT,
        "http.flavor": "1.1",
        "http.route": route,
        "http.status_code": status,
    }


def new_http_server(host: str, route: str, path: str, method: str = "GET") -> dict[str, Any]:
    """Attributes of an HTTP server span, stable conventions."""
    return {
        "http.request.method": method,
        "url.scheme": "https",
        "url.path": path,
        "url.query": "expand=items,customer,shipments&currency=EUR&locale=en-IE&utm_source=mail",
        "http.route": route,
        "server.address": host,
        "server.port": 443,
        "client.address": "203.0.113.57",
        "network.peer.address": "10.42.3.11",
        "network.protocol.version": "1.1",
        "user_agent.original": _AGENT,
        "http.response.status_code": 200,
    }


def new_http_client(host: str, path: str, method: str = "GET") -> dict[str, Any]:
    """Attributes of an HTTP client span, stable conventions."""
    return {
        "http.request.method": method,
        "url.full": f"http://{host}.shop.svc.cluster.local:8080{path}",
        "server.address": f"{host}.shop.svc.cluster.local",
        "server.port": 8080,
        "network.peer.address": "10.42.7.118",
        "network.peer.port": 8080,
        "network.protocol.version": "1.1",
        "user_agent.original": "node-fetch/3.3 (+https://github.com/node-fetch/node-fetch)",
        "http.response.status_code": 200,
        "http.request.header.x_request_id": "0192f7a4-5a1c-7e0b-9d53-4be1a7c2d001",
        "code.function.name": "OrderGateway.forward",
    }


_COLUMNS = (
    '"t"."id", "t"."created_at", "t"."updated_at", "t"."customer_id", "t"."status", '
    '"t"."currency", "t"."total_cents", "t"."shipping_address_id", "t"."billing_address_id", '
    '"t"."coupon_code", "t"."channel", "t"."tenant_id", "t"."version"'
)


def statement(trace: Trace, table: str, where: str) -> str:
    """A SELECT with a placeholder, now and then with the values themselves."""
    new = trace.dice.random() < NEW_STATEMENT_RATIO
    condition = _condition(trace) if new else "= %s"
    return f'SELECT {_COLUMNS} FROM "{table}" AS "t" WHERE "t"."{where}" {condition}'


def _condition(trace: Trace) -> str:
    """Values as applications inline them: numbers, texts, lists of any length."""
    match trace.dice.randrange(6):
        case 0:
            values = (str(trace.fresh()) for _ in range(trace.dice.randrange(2, 12)))
            return f"IN ({', '.join(values)})"
        case 1:
            return f"= 'sku-{trace.fresh()}-O''Neil'"
        case 2:
            return f"= '{identifier(trace)}'"
        case 3:
            return f"BETWEEN {trace.fresh()}.50 AND -{trace.fresh()}"
        case _:
            return f"= {trace.fresh()}"


def identifier(trace: Trace) -> str:
    """A UUID that no other request has."""
    return f"0192f7a4-5a1c-7e0b-9d53-{trace.fresh()}2d"


def old_sql(trace: Trace, text: str) -> dict[str, Any]:
    """Attributes of a psycopg span, default conventions, with sqlalchemy's caller."""
    return {
        "db.system": "postgresql",
        "db.name": "shop",
        "db.statement": text,
        "db.user": "shop_app",
        "net.peer.name": "postgres-primary.shop.svc.cluster.local",
        "net.peer.port": 5432,
        "net.transport": "ip_tcp",
        "code.filepath": "/srv/app/.venv/lib/python3.12/site-packages/shop/repositories/orders.py",
        "code.function": "shop.repositories.orders.OrderRepository.load",
        **_thread(trace.dice),
    }


def new_sql(trace: Trace, text: str, verb: str, table: str) -> dict[str, Any]:
    """Attributes of a JDBC span, stable conventions."""
    return {
        "db.system.name": "postgresql",
        "db.namespace": "inventory",
        "db.query.text": text.replace("%s", "?"),
        "db.operation.name": verb,
        "db.collection.name": table,
        "db.query.summary": f"{verb} {table}",
        "server.address": "postgres-primary.shop.svc.cluster.local",
        "server.port": 5432,
        "code.function.name": "com.shop.inventory.StockRepository.findBySku",
        **_thread(trace.dice),
    }


def redis(trace: Trace, text: str) -> dict[str, Any]:
    """Attributes of a redis span, default conventions of Python."""
    return {
        "db.system": "redis",
        "db.statement": text,
        "db.redis.database_index": 0,
        "db.redis.args_length": 2,
        "net.peer.name": "redis-cache.shop.svc.cluster.local",
        "net.peer.port": 6379,
        "net.transport": "ip_tcp",
        "code.filepath": "/srv/app/.venv/lib/python3.12/site-packages/shop/cache.py",
        "code.function": "shop.cache.TieredCache.get_or_load",
        **_thread(trace.dice),
    }


def read_order(trace: Trace) -> None:
    """GET of an order: gateway -> orders (Flask, SQL, Redis) -> inventory (gRPC, SQL)."""
    order = identifier(trace) if trace.dice.random() < 0.5 else trace.fresh()
    failed = trace.dice.random() < 0.01
    path = f"/api/orders/{order}"
    host = "api.shop.example.com"
    front = trace.add(
        _NODE, SERVER, "GET", None, new_http_server(host, "/api/orders/:id", path), MS
    )
    call = trace.add(_NODE, CLIENT, "GET", front, new_http_client("orders", f"/orders/{order}"), MS)
    target = f"/orders/{order}?expand=items"
    status = 500 if failed else 200
    attributes = old_http_server("/orders/<int:order_id>", target, status)
    served = trace.add(
        _FLASK, SERVER, "GET /orders/<int:order_id>", call, attributes, MS, remote=True
    )
    trace.add(_REDIS, CLIENT, "GET", served, redis(trace, "GET ?"), MS // 3)
    for table, where in (("orders", "id"), ("order_items", "order_id"), ("customers", "id")):
        text = statement(trace, table, where)
        trace.add(_PSYCOPG, CLIENT, "SELECT", served, old_sql(trace, text), MS)
    if trace.dice.random() < LOOP_RATIO:
        for _ in range(12):
            text = statement(trace, "products", "id")
            trace.add(_PSYCOPG, CLIENT, "SELECT", served, old_sql(trace, text), MS)
    stock(trace, served)
    trace.add(_REDIS, CLIENT, "SETEX", served, redis(trace, "SETEX ? ? ?"), MS // 3)
    for span in (served, call, front):
        trace.close(span, failed=failed)


def stock(trace: Trace, parent: Span) -> None:
    """A gRPC call to inventory, which asks its database twice."""
    rpc = {
        "rpc.system": "grpc",
        "rpc.service": "com.shop.inventory.v1.StockService",
        "rpc.method": "Check",
        "rpc.grpc.status_code": 0,
        "server.address": "inventory.shop.svc.cluster.local",
        "server.port": 9000,
        "network.type": "ipv4",
        "network.transport": "tcp",
        "network.peer.address": "10.42.7.118",
        **_thread(trace.dice),
    }
    name = "com.shop.inventory.v1.StockService/Check"
    grpc = ("orders", "opentelemetry.instrumentation.grpc")
    call = trace.add(grpc, CLIENT, "/" + name, parent, rpc, MS)
    served = trace.add(_GRPC_SERVER, SERVER, name, call, rpc, MS, remote=True)
    for table in ("stock", "reservations"):
        text = statement(trace, table, "sku")
        attributes = new_sql(trace, text, "SELECT", table)
        trace.add(_JDBC, CLIENT, f"SELECT {table}", served, attributes, MS)
    trace.close(served)
    trace.close(call)


def read_product(trace: Trace) -> None:
    """GET of a product: gateway -> pricing (Go, Redis with visible keys)."""
    product = trace.fresh() if trace.dice.random() < 0.3 else trace.dice.randrange(500)
    path = f"/api/products/{product}"
    host = "api.shop.example.com"
    attributes = new_http_server(host, "/api/products/:id", path)
    front = trace.add(_NODE, SERVER, "GET", None, attributes, MS)
    work = {"shop.product": product, "shop.currency": "EUR", **_thread(trace.dice)}
    inner = trace.add(_NODE, INTERNAL, "price product", front, work, MS)
    client = new_http_client("pricing", f"/prices/{product}")
    call = trace.add(_NODE, CLIENT, "GET", inner, client, MS)
    served = trace.add(
        _GO,
        SERVER,
        "GET /prices/{id}",
        call,
        new_http_server("pricing", "/prices/{id}", f"/prices/{product}"),
        MS,
        remote=True,
    )
    key = redis(trace, f"GET price:{product}:eur")
    trace.add(_GO_REDIS, CLIENT, "get", served, key, MS // 4)
    for span in (served, call, inner, front):
        trace.close(span)


def place_order(trace: Trace) -> None:
    """POST of an order: gateway -> orders (transaction) -> Kafka -> worker."""
    host = "api.shop.example.com"
    attributes = new_http_server(host, "/api/orders", "/api/orders", "POST")
    front = trace.add(_NODE, SERVER, "POST", None, attributes, MS)
    call = trace.add(_NODE, CLIENT, "POST", front, new_http_client("orders", "/orders", "POST"), MS)
    attributes = old_http_server("/orders", "/orders", 201) | {"http.method": "POST"}
    served = trace.add(_FLASK, SERVER, "POST /orders", call, attributes, MS, remote=True)
    for text in (
        "INSERT INTO orders (customer_id, status, currency, total_cents) VALUES (%s, %s, %s, %s)",
        "INSERT INTO order_items (order_id, product_id, quantity) VALUES (%s, %s, %s)",
        "UPDATE customers SET last_order_at = now() WHERE id = %s",
    ):
        name = text.partition(" ")[0]
        trace.add(_PSYCOPG, CLIENT, name, served, old_sql(trace, text), MS)
    sent = trace.add(_KAFKA, PRODUCER, "orders send", served, kafka(trace, "send"), MS // 2)
    for span in (served, call, front):
        trace.close(span)
    got = trace.add(
        _CELERY, CONSUMER, "orders process", sent, kafka(trace, "process"), MS, remote=True
    )
    text = statement(trace, "orders", "id")
    trace.add(_WORKER_SQL, CLIENT, "SELECT", got, old_sql(trace, text), MS)
    text = "UPDATE stock SET reserved = reserved + %s WHERE sku = %s"
    trace.add(_WORKER_SQL, CLIENT, "UPDATE", got, old_sql(trace, text), MS)
    trace.close(got)


def kafka(trace: Trace, operation: str) -> dict[str, Any]:
    """Attributes of a Kafka span."""
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": "orders",
        "messaging.destination.kind": "topic",
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
        "messaging.kafka.partition": trace.dice.randrange(12),
        "messaging.message.id": f"orders.{trace.dice.randrange(12)}.{trace.fresh()}",
        "messaging.client.id": "rdkafka-orders-6d8f7c9b5-x2-0192f7a4",
        "server.address": "kafka-0.kafka.shop.svc.cluster.local:9092",
        **_thread(trace.dice),
    }


def traces(seed: int, start_ns: int) -> Iterator[Trace]:
    """Traces without end, one every two milliseconds of event time."""
    dice = Random(seed)
    kinds = (read_order, read_product, place_order)
    clock = start_ns
    while True:
        trace = Trace(dice, dice.randbytes(16), clock)
        dice.choices(kinds, (5, 3, 2))[0](trace)
        yield trace
        clock += 2 * MS

"""The span columns: the one table that says what a span is to spanlint.

A batch of spans is one Polars frame with exactly these columns. The decoder writes them, the
structure step adds `STRUCTURE`, detectors read nothing else.

Text never travels in the frame. A `text` column holds stable 64-bit codes (see `texts.py`) whose
text can be looked up; a `hash` column holds codes whose text is never kept, because it is
a value of somebody's data (a cache key, a user id, the literals of a statement).

`attributes` lists the attribute names a column is coalesced from, in order of preference: the
current semantic convention first, then older and legacy names. Names are those that the
instrumentations were seen to emit; a `resource:` prefix means a resource attribute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
CATEGORIES = (
    "internal",
    "db",
    "cache",
    "http",
    "rpc",
    "messaging",
    "connection",
    "transaction",
)

Kind = pl.Enum(KINDS)
Status = pl.Enum(STATUSES)
Category = pl.Enum(CATEGORIES)

Role = Literal["id", "text", "hash", "enum", "number", "flag", "list"]


@dataclass(frozen=True, slots=True)
class Column:
    """One span column: dtype, role, meaning and the attributes it is read from."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    role: Role
    meaning: str
    unit: str = ""
    attributes: tuple[str, ...] = ()


def _id(name: str, meaning: str) -> Column:
    return Column(name, pl.UInt64, "id", meaning)


def _text(name: str, meaning: str, *attributes: str) -> Column:
    return Column(name, pl.UInt64, "text", meaning, attributes=attributes)


def _hash(name: str, meaning: str, *attributes: str) -> Column:
    return Column(name, pl.UInt64, "hash", meaning, attributes=attributes)


def _number(
    name: str, dtype: type[pl.DataType], unit: str, meaning: str, *attributes: str
) -> Column:
    return Column(name, dtype, "number", meaning, unit, attributes)


SPAN_COLUMNS: tuple[Column, ...] = (
    _id("trace_hi", "upper 64 bits of the trace id"),
    _id("trace_lo", "lower 64 bits of the trace id"),
    _id("span_id", "span id"),
    _id("parent_span_id", "parent span id; null for a root"),
    _text("service", "service.name; `unknown_service` when absent", "resource:service.name"),
    _text("service_namespace", "service.namespace", "resource:service.namespace"),
    _text(
        "environment",
        "deployment environment",
        "resource:deployment.environment.name",
        "resource:deployment.environment",
    ),
    _text("version", "service.version", "resource:service.version"),
    _text(
        "instance",
        "identity of the process: the first of the chain that is present, null when none is "
        "(k8s.pod.name together with k8s.container.name where that is present; host.name counts "
        "only together with process.pid)",
        "resource:service.instance.id",
        "resource:k8s.pod.uid",
        "resource:k8s.pod.name",
        "resource:container.id",
    ),
    _text("scope", "instrumentation scope name"),
    Column("kind", Kind, "enum", "span kind"),
    _text("name", "span name as written"),
    _text(
        "label",
        "canonical low-cardinality name: `GET /books/{id}`, `SELECT authors`, "
        "`shop.Users/Get`, `publish orders`; operations are compared by it",
    ),
    _number("start_ns", pl.Int64, "ns", "start, since the Unix epoch"),
    _number("duration_ns", pl.Int64, "ns", "end minus start, never negative"),
    Column("status", Status, "enum", "span status"),
    _text(
        "error_type",
        "error.type, else exception.type of the last exception event, else the status code",
        "error.type",
    ),
    Column("category", Category, "enum", "what the span does"),
    _text(
        "system",
        "postgresql, redis, kafka, grpc …",
        "db.system.name",
        "db.system",
        "messaging.system",
        "rpc.system.name",
        "rpc.system",
    ),
    _text("namespace", "database name", "db.namespace", "db.name", "db.redis.database_index"),
    _text(
        "operation",
        "SELECT, GET, find, publish, process; upper case for SQL and Redis",
        "db.operation.name",
        "db.operation",
        "messaging.operation.type",
        "messaging.operation.name",
        "messaging.operation",
        "http.request.method",
        "http.method",
        "rpc.method",
        "celery.action",
    ),
    _text(
        "target",
        "table, collection, path template (ids replaced), topic, task or rpc method",
        "db.collection.name",
        "db.sql.table",
        "db.mongodb.collection",
        "db.cassandra.table",
        "aws.dynamodb.table_names",
        "elasticsearch.target",
        "messaging.destination.name",
        "messaging.destination",
        "messaging.temp_destination",
        "celery.task_name",
    ),
    _text("predicate", "columns a statement filters by, sorted: `author_id, id`"),
    _text(
        "shape",
        "statement with literals, comments, IN-lists and whitespace normalised; for HTTP and "
        "RPC method + peer + path template; null when no statement is visible",
        "db.query.text",
        "db.statement",
        "db.query.summary",
    ),
    _hash(
        "values",
        "hash of the extracted literals, parameters or ids; of the empty list when the shape has "
        "no parameter at all; null when they are not visible",
        "db.query.parameter.*",
        "db.statement.parameters",
        "db.postgresql.values",
    ),
    _hash("key", "cache key when visible", "cache.key", "db.redis.key"),
    Column(
        "hit",
        pl.Boolean,
        "flag",
        "cache hit when the span says so",
        attributes=("cache.hit", "elasticsearch.found", "lettuce.command.results.count"),
    ),
    _text(
        "peer",
        "the other side: service.peer.name, else address:port",
        "service.peer.name",
        "peer.service",
        "server.address",
        "net.peer.name",
        "net.sock.peer.name",
        "net.peer.ip",
        "network.peer.address",
    ),
    _number(
        "http_status",
        pl.Int32,
        "",
        "HTTP response status",
        "http.response.status_code",
        "http.status_code",
    ),
    _number(
        "rpc_status",
        pl.Int32,
        "",
        "gRPC status code",
        "rpc.response.status_code",
        "rpc.grpc.status_code",
        "rpc.status_code",
    ),
    _text("route", "route template of a SERVER span", "http.route"),
    _hash(
        "path",
        "path and query of an HTTP request",
        "url.path",
        "http.target",
        "url.full",
        "http.url",
    ),
    _hash(
        "entity",
        "which thing a SERVER span is about: the path cut after the last parameter of its route "
        "(`shapes/entity.py`); null when it names none",
    ),
    _hash(
        "actor",
        "who asks",
        "user.id",
        "enduser.id",
        "enduser.pseudo.id",
        "session.id",
        "http.request.header.x-user-id",
        "http.request.header.x_user_id",
        "http.request.header.x-session-id",
        "http.request.header.x_session_id",
        "http.request.header.x-forwarded-user",
        "http.request.header.x_forwarded_user",
        "http.request.header.x-auth-request-user",
        "http.request.header.x_auth_request_user",
    ),
    _hash(
        "message_id",
        "message id",
        "messaging.message.id",
        "messaging.message_id",
    ),
    _number(
        "rows",
        pl.Int64,
        "rows",
        "rows returned",
        "db.response.returned_rows",
    ),
    _number(
        "repeat",
        pl.Int32,
        "operations",
        "how many operations the span stands for, at least 1",
        "composite.count",
        "db.operation.batch.size",
        "db.redis.pipeline_length",
        "messaging.batch.message_count",
    ),
    _number(
        "resends",
        pl.Int32,
        "attempts",
        "attempts before this one that the span itself reports",
        "http.request.resend_count",
        "http.resend_count",
        "retry_attempts",
        "celery.retries",
    ),
    Column("traits", pl.UInt32, "flag", "what the statement is: bits of `traits.Trait`"),
    Column("flags", pl.UInt32, "flag", "OTLP span flags as received"),
    Column(
        "remote_parent",
        pl.Boolean,
        "flag",
        "whether the parent is in another process; null when the SDK does not say",
    ),
    _number(
        "sample_ppm",
        pl.UInt32,
        "parts per million",
        "sampling probability that the span carries (W3C `ot=th`, sampling.*); null when none",
        "sampling.probability",
        "sampling.ratio",
    ),
    _text("code_file", "source file", "code.file.path", "code.filepath"),
    _number(
        "code_line",
        pl.Int32,
        "",
        "source line",
        "code.line.number",
        "code.lineno",
    ),
    Column(
        "links",
        pl.List(pl.UInt64),
        "list",
        "linked spans, flattened: trace_hi, trace_lo, span_id, trace_hi, …; null when none",
    ),
)

SPAN_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {c.name: c.dtype for c in SPAN_COLUMNS}

STRUCTURE: tuple[Column, ...] = (
    Column("trace", pl.UInt32, "id", "dense trace number within the frame"),
    Column(
        "entry",
        pl.UInt32,
        "id",
        "dense number, within the frame, of the entry the span works for: the nearest "
        "SERVER, CONSUMER or root ancestor-or-self in the same service. Spans whose entry span is "
        "missing share one number per (trace, service, missing parent id)",
    ),
    Column("entry_span", pl.UInt64, "id", "span id of the entry; null when it is missing"),
    Column("entry_label", pl.UInt64, "text", "label of the entry; `(missing)` when it is missing"),
    Column(
        "entry_kind",
        Kind,
        "enum",
        "kind of the entry; unspecified when it is missing",
    ),
    Column(
        "entry_start_ns",
        pl.Int64,
        "number",
        "start of the entry; earliest span of it when missing",
        "ns",
    ),
    Column(
        "entry_duration_ns",
        pl.Int64,
        "number",
        "duration of the entry; extent of its spans when missing",
        "ns",
    ),
    Column("entry_status", Status, "enum", "status of the entry; unset when it is missing"),
    Column("is_entry", pl.Boolean, "flag", "the span is its own entry"),
    Column("root", pl.UInt32, "id", "row of the topmost known ancestor-or-self"),
    Column("depth", pl.UInt16, "number", "known ancestors above the span"),
    Column(
        "parent_row",
        pl.Int32,
        "id",
        "row of the parent in this frame, -1 when it is missing or there is none",
    ),
    Column(
        "self_ns",
        pl.Int64,
        "number",
        "duration minus the union of the children's intervals inside it; never negative",
        "ns",
    ),
    Column(
        "caller",
        pl.UInt64,
        "text",
        "service of the nearest ancestor in another service; null when none is known",
    ),
    Column(
        "error_origin",
        pl.Boolean,
        "flag",
        "an error span none of whose own children is in error",
    ),
)

STRUCTURE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {c.name: c.dtype for c in STRUCTURE}

UNKNOWN_SERVICE = "unknown_service"
MISSING_ENTRY = "(missing)"


def empty_spans() -> pl.DataFrame:
    """A frame with the span columns and no row."""
    return pl.DataFrame(schema=SPAN_SCHEMA)

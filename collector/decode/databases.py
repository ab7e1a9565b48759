"""Database and cache spans: statements, commands, cursors, pipelines, connections."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from collector.decode.attributes import Attributes, number, reader, text
from collector.decode.calls import peer_of, templated_name
from collector.decode.facets import SEPARATOR, Facets, joined
from detectors.kit.shapes.cache import shape_command as shape_cache
from detectors.kit.shapes.document import shape_command as shape_document
from detectors.kit.shapes.model import Shape
from detectors.kit.shapes.sql import shape_statement
from detectors.kit.traits import Trait

CACHES = frozenset(("redis", "memcached", "memcache", "valkey", "dragonfly", "keydb", "garnet"))
DOCUMENTS = frozenset(
    (
        "mongodb",
        "documentdb",
        "dynamodb",
        "aws.dynamodb",
        "elasticsearch",
        "opensearch",
        "couchbase",
        "couchdb",
        "cosmosdb",
        "azure.cosmosdb",
        "hbase",
        "neo4j",
        "geode",
    )
)
TRANSACTIONS = frozenset(
    ("BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "ABORT", "END")
)
_CONNECTIONS = frozenset(
    (
        "connect",
        "pg-pool.connect",
        "pg.connect",
        "pool.connect",
        "sql.connector.connect",
        "sql.conn.ping",
        "sql.conn.reset_session",
        "getconnection",
    )
)
_STEPS = frozenset(("sql.conn.prepare", "sql.stmt.close", "sql.rows", "sql.stmt.prepare"))
_BORDERS = {
    "sql.conn.begin_tx": "BEGIN",
    "sql.tx.commit": "COMMIT",
    "sql.tx.rollback": "ROLLBACK",
}
_VERBS = {
    "SELECT": Trait.READ,
    **dict.fromkeys(("INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "UPSERT"), Trait.WRITE),
    **dict.fromkeys((*TRANSACTIONS, "SET", "SHOW", "USE", "PRAGMA"), Trait.CONTROL),
    **dict.fromkeys(("CREATE", "ALTER", "DROP", "TRUNCATE"), Trait.DDL),
}
ALIASES = {"memcache": "memcached", "aws.dynamodb": "dynamodb"}

_MAX_STATEMENTS = 10_000
_LONG_STATEMENT = 4_096
_LONG_NAME = 120


@lru_cache(_MAX_STATEMENTS)
def _cached_sql(statement: str, system: str) -> Shape:
    return shape_statement(statement, system)


def _sql(statement: str, system: str) -> Shape:
    """The shape of a statement: parameters and names around it differ more often than its text."""
    if len(statement) > _LONG_STATEMENT:
        return shape_statement(statement, system)
    return _cached_sql(statement, system)


_statement = reader("shape")
_namespace = reader("namespace")
PARAMETER_ATTRIBUTES = ("db.statement.parameters", "db.postgresql.values")
_PARAMETER_PREFIX = "db.query.parameter."


def system_of(attributes: Attributes) -> str | None:
    """The database system of a span, None when it is no database span."""
    found = attributes.get("db.system.name") or attributes.get("db.system")
    return ALIASES.get(str(found), str(found)) if found else None


def database(system: str, name: str, attributes: Attributes) -> Facets:
    """Facets of a span with a database system; `name` is the span name."""
    lowered = name.lower()
    if lowered in _CONNECTIONS:
        return _plain("connection", system, name, attributes, 0)
    if lowered in _STEPS:
        return _plain("db", system, name, attributes, int(Trait.LOCAL_STEP))
    if lowered in _BORDERS:
        facets = _plain("transaction", system, name, attributes, int(Trait.CONTROL))
        facets.operation = _BORDERS[lowered]
        return facets
    if system in CACHES:
        return _cache(system, name, attributes)
    return _statement_span(system, name, attributes)


def _bounded_name(name: str, label: str) -> str:
    """The span name; the label where the name is a statement or has a value in it."""
    if len(name) > _LONG_NAME or any(c in name for c in "='\"?"):
        return label
    return templated_name(name) if "/" in name else name


def _plain(category: str, system: str, name: str, attributes: Attributes, traits: int) -> Facets:
    return Facets(
        category,
        name,
        name,
        system=system,
        namespace=_namespace(attributes),
        peer=peer_of(attributes),
        traits=traits,
    )


def _cache(system: str, name: str, attributes: Attributes) -> Facets:
    statement = text(attributes.get("db.query.text")) or text(attributes.get("db.statement"))
    verb = text(attributes.get("db.operation.name")) or name
    length = number(attributes.get("db.redis.pipeline_length"), 0, 2**31 - 1)
    found = shape_cache(statement, verb, system, length)
    key = text(attributes.get("cache.key")) or text(attributes.get("db.redis.key")) or found.key
    label = joined(found.operation or name, found.template)
    return Facets(
        "cache",
        label,
        found.operation or name if " " in name else name,
        system=system,
        namespace=_namespace(attributes),
        operation=found.operation,
        target=found.template,
        shape=label,
        literals=(key,) if key else None,
        key=key,
        peer=peer_of(attributes),
        repeat=max(found.commands, 1),
        traits=found.traits,
    )


def _statement_span(system: str, name: str, attributes: Attributes) -> Facets:
    statement = text(attributes.get("db.query.text")) or text(attributes.get("db.statement"))
    collection = _collection(attributes)
    shaped, visible = _shape(system, name, statement, collection, attributes)
    traits = shaped.traits
    if name.startswith("CURSOR:"):
        traits |= Trait.CURSOR
    repeat, traits = _repeat(attributes, traits)
    operation = shaped.operation or _operation(name, attributes)
    target = collection if collection and not shaped.target else shaped.target
    is_border = operation in TRANSACTIONS and bool(traits & Trait.CONTROL)
    parameters = _parameters(attributes)
    label = joined(operation, target) or _bounded_name(name, system)
    return Facets(
        "transaction" if is_border else "db",
        label,
        _bounded_name(name, label),
        system=system,
        namespace=_namespace(attributes),
        operation=operation,
        target=target,
        predicate=shaped.predicate,
        shape=shaped.shape if visible else None,
        literals=parameters if parameters is not None else shaped.literals if visible else None,
        peer=peer_of(attributes),
        repeat=repeat,
        traits=int(traits),
    )


def _shape(
    system: str, name: str, statement: str | None, collection: str | None, attributes: Attributes
) -> tuple[Shape, bool]:
    """The shape, and whether a statement (or for documents a command) is visible at all."""
    if system in DOCUMENTS:
        operation = text(attributes.get("db.operation.name")) or text(
            attributes.get("db.operation")
        )
        if operation is None and system == "dynamodb":
            operation = text(attributes.get("rpc.method"))
        known = bool(operation or statement)
        return shape_document(system, operation, statement, collection), known
    if statement:
        return _sql(statement, system), True
    summary = text(attributes.get("db.query.summary"))
    if summary:
        verb, _, rest = summary.partition(" ")
        target = rest.split()[0] if rest else collection
        return _by_verb(verb.upper(), summary, target), True
    return _by_verb(_operation(name, attributes), "", collection), False


def _by_verb(verb: str | None, shape: str, target: str | None) -> Shape:
    """A shape known by its verb and table only: whether it has parameters is hidden."""
    traits = int(_VERBS.get(verb or "", Trait(0)))
    return Shape(shape, verb, target, None, None, traits, shape)


def _collection(attributes: Attributes) -> str | None:
    for name in _COLLECTIONS:
        if found := text(attributes.get(name)):
            return found
    return None


_COLLECTIONS = (
    "db.collection.name",
    "db.mongodb.collection",
    "db.sql.table",
    "db.cassandra.table",
    "aws.dynamodb.table_names",
    "elasticsearch.target",
)


def _operation(name: str, attributes: Attributes) -> str | None:
    """The verb: SQLAlchemy writes `SELECT postgres`, others the whole span name."""
    said = text(attributes.get("db.operation.name")) or text(attributes.get("db.operation"))
    words = (said or name.removeprefix("CURSOR:")).split()
    return words[0].upper().rstrip(";") if words else None


def _repeat(attributes: Attributes, traits: int) -> tuple[int, int]:
    """How many operations the span stands for, and the traits that say how it came to that."""
    composite = number(attributes.get("composite.count"), 2, 2**31 - 1)
    if composite:
        return composite, traits | Trait.AGGREGATED
    batch = number(attributes.get("db.operation.batch.size"), 2, 2**31 - 1)
    if batch:
        return batch, traits | Trait.PIPELINE
    return 1, traits


def _parameters(attributes: Attributes) -> tuple[str, ...] | None:
    """Bind values that the instrumentation recorded, None when it did not."""
    for name in PARAMETER_ATTRIBUTES:
        value: Any = attributes.get(name)
        if value:
            return (SEPARATOR.join(map(str, value)) if isinstance(value, tuple) else str(value),)
    found = sorted((k, str(v)) for k, v in attributes.items() if k.startswith(_PARAMETER_PREFIX))
    return tuple(v for _, v in found) if found else None

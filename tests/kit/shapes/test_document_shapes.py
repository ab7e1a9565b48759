"""MongoDB, DynamoDB, Elasticsearch and others."""

from __future__ import annotations

import pytest

from detectors.kit.shapes.document import shape_command
from detectors.kit.traits import Trait

R, W, P = Trait.READ, Trait.WRITE, Trait.PARAMETERS

# system, operation, statement -> shape (collection `c`), predicate, literals, traits
COMMANDS: list[
    tuple[str, str | None, str | None, str, str | None, tuple[str, ...] | None, Trait]
] = [
    ("mongodb", None, "find", "find c", None, None, R),
    ("mongodb", "find", "find", "find c", None, None, R),
    ("mongodb", "getMore", None, "getMore c", None, None, R | Trait.CURSOR),
    ("mongodb", None, '{"find": "c", "filter": {"_id": "?"}, "limit": 1}',
     "find c {find: ?, filter: {_id: ?}, limit: ?}", "_id", None, R | P),
    ("mongodb", "find", '{"_id":{"$in":["?", "?"]},"Shop.x":"?"}',
     "find c {_id: {$in: [?]}, Shop.x: ?}", "_id, shop.x", None, R | P | Trait.LISTED),
    ("mongodb", "find", "find {'author': 'Ann', 'year': 1999}", "find c {author: ?, year: ?}",
     "author, year", ("'Ann'", "1999"), R | P),
    ("mongodb", "find", "find {}", "find c {}", None, (), R),
    ("mongodb", "find", '{"a": "cut he', "find c {a: ?", "a", ('"cut he',), R | P),
    ("mongodb", "insert", None, "insert c", None, None, W),
    ("mongodb", "insertMany", None, "insertMany c", None, None, W | Trait.MULTI_ROW),
    ("mongodb", "hello", None, "hello c", None, None, Trait.PING | Trait.CONTROL),
    ("mongodb", "endSessions", None, "endSessions c", None, None, Trait.CONTROL),
    ("mongodb", "createIndexes", None, "createIndexes c", None, None, Trait.DDL),
    ("dynamodb", "GetItem", None, "GetItem c", None, None, R | Trait.SINGLE_KEY),
    ("dynamodb", "DynamoDB.BatchGetItem", None, "BatchGetItem c", None, None, R | Trait.LISTED),
    ("dynamodb", "PutItem", None, "PutItem c", None, None, W),
    ("dynamodb", "BatchWriteItem", None, "BatchWriteItem c", None, None, W | Trait.MULTI_ROW),
    ("elasticsearch", "search", '{"query":{"terms":{"author":["?"]}},"size":"?"}',
     "search c {query: {terms: {author: [?]}}, size: ?}", "author", None,
     R | P | Trait.LISTED),
    ("elasticsearch", "Elasticsearch/<target>/_search", None, "_search c", None, None, R),
    ("elasticsearch", "bulk", None, "bulk c", None, None, W | Trait.MULTI_ROW),
    ("elasticsearch", "indices.create", None, "indices.create c", None, None, Trait.DDL),
    ("cosmosdb", "read_item", None, "read_item c", None, None, R | Trait.SINGLE_KEY),
    ("unheard_of", "frobnicate", None, "frobnicate c", None, None, Trait(0)),
]  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS, ids=lambda case: f"{case[0]} {case[3]}")
def test_command(
    case: tuple[str, str | None, str | None, str, str | None, tuple[str, ...] | None, Trait],
) -> None:
    system, operation, statement, shape, predicate, literals, traits = case
    got = shape_command(system, operation, statement, "c")
    assert (got.shape, got.predicate, got.literals) == (shape, predicate, literals)
    assert Trait(got.traits) == traits
    assert got.target == "c"

"""Facts `origins` as cascades: one error, the operations that failed by it, those that did not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.contract import FactsView
from detectors.kit.derived import once
from detectors.kit.edges import names_of_calls

_DRIVERS = tuple(
    (re.compile(pattern, re.IGNORECASE), system)
    for pattern, system in (
        (r"psycopg\d?|asyncpg|pg8000|org\.postgresql|npgsql", "postgresql"),
        (r"pymysql|mysql|aiomysql|com\.mysql", "mysql"),
        (r"redis|aioredis|io\.lettuce", "redis"),
        (r"pymongo|motor|com\.mongodb|mongo", "mongodb"),
        (r"pika|amqp|aio_pika|com\.rabbitmq", "rabbitmq"),
        (r"kafka|confluent_kafka|aiokafka|org\.apache\.kafka", "kafka"),
        (r"pymemcache|pylibmc|net\.spy\.memcached", "memcached"),
        (
            r"sqlalchemy\.exc\.(operational|interface|timeout)|com\.zaxxer\.hikari",
            "database",
        ),
    )
)
"""Exception types of drivers: where a driver has no span, they tell that its other side failed."""


def driver_of(error_type: str) -> str:
    """`postgresql` of `psycopg.OperationalError`; empty when the type names no driver."""
    return next((system for known, system in _DRIVERS if known.match(error_type)), "")


@dataclass(frozen=True, slots=True)
class Cascade:
    """An origin and what it reached. rows: facts `origins` of it. Names are texts."""

    origin: str
    operation: str
    error_type: str
    inferred: bool
    rows: pl.DataFrame

    @property
    def affected(self) -> pl.DataFrame:
        """Failed operations in other services than the origin."""
        return self.rows.filter(~pl.col("absorbed") & (pl.col("named") != self.origin))

    @property
    def absorbers(self) -> pl.DataFrame:
        """Operations that were fine in spite of it."""
        return self.rows.filter("absorbed")


@once
def cascades(facts: FactsView) -> list[Cascade]:
    """Everything in facts `origins`, by origin, operation and error type, in that order."""
    rows = facts.table("origins")
    calls = names_of_calls(facts.table("edges")).rename(
        {"caller": "reporter", "label": "operation"}
    )
    rows = rows.join(calls, on=["reporter", "operation"], how="left", nulls_equal=True)
    columns = ("side", "origin", "operation", "error_type", "known_callee", "known_operation")
    kinds = rows.select(*columns).unique()
    named = [_identity(facts, row) for row in kinds.iter_rows(named=True)]
    kinds = kinds.with_columns(
        pl.Series(name, [n[i] for n in named], dtype=dtype)
        for i, (name, dtype) in enumerate(_NAMED.items())
    )
    services = rows.select("service").unique()
    services = services.with_columns(
        pl.Series("named", [facts.text(s) for s in services["service"]], dtype=pl.String)
    )
    joined = rows.join(kinds, on=columns, how="left", nulls_equal=True).join(
        services, on="service", how="left"
    )
    found = []
    for (origin, operation, error), group in joined.group_by("_origin", "_operation", "_error"):
        inferred = bool(group["_inferred"].all())
        ordered = group.sort("pane", "named", "entry_label", "hops", "absorbed", "first_ns")
        found.append(Cascade(str(origin), str(operation), str(error), inferred, ordered))
    return sorted(found, key=lambda c: (c.origin, c.operation, c.error_type))


_NAMED = {
    "_origin": pl.String,
    "_operation": pl.String,
    "_error": pl.String,
    "_inferred": pl.Boolean,
}


def _identity(facts: FactsView, row: Mapping[str, Any]) -> tuple[str, str, str, bool]:
    """Name of the origin, operation, error type, and whether the name is inferred."""
    error, operation = facts.text(row["error_type"]), facts.text(row["operation"])
    if row["side"] == "outside" and row["known_callee"] is not None:
        return facts.text(row["known_callee"]), facts.text(row["known_operation"]), error, False
    driver = driver_of(error) if row["side"] == "inside" else ""
    if driver:
        return driver, operation, error, True
    return facts.text(row["origin"]), operation, error, False

"""What a statement is, in bits: the column `traits`.

The shaper sets them once per distinct statement text, so that a rule asks a question about SQL by
testing a bit and never looks at text.
"""

from __future__ import annotations

from enum import IntFlag

import polars as pl


class Trait(IntFlag):
    """Bits of the column `traits`."""

    READ = 1 << 0  # SELECT, find, GET, scan
    WRITE = 1 << 1  # INSERT, UPDATE, DELETE, MERGE, document writes
    LOCKING = 1 << 2  # FOR UPDATE, FOR SHARE
    LISTED = 1 << 3  # IN (a, b, …) of two or more values, = ANY(array): work in batches
    PAGED = 1 << 4  # OFFSET or a keyset bound: a page of a larger read
    PING = 1 << 5  # SELECT 1, PING, isMaster: keeps a connection alive
    CONTROL = 1 << 6  # BEGIN, COMMIT, SET, SHOW, PRAGMA, set_config
    DDL = 1 << 7  # CREATE, ALTER, DROP, TRUNCATE and reads of the catalogue
    CURSOR = 1 << 8  # one fetch of a cursor, not one query
    PIPELINE = 1 << 9  # sent in a pipeline, a transaction or a batch of the driver
    PARAMETERS = 1 << 10  # the shape has a parameter or a literal
    VOLATILE = 1 << 11  # now(), random(), nextval(): equal text, different answer
    MULTI_ROW = 1 << 12  # writes several rows: VALUES (…), (…), INSERT … SELECT
    SINGLE_KEY = 1 << 13  # a cache command that reads one key
    FILL = 1 << 14  # a cache command that writes a value
    EVICT = 1 << 15  # a cache command that deletes
    EXPIRES = 1 << 16  # the cache write carries a time to live
    HEALTH = 1 << 17  # health checks and metrics scrapes
    NOISE = 1 << 18  # asgi send/receive: dropped before anything looks
    LOCAL_STEP = 1 << 19  # prepare, rows, reset of a driver: part of another span's query
    AGGREGATED = 1 << 20  # the span stands for `repeat` operations (Elastic composite)


def has(trait: Trait) -> pl.Expr:
    """Rows with every bit of `trait`."""
    return (pl.col("traits") & int(trait)) == int(trait)


def has_any(traits: Trait) -> pl.Expr:
    """Rows with at least one bit of `traits`."""
    return (pl.col("traits") & int(traits)) != 0

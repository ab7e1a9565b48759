"""What happened to each thing, event by event: it was looked up, loaded from the database, written.

Rules ask for order across traces, processes and time ("the first read of an entity after a write
to it", "five loads of one identity at once"), which no sum, minimum or maximum of a pane can
answer. So a row is one event with its time in the key: facts of other slabs and processes only add
rows. The table is sampled by the thing: all events of a thing in the sample are there.

::

    /products/5   write  products    12.000 s      PUT /products/{id}
    /products/5   look               12.310 s      GET /products/{id}    a cache read
    /products/5   load   products    12.312 s      … then the database: not stale
"""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import pane
from detectors.kit.contract import SampledTable, key, sampled, total
from detectors.kit.loads import TELLING, Told, identified, loads
from detectors.kit.sampling import LEVEL, at_level, in_sample
from detectors.kit.traits import Trait, has

KINDS = ("look", "load", "write")
TouchKind = pl.Enum(KINDS)


class Touches:
    """One row per event of a thing."""

    name = "touches"
    pane_seconds = 60
    max_rows = 60_000
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("entry_label", pl.UInt64, "operation of the entry", text=True),
        sampled("thing", "the entity of the request, else the identity of the read"),
        key("kind", TouchKind, "look: a cache read; load: a read after one; write"),
        key("target", pl.UInt64, "table that is loaded or written", text=True),
        key("shape", pl.UInt64, "statement of a load", text=True),
        key("told", Told, "what tells the identity of a load"),
        key("identity", pl.UInt64, "which read a load is, as in facts `reads`"),
        key("at_ns", pl.Int64, "start of the load or of the entry that looks; end of the write"),
        key("trace_hi", pl.UInt64, "trace"),
        key("trace_lo", pl.UInt64, "trace"),
        key("entry_span", pl.UInt64, "entry"),
        key("span_id", pl.UInt64, "the load or write; the entry that looks"),
        total("duration_ns", "of the load or write; of the entry that looks"),
        total("filled", "1 when a value write follows the load"),
        LEVEL,
    )

    def observe(self, spans: pl.DataFrame, level: int = 0) -> pl.DataFrame:
        """A row per event."""
        events = pl.concat([_loads(spans), _looks(spans), _writes(spans)], how="diagonal")
        if level:
            events = events.filter(in_sample(pl.col("thing"), level))
        return events.with_columns(_PANE, _FILLED, at_level(level))


_WHERE = ("service", "environment", "entry_label", "trace_hi", "trace_lo", "entry_span")
_PANE = pane(pl.col("at_ns"), Touches.pane_seconds)
_FILLED = pl.col("filled").fill_null(0)


def _loads(spans: pl.DataFrame) -> pl.DataFrame:
    """Database reads after a cache read whose identity is known."""
    found = loads(spans, _LOAD_NEEDS).filter("looked")
    return identified(found).filter(pl.col("told") != "nothing").select(_LOAD)


_LOAD_NEEDS = (
    *(*_WHERE, *TELLING),
    *("target", "start_ns", "span_id", "duration_ns", "looked", "filled"),
)
_LOAD = (
    *_WHERE,
    pl.coalesce("entry_entity", "identity").alias("thing"),
    pl.lit("load", dtype=TouchKind).alias("kind"),
    *("target", "shape", "told", "identity", "span_id", "duration_ns"),
    pl.col("start_ns").alias("at_ns"),
    pl.col("filled").cast(pl.Int64),
)


def _looks(spans: pl.DataFrame) -> pl.DataFrame:
    """Entries about a thing that read the cache."""
    return spans[_LOOK_NEEDS].filter(_LOOKS).select(_LOOK)


_LOOK_NEEDS = [*_WHERE, "is_entry", "entity", "lookups", "start_ns", "span_id", "duration_ns"]
_LOOKS = pl.col("is_entry") & pl.col("entity").is_not_null() & (pl.col("lookups") > 0)
_LOOK = (
    *_WHERE,
    pl.col("entity").alias("thing"),
    pl.lit("look", dtype=TouchKind).alias("kind"),
    pl.col("start_ns").alias("at_ns"),
    *("span_id", "duration_ns"),
)


def _writes(spans: pl.DataFrame) -> pl.DataFrame:
    """Successful database writes of entries about a thing."""
    return spans[_WRITE_NEEDS].filter(_WRITES).select(_WRITE)


_WRITE_NEEDS = [
    *(*_WHERE, "category", "traits", "failed", "target", "entry_entity"),
    *("start_ns", "duration_ns", "span_id"),
]
_WRITES = (
    (pl.col("category") == "db")
    & has(Trait.WRITE)
    & ~pl.col("failed")
    & pl.col("target").is_not_null()
    & pl.col("entry_entity").is_not_null()
)
_WRITE = (
    *_WHERE,
    pl.col("entry_entity").alias("thing"),
    pl.lit("write", dtype=TouchKind).alias("kind"),
    "target",
    (pl.col("start_ns") + pl.col("duration_ns")).alias("at_ns"),
    *("span_id", "duration_ns"),
)


TABLE: SampledTable = Touches()

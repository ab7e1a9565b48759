"""How often each identity of a database read ran: the same question, over entries and processes.

An identity is a shape with its values; where these are hidden, the shape with the path of the
request (a route with a parameter, or a query); else only who asks is known, or nothing. "Seen
before" needs no order: of n executions of one identity, n - 1 are repeats. Panes and processes add
up by identity. There are as many identities as there are keys, so the table is sampled by them
(`kit/sampling.py`); what is constant is in every sample.
"""

from __future__ import annotations

import polars as pl

from detectors.kit.bins import count, pane
from detectors.kit.contract import SampledTable, key, least, most, sampled, total
from detectors.kit.loads import TELLING, Told, identified, loads
from detectors.kit.sampling import LEVEL, at_level, first_of, in_sample


class Reads:
    """One row per (service, operation, shape, identity, cache key)."""

    name = "reads"
    pane_seconds = 300
    max_rows = 30_000
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("entry_label", pl.UInt64, "operation of the entry", text=True),
        key("shape", pl.UInt64, "statement without values", text=True),
        key("told", Told, "what tells identities apart"),
        sampled("identity", "which read of the shape it is"),
        key("key", pl.UInt64, "cache key that was looked up before it, where visible"),
        total("executions", "how often it ran"),
        total("traces", "in how many traces, each counted once per operation"),
        total("behind", "executions after a cache read"),
        total("filled", "of these, before a value write"),
        total("missed", "after a cache read that says miss"),
        least("first_ns", "earliest execution"),
        most("last_ns", "latest execution"),
        LEVEL,
    )

    def observe(self, spans: pl.DataFrame, level: int = 0) -> pl.DataFrame:
        """A row per group of executions."""
        found = identified(loads(spans, _NEEDED))
        if level:
            found = found.filter(in_sample(pl.col("identity"), level))
        grouped = found.with_columns(_ONCE).group_by(_KEYS).agg(_MEASURES)
        return grouped.with_columns(at_level(level))


_NEEDED = (
    *("service", "environment", "entry_label", "trace", "lookup_key", "lookup_hit", "looked"),
    *("filled", "entry_start_ns", "start_ns", *TELLING),
)
_ONCE = first_of("trace", "entry_label", "shape", "identity", "lookup_key").alias("traces")
_KEYS: tuple[pl.Expr | str, ...] = (
    pane(pl.col("entry_start_ns"), Reads.pane_seconds),
    *("service", "environment", "entry_label", "shape", "told", "identity"),
    pl.col("lookup_key").alias("key"),
)
_MEASURES = (
    pl.len().cast(pl.Int64).alias("executions"),
    count(pl.col("traces")),
    count(pl.col("looked")).alias("behind"),
    count(pl.col("filled")),
    count(~pl.col("lookup_hit")).alias("missed"),
    pl.col("start_ns").min().alias("first_ns"),
    pl.col("start_ns").max().alias("last_ns"),
)


TABLE: SampledTable = Reads()

"""Which instance served which entity, how that ended, and whether it read the backend for it.

Two kinds of rows. A row without `shape` counts requests about one entity to one operation on one
instance; a row with a shape counts those of them, answered with success, in which the entry read
its backend that way. Earliest and latest times are what makes it work over a fleet: facts that were
observed apart, one instance each, tell when merged whether an instance served an entity for the
first time, whether another had served it before, and whether it read for it then.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from detectors.kit.bins import pane
from detectors.kit.contract import (
    Life,
    SampledTable,
    key,
    least,
    most,
    sampled,
    total,
    worst,
)
from detectors.kit.merge import schema, settle_worst
from detectors.kit.sampling import LEVEL, at_level, in_sample
from detectors.kit.texts import code
from detectors.kit.traits import Trait, has
from detectors.kit.work import answered, refused

IDENTITIES = ("actor", "path", "key")
Identity = pl.Enum(IDENTITIES)

_CREATING = [code(m) for m in ("POST", "PUT", "PATCH")]
_WRITING = [*_CREATING, code("DELETE")]
_WHO = ("service", "environment", "version", "instance")
_READ = ("shape", "read_operation", "target", "predicate")
_SPAN_KEYS = ("trace_hi", "trace_lo", "entry_span", "entry_start_ns", "entry_duration_ns")
_FIELDS = {
    "entry_span": pl.UInt64,
    "entry_start_ns": pl.Int64,
    "entry_duration_ns": pl.Int64,
    "first_ns": pl.Int64,
    "last_ns": pl.Int64,
    "n": pl.Int64,
    "label": pl.UInt64,
}


class Entities:
    """One row per (service, instance, entity, operation) and per backend read under it."""

    name = "entities"
    pane_seconds = 60
    max_rows = 60_000
    life = Life("instances", ("service", "environment", "instance"))
    columns = (
        key("service", pl.UInt64, "service", text=True),
        key("environment", pl.UInt64, "deployment environment", text=True),
        key("version", pl.UInt64, "service.version", text=True),
        key("instance", pl.UInt64, "identity of the process", text=True),
        key("identity", Identity, "what the entity is: who asks, a path, a cache key"),
        sampled("entity", "hash of who asks, of the path up to its last parameter, of the key"),
        key("entry_label", pl.UInt64, "operation", text=True),
        key("shape", pl.UInt64, "backend read; null for the requests themselves", text=True),
        key("read_operation", pl.UInt64, "verb of the read", text=True),
        key("target", pl.UInt64, "table, collection or path of the read", text=True),
        key("predicate", pl.UInt64, "columns that the read filters by", text=True),
        LEVEL,
        total("requests", "how many"),
        total("ok", "of them, answered with success"),
        total("failed", "of them, refused (401, 403, 404, 409, 410) or in error"),
        total("broken", "of them, in error (5xx, or without a status)"),
        total("cached", "of them, reading a shared cache"),
        total("created", "of them, POST, PUT or PATCH with success"),
        total("spent_ns", "time of the reads; of the requests that failed"),
        least("first_ns", "earliest start"),
        most("last_ns", "latest start"),
        least("first_ok_ns", "earliest start of those with success"),
        least("first_done_ns", "earliest end of those with success"),
        most("last_ok_ns", "latest start of those with success"),
        least("first_failed_ns", "earliest start of those that failed"),
        most("last_failed_ns", "latest start of those that failed"),
        least("created_ns", "earliest end of those that created"),
        most("written_ns", "latest end of those that wrote (also DELETE), with success"),
        worst("exemplars", _FIELDS, "the earliest that failed, or that read", "label"),
    )

    def observe(self, spans: pl.LazyFrame, level: int = 0) -> pl.LazyFrame:
        """Rows of requests, then of reads, both per identity of the entry."""
        return spans.select(*_NEEDED).map_batches(
            partial(self._of_spans, level=level),
            schema=schema(self),
            validate_output_schema=False,
        )

    def _of_spans(self, spans: pl.DataFrame, level: int) -> pl.DataFrame:
        entries = _served(spans, level)
        theirs = spans.lazy()
        if level:
            theirs = theirs.filter(pl.col("entry").is_in(entries["entry"].implode()))
        identified = _identified(entries.lazy(), theirs)
        identified = identified.filter(in_sample(pl.col("entity"), level)).collect().lazy()
        requests = identified.with_columns(
            *(pl.lit(None, dtype=pl.UInt64).alias(c) for c in _READ),
            pl.when("refused").then("entry_duration_ns").otherwise(0).alias("spent_ns"),
            pl.when("refused").then(_whole_entry()).alias("exemplar"),
        )
        reads = (
            _reads(theirs)
            .join(identified.filter("answered"), on="entry", how="inner")
            .with_columns(_read_of_entry().alias("exemplar"))
        )
        both = pl.concat([self._rows(requests), self._rows(reads)])
        named = [c.name for c in self.columns]
        found = both.with_columns(at_level(level)).select("pane", *named).collect()
        return settle_worst(found, self.columns[-1])

    def _rows(self, entries: pl.LazyFrame) -> pl.LazyFrame:
        """A row per group, with all its exemplars: few groups have more than one."""
        keys = [c.name for c in self.columns if c.merge == "key"]
        counts = ("ok", "failed", "broken", "cached", "created")
        return (
            entries.with_columns(*_measures())
            .group_by("pane", *keys)
            .agg(
                pl.len().cast(pl.Int64).alias("requests"),
                *(pl.col(f"_{c}").sum().cast(pl.Int64).alias(c) for c in counts),
                pl.col("spent_ns").sum(),
                *(pl.col(c).min() for c in _LEAST),
                *(pl.col(c).max() for c in _MOST),
                pl.col("exemplar").drop_nulls().alias("exemplars"),
            )
        )


_LEAST = ("first_ns", "first_ok_ns", "first_done_ns", "first_failed_ns", "created_ns")
_MOST = ("last_ns", "last_ok_ns", "last_failed_ns", "written_ns")


def _measures() -> list[pl.Expr]:
    """What is added up of each entry, before grouping: a filter within groups costs far more."""
    ok, failed = pl.col("answered"), pl.col("refused")
    creating, writing = ok & pl.col("creating"), ok & pl.col("writing")
    start = pl.col("entry_start_ns")
    end = start + pl.col("entry_duration_ns")
    return [
        pane(start, Entities.pane_seconds),
        ok.alias("_ok"),
        failed.alias("_failed"),
        (failed & pl.col("broken")).alias("_broken"),
        pl.col("cached").alias("_cached"),
        creating.alias("_created"),
        start.alias("first_ns"),
        start.alias("last_ns"),
        pl.when(ok).then(start).alias("first_ok_ns"),
        pl.when(ok).then(start).alias("last_ok_ns"),
        pl.when(ok).then(end).alias("first_done_ns"),
        pl.when(failed).then(start).alias("first_failed_ns"),
        pl.when(failed).then(start).alias("last_failed_ns"),
        pl.when(creating).then(end).alias("created_ns"),
        pl.when(writing).then(end).alias("written_ns"),
    ]


def _served(spans: pl.DataFrame, level: int) -> pl.DataFrame:
    """SERVER entries of known instances, but those that are surely not in the sample."""
    serving = pl.col("is_entry") & (pl.col("kind") == "server") & pl.col("instance").is_not_null()
    known = pl.col("_actor").is_not_null() | pl.col("_path").is_not_null()
    kept = pl.any_horizontal(
        in_sample(pl.col(c), level).fill_null(value=False) for c in ("_actor", "_path")
    )
    return (
        spans.lazy()
        .filter(serving & ~has(Trait.HEALTH))
        .select(
            "entry",
            *_WHO,
            "entry_label",
            *_SPAN_KEYS,
            pl.col("actor").alias("_actor"),
            pl.col("entity").alias("_path"),
            answered(),
            refused(),
            (pl.col("http_status").fill_null(500) >= 500).alias("broken"),
            pl.col("operation").is_in(_CREATING).fill_null(value=False).alias("creating"),
            pl.col("operation").is_in(_WRITING).fill_null(value=False).alias("writing"),
        )
        .filter(kept | ~known)
        .collect()
    )


def _identified(entries: pl.LazyFrame, spans: pl.LazyFrame) -> pl.LazyFrame:
    """Entries once for each identity that they have: a cache key where there is nothing else."""
    key = pl.col("key")
    one_key = (key.min() == key.max()) & (key.null_count() == 0)
    under = (
        spans.filter((pl.col("entry_kind") == "server") & (pl.col("category") == "cache"))
        .group_by("entry")
        .agg(
            (has(Trait.SINGLE_KEY) & has(Trait.READ)).any().alias("cached"),
            pl.when(one_key).then(key.first()).alias("_key"),
        )
    )
    bare = pl.col("_actor").is_null() & pl.col("_path").is_null()
    keyed = entries.join(under, on="entry", how="left").with_columns(
        pl.col("cached").fill_null(value=False), pl.when(bare).then("_key").alias("_key")
    )
    return pl.concat(
        keyed.filter(pl.col(f"_{identity}").is_not_null()).with_columns(
            pl.lit(identity, dtype=Identity).alias("identity"),
            pl.col(f"_{identity}").alias("entity"),
        )
        for identity in IDENTITIES
    )


def _reads(spans: pl.LazyFrame) -> pl.LazyFrame:
    """What entries read from their backends: a row per entry and kind of read."""
    asking = pl.col("kind").is_in(["client", "internal"]) & ~pl.col("is_entry")
    kind = pl.col("work")
    reading = (kind == "query") | (
        (kind == "call") & (has(Trait.READ) | (pl.col("category") == "rpc"))
    )
    return (
        spans.filter((pl.col("entry_kind") == "server") & asking)
        .filter(reading)
        .group_by("entry", pl.coalesce("shape", "label").alias("shape"))
        .agg(
            pl.col("operation").min().alias("read_operation"),
            pl.col("target").min(),
            pl.col("predicate").min(),
            pl.col("duration_ns").sum().alias("spent_ns"),
            pl.col("start_ns").min().alias("_read_start"),
            pl.col("label").min().alias("_read_label"),
            pl.len().cast(pl.Int64).alias("_n"),
        )
    )


def _exemplar(first: pl.Expr, last: pl.Expr, n: pl.Expr, label: pl.Expr) -> pl.Expr:
    """A struct that ranks earlier entries first."""
    return pl.struct(
        (-pl.col("entry_start_ns")).alias("score"),
        *_SPAN_KEYS,
        first.alias("first_ns"),
        last.alias("last_ns"),
        n.alias("n"),
        label.alias("label"),
    )


def _whole_entry() -> pl.Expr:
    start = pl.col("entry_start_ns")
    end = start + pl.col("entry_duration_ns")
    return _exemplar(start, end, pl.lit(1, dtype=pl.Int64), pl.col("entry_label"))


def _read_of_entry() -> pl.Expr:
    start = pl.col("_read_start")
    end = start + pl.col("spent_ns")
    return _exemplar(start, end, pl.col("_n"), pl.col("_read_label"))


_NEEDED = (
    *(*_WHO, *_SPAN_KEYS, "entry", "entry_label", "entry_kind", "is_entry", "kind", "category"),
    *("traits", "actor", "entity", "key", "http_status", "rpc_status", "status", "operation"),
    *("work", "shape", "label", "target", "predicate", "start_ns", "duration_ns"),
)


TABLE: SampledTable = Entities()

"""Which instance served which entity, how that ended, and whether it read the backend for it.

Two kinds of rows. A row without `shape` counts requests about one entity to one operation on one
instance; a row with a shape counts those of them, answered with success, in which the entry read
its backend that way. Earliest and latest times are what makes it work over a fleet: facts that were
observed apart, one instance each, tell when merged whether an instance served an entity for the
first time, whether another had served it before, and whether it read for it then.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from detectors.kit.alike import alike, flags
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
from detectors.kit.merge import none
from detectors.kit.sampling import LEVEL, at_level, in_sample, mix
from detectors.kit.traits import Trait, has
from detectors.kit.work import CREATING, WRITING, answered, refused

IDENTITIES = ("actor", "path", "key")
Identity = pl.Enum(IDENTITIES)

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
    max_rows = 30_000
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

    def observe(self, spans: pl.DataFrame, level: int = 0) -> pl.DataFrame:
        """Rows of requests, then of reads, both per identity of the entry.

        Not grouped: most rows have a key of their own, and the engine groups those that do not.
        """
        entries = _served(spans, level)
        known = list(_identified(entries, spans, level)) if entries.height else []
        if not known:
            return none(self)
        answering = [those.filter("answered") for those in known]
        reads = _reads(spans, pl.concat([those["entry"] for those in answering]))
        requests = [those.select(_REQUEST) for those in known]
        asked = [reads.join(those, on="entry").select(_ASKED) for those in answering]
        return pl.concat([*requests, *asked]).with_columns(at_level(level))


def _served(spans: pl.DataFrame, level: int) -> pl.DataFrame:
    """SERVER entries of known instances, but those that are surely not in the sample."""
    entries = spans[_SERVED_NEEDS].filter(_SERVED).with_columns(_ENDED)
    if not level:
        return entries
    kept = (in_sample(pl.col(c), level).fill_null(value=False) for c in ("actor", "path"))
    return entries.filter(pl.any_horizontal(*kept, _BARE))


_SERVED_NEEDS = [
    *("entry", *_WHO, "entry_label", *_SPAN_KEYS, "actor", "entity", "is_entry", "kind", "traits"),
    *("http_status", "rpc_status", "status", "operation"),
]
_SERVED = (
    pl.col("is_entry")
    & (pl.col("kind") == "server")
    & pl.col("instance").is_not_null()
    & ~has(Trait.HEALTH)
)
_ENDED = (
    pl.col("entity").alias("path"),
    answered(),
    refused(),
    (pl.col("http_status").fill_null(500) >= 500).alias("broken"),
    pl.col("operation").is_in(CREATING).fill_null(value=False).alias("creating"),
    pl.col("operation").is_in(WRITING).fill_null(value=False).alias("writing"),
)
_BARE = pl.col("actor").is_null() & pl.col("path").is_null()


def _identified(entries: pl.DataFrame, spans: pl.DataFrame, level: int) -> Iterator[pl.DataFrame]:
    """Entries once for each identity that they have: a cache key where there is nothing else."""
    commands = spans[_COMMAND_NEEDS].filter(_COMMAND)
    cached = flags(spans, commands.filter(_READS_ONE)["entry"])
    entries = entries.with_columns(cached=pl.Series(cached[entries["entry"]]))
    for identity in IDENTITIES:
        those = _keyed(entries, commands) if identity == "key" else entries
        if those[identity].null_count() == those.height:
            continue
        known = pl.col(identity).is_not_null() & in_sample(pl.col(identity), level)
        told = pl.lit(identity, dtype=Identity).alias("identity")
        yield those.filter(known).with_columns(told, pl.col(identity).alias("entity"))


_COMMAND_NEEDS = ["entry", "entry_kind", "category", "key", "traits"]
_COMMAND = (pl.col("entry_kind") == "server") & (pl.col("category") == "cache")
_READS_ONE = has(Trait.SINGLE_KEY) & has(Trait.READ)


def _keyed(entries: pl.DataFrame, commands: pl.DataFrame) -> pl.DataFrame:
    """Entries of which nothing is known but the one key that all of their cache commands have."""
    bare = entries.filter(_BARE)
    theirs = commands.join(bare, on="entry", how="semi")
    return bare.join(theirs.group_by("entry").agg(_ONE_KEY), on="entry")


_ONE_KEY = (
    pl.when((pl.col("key").min() == pl.col("key").max()) & (pl.col("key").null_count() == 0))
    .then(pl.col("key").first())
    .alias("key")
)


def _reads(spans: pl.DataFrame, entries: pl.Series) -> pl.DataFrame:
    """What some entries read from their backends: a row per entry and kind of read."""
    theirs = pl.Series(flags(spans, entries)[spans["entry"]])
    reads = spans[_READ_NEEDS].with_columns(theirs.alias("asked")).filter(_READING)
    reads = reads.with_columns(_SHAPE)
    several = pl.Series(alike(reads.select(_KIND_OF_READ).to_series()))
    grouped = reads.filter(several).group_by("entry", "shape").agg(_SUMMED)
    return pl.concat([reads.filter(~several).select("entry", "shape", *_ALONE), grouped])


_READ_NEEDS = [
    *("entry", "entry_kind", "is_entry", "kind", "category", "work", "traits", "shape", "label"),
    *("operation", "target", "predicate", "start_ns", "duration_ns"),
]
_READING = (
    pl.col("asked")
    & (pl.col("entry_kind") == "server")
    & pl.col("kind").is_in(["client", "internal"])
    & ~pl.col("is_entry")
    & (
        (pl.col("work") == "query")
        | ((pl.col("work") == "call") & (has(Trait.READ) | (pl.col("category") == "rpc")))
    )
)
_SHAPE = pl.coalesce("shape", "label").alias("shape")
_KIND_OF_READ = mix(pl.col("entry").cast(pl.UInt64), pl.col("shape"))
_ALONE = (
    pl.col("operation").alias("read_operation"),
    *("target", "predicate"),
    pl.col("duration_ns").alias("spent_ns"),
    pl.col("start_ns").alias("read_ns"),
    pl.col("label").alias("read_label"),
    pl.lit(1, dtype=pl.Int64).alias("n"),
)
_SUMMED = (
    pl.col("operation").min().alias("read_operation"),
    pl.col("target", "predicate").min(),
    pl.col("duration_ns").sum().alias("spent_ns"),
    pl.col("start_ns").min().alias("read_ns"),
    pl.col("label").min().alias("read_label"),
    pl.len().cast(pl.Int64).alias("n"),
)
"""As `_ALONE`, of several reads of one kind in one entry."""


def _measures() -> Iterator[pl.Expr]:
    """What is added up of each entry."""
    ok, failed = pl.col("answered"), pl.col("refused")
    creating, writing = ok & pl.col("creating"), ok & pl.col("writing")
    start = pl.col("entry_start_ns")
    end = start + pl.col("entry_duration_ns")
    yield pl.lit(1, dtype=pl.Int64).alias("requests")
    yield ok.alias("ok")
    yield failed.alias("failed")
    yield (failed & pl.col("broken")).alias("broken")
    yield pl.col("cached")
    yield creating.alias("created")
    yield start.alias("first_ns")
    yield start.alias("last_ns")
    yield pl.when(ok).then(start).alias("first_ok_ns")
    yield pl.when(ok).then(end).alias("first_done_ns")
    yield pl.when(ok).then(start).alias("last_ok_ns")
    yield pl.when(failed).then(start).alias("first_failed_ns")
    yield pl.when(failed).then(start).alias("last_failed_ns")
    yield pl.when(creating).then(end).alias("created_ns")
    yield pl.when(writing).then(end).alias("written_ns")


def _exemplar(first: pl.Expr, last: pl.Expr, n: pl.Expr, label: pl.Expr) -> pl.Expr:
    """A list of one struct that ranks earlier entries first."""
    struct = pl.struct(
        (-pl.col("entry_start_ns")).alias("score"),
        *_SPAN_KEYS,
        first.alias("first_ns"),
        last.alias("last_ns"),
        n.alias("n"),
        label.alias("label"),
    )
    return pl.concat_list(struct).alias("exemplars")


def _whole_entry() -> pl.Expr:
    start = pl.col("entry_start_ns")
    end = start + pl.col("entry_duration_ns")
    return _exemplar(start, end, pl.lit(1, dtype=pl.Int64), pl.col("entry_label"))


def _read_of_entry() -> pl.Expr:
    start = pl.col("read_ns")
    end = start + pl.col("spent_ns")
    return _exemplar(start, end, pl.col("n"), pl.col("read_label"))


_ENTRY: tuple[pl.Expr | str, ...] = (
    pane(pl.col("entry_start_ns"), Entities.pane_seconds),
    *(*_WHO, "identity", "entity", "entry_label"),
    *_measures(),
)
_REQUEST = (
    *_ENTRY,
    *(pl.lit(None, dtype=pl.UInt64).alias(c) for c in _READ),
    pl.when("refused").then("entry_duration_ns").otherwise(0).alias("spent_ns"),
    pl.when("refused").then(_whole_entry()).alias("exemplars"),
)
_ASKED = (*_ENTRY, *_READ, "spent_ns", _read_of_entry())


TABLE: SampledTable = Entities()

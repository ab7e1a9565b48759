"""Cache-aside as spans show it: what an entry looks up, reads from the database and fills.

Spans say neither hit nor miss, and keys are often masked, so the C family rests on the order of
commands within an entry::

    shop   GET /products/5            |==================|
    shop     GET product:5 (cache)     |=|                         a lookup
    shop     SELECT products by id         |====|                  `looked`
    shop     SET product:5 (cache)                |=|              `filled`: a sandwich

`look_aside` adds the columns `ASIDE` to whole traces once, over numpy columns, for all tables that
ask. Nothing here decides what is a miss: rules do, from many entries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from detectors.kit import forest, native
from detectors.kit.columns import CATEGORIES, STATUSES, Column
from detectors.kit.forest import Ids, Mask, Rows
from detectors.kit.texts import code
from detectors.kit.traits import Trait

EXPIRIES = ("none", "some", "unknown")
Expiry = pl.Enum(EXPIRIES)
"""Whether a fill carries a time to live; unknown where the arguments of a command are not shown."""

ASIDE: tuple[Column, ...] = (
    Column("entry_ok", pl.Boolean, "flag", "the entry succeeded: no error, status below 400"),
    Column("entry_path", pl.UInt64, "hash", "`path` of the entry"),
    Column("entry_entity", pl.UInt64, "hash", "`entity` of the entry"),
    Column("entry_actor", pl.UInt64, "hash", "`actor` of the entry"),
    Column("lookups", pl.Int64, "number", "cache reads of the entry"),
    Column("fills", pl.Int64, "number", "cache fills of the entry"),
    Column("value_writes", pl.Int64, "number", "fills but those of keys it did not look up"),
    Column("evictions", pl.Int64, "number", "cache deletes of the entry"),
    Column("bumped", pl.Boolean, "flag", "the entry publishes or counts up: versions of keys"),
    Column("looked", pl.Boolean, "flag", "a cache read of the entry started before the span"),
    Column("lookup_key", pl.UInt64, "hash", "key of the last cache read before that shows it"),
    Column("lookup_hit", pl.Boolean, "flag", "`hit` of that cache read"),
    Column("filled", pl.Boolean, "flag", "looked, and a fill (of that key) follows in the entry"),
    Column("expiry", Expiry, "enum", "whether that fill expires; null when none follows"),
    Column("refreshed", pl.Boolean, "flag", "a fill follows in the entry"),
    Column("cleared", pl.Boolean, "flag", "a cache delete follows in the entry"),
    Column("cleared_before", pl.Boolean, "flag", "a cache delete went before in the entry"),
)
"""Columns beside `SPAN_COLUMNS` and `STRUCTURE`; of spans without an entry span they are false."""

_NEEDED = (
    *("category", "status", "traits", "trace", "start_ns", "entry", "entry_span", "is_entry"),
    *("system", "operation", "key", "hit", "http_status", "path", "entity", "actor"),
)
"""The columns that `ASIDE` is made of."""
BUMPS = tuple(code(w) for w in ("INCR", "INCRBY", "HINCRBY", "PUBLISH", "SPUBLISH", "XADD", "incr"))
"""Commands that invalidate without a delete: versions of keys, and messages to whoever caches."""
MEMCACHED = code("memcached")


def look_aside(spans: pl.DataFrame) -> pl.DataFrame:
    """Structured spans in order (`structure.assemble`) -> with the columns `ASIDE`."""
    if not spans.height:
        return spans.with_columns(pl.Series(c.name, [], c.dtype) for c in ASIDE)
    if (kernels := native.kernels()) is not None:
        made = native.made(kernels.aside, spans, _NEEDED)
        if made is not None:
            return spans.hstack(made)
    order = _settled(spans)
    if order is None:
        return spans.with_columns(_aside(spans))
    found = pl.DataFrame(_aside(spans[order]))
    return spans.with_columns(found[np.argsort(order)])


def _settled(spans: pl.DataFrame) -> Rows | None:
    """An order in which commands of one start follow as a cache is used; None: no two have one.

    Some clocks tick by the millisecond (all of OpenTelemetry for JavaScript starts spans so), and
    three commands may start within one: then lookups come first, then the database, then the rest.
    """
    category = forest.physical(spans, "category")
    cache, db = (category == CATEGORIES.index(name) for name in ("cache", "db"))
    start, trace = forest.times(spans, "start_ns"), spans["trace"].to_numpy()
    command = cache | db
    same = (start[1:] == start[:-1]) & (trace[1:] == trace[:-1]) & command[1:] & command[:-1]
    if not same.any():
        return None
    traits = spans["traits"].to_numpy()
    looks = cache & ((traits & int(Trait.READ)) != 0) & ((traits & int(Trait.FILL)) == 0)
    rank = np.where(looks, 0, np.where(db, 1, 2))
    run = np.cumsum(np.append(True, ~same))
    tied = np.append(False, same) | np.append(same, False)
    return np.lexsort((np.where(tied, rank, 0), run))


def _aside(spans: pl.DataFrame) -> list[pl.Series]:
    """The columns `ASIDE` of spans in the order in which they happened."""
    entry = spans["entry"].to_numpy().astype(np.int64)
    cache = _Commands.of(spans, entry)
    rows = np.arange(len(entry))
    looked = cache.first(cache.lookup)[entry] < rows
    refreshed = cache.last(cache.fill)[entry] > rows

    def counted(these: Rows) -> pl.Series:
        return pl.Series(np.bincount(entry[these], minlength=cache.entries)[entry], dtype=pl.Int64)

    found: dict[str, pl.Series] = {
        **_of_entries(spans, entry, cache.entries),
        "lookups": counted(cache.rows[cache.lookup]),
        "fills": counted(cache.rows[cache.fill]),
        "value_writes": counted(cache.value_writes()),
        "evictions": counted(cache.rows[cache.evict]),
        "bumped": pl.Series(cache.last(cache.bump)[entry] >= 0),
        "looked": pl.Series(looked),
        **_around_reads(spans, cache, looked),
        "refreshed": pl.Series(refreshed),
        "cleared": pl.Series(cache.last(cache.evict)[entry] > rows),
        "cleared_before": pl.Series(cache.first(cache.evict)[entry] < rows),
    }
    return [found[c.name].alias(c.name) for c in ASIDE]


def _of_entries(spans: pl.DataFrame, entry: Rows, entries: int) -> dict[str, pl.Series]:
    """What is told of the entry of each row: null where its span is missing."""
    rows = np.flatnonzero(spans["is_entry"].to_numpy())
    own = np.full(entries, -1)
    own[entry[rows]] = rows
    places = pl.Series(own[entry])
    above = spans.select(
        ((pl.col("status") != "error") & (pl.col("http_status").fill_null(0) < 400)).alias(
            "entry_ok"
        ),
        pl.col("path").alias("entry_path"),
        pl.col("entity").alias("entry_entity"),
        pl.col("actor").alias("entry_actor"),
    )[places.clip(lower_bound=0)]
    missing = places < 0
    if missing.any():
        above = above.with_columns(pl.when(~missing).then(pl.all()))
    return {name: above[name] for name in above.columns}


@dataclass(frozen=True, slots=True)
class _Commands:
    """Successful cache commands of entries that have a span: their rows, ascending, what each is.

    entry, entries: that of each span, and how many. shown: whether arguments are. key: 0 where it
    is masked or there are several.
    """

    entry: Rows
    entries: int
    rows: Rows
    lookup: Mask
    fill: Mask
    evict: Mask
    expire: Mask
    bump: Mask
    shown: Mask
    key: Ids

    @classmethod
    def of(cls, spans: pl.DataFrame, entry: Rows) -> _Commands:
        """Found by category, traits and verb. entry: the entry of each row of `spans`."""
        wanted = forest.physical(spans, "category") == CATEGORIES.index("cache")
        wanted &= forest.present(spans, "entry_span")
        wanted &= forest.physical(spans, "status") != STATUSES.index("error")
        rows = np.flatnonzero(wanted)
        some = spans.select("traits", "system", "operation", "key")[rows]
        traits = some["traits"].to_numpy()

        def has(trait: Trait) -> Mask:
            return np.asarray((traits & int(trait)) != 0)

        return cls(
            entry,
            int(entry.max()) + 1,
            rows,
            has(Trait.READ) & ~has(Trait.FILL),
            has(Trait.FILL),
            has(Trait.EVICT),
            has(Trait.EXPIRES),
            np.isin(forest.ids(some, "operation"), np.array(BUMPS, np.uint64)),
            has(Trait.PARAMETERS) & (forest.ids(some, "system") != MEMCACHED),
            np.where(has(Trait.LISTED), np.uint64(0), forest.ids(some, "key")),
        )

    def first(self, these: Mask) -> Rows:
        """The first row of such commands in each entry; a row beyond all where there is none."""
        rows = self.rows[these]
        found = np.full(self.entries, len(self.entry))
        found[self.entry[rows][::-1]] = rows[::-1]
        return found

    def last(self, these: Mask) -> Rows:
        """The last row of such commands in each entry; -1 where there is none."""
        rows = self.rows[these]
        found = np.full(self.entries, -1)
        found[self.entry[rows]] = rows
        return found

    def value_writes(self) -> Rows:
        """Rows of fills, without those of a visible key of which no lookup is seen."""
        keyed = self.fill & (self.key != 0)
        if not keyed.any():
            return self.rows[self.fill]
        of = self.entry[self.rows]
        pairs = _pairs(of, self.key)
        masked = of[self.lookup & (self.key == 0)]
        matched = np.isin(pairs, pairs[self.lookup]) | np.isin(of, masked)
        return np.asarray(self.rows[self.fill & (matched | ~keyed)])


def _pairs(entry: Rows, key: Ids) -> Ids:
    """One number per (entry, key)."""
    return np.asarray((entry.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ key)


def _nearest(group: Rows, rows: Rows, of: Rows, at: Rows, *, after: bool) -> Rows:
    """For each row `at` of group `of`: the nearest of `rows` in its group after or before it.

    -1 where there is none. group: that of each of `rows`.
    """
    if not len(rows) or not len(at):
        return np.full(len(at), -1)
    width = int(max(rows.max(), at.max())) + 1
    places = np.sort(group * width + rows)
    found = np.searchsorted(places, of * width + at, side="right" if after else "left")
    found -= 0 if after else 1
    nearest = places[np.clip(found, 0, len(places) - 1)]
    inside = (found >= 0) & (found < len(places)) & (nearest // width == of)
    return np.asarray(np.where(inside, nearest % width, -1))


def _around_reads(spans: pl.DataFrame, cache: _Commands, looked: Mask) -> dict[str, pl.Series]:
    """`lookup_key`, `lookup_hit`, `filled` and `expiry` of the database reads that looked."""
    is_db = forest.physical(spans, "category") == CATEGORIES.index("db")
    is_read = (spans["traits"].to_numpy() & int(Trait.READ)) != 0
    reads = np.flatnonzero(is_db & is_read & looked)
    hits = spans["hit"]
    told = (cache.key != 0) | hits[cache.rows].is_not_null().to_numpy()
    telling = cache.rows[cache.lookup & told]
    entry = cache.entry
    before = _nearest(entry[telling], telling, entry[reads], reads, after=False)
    key = np.zeros(len(entry), np.uint64)
    key[cache.rows] = cache.key
    lookup_key = np.where(before >= 0, key[np.maximum(before, 0)], np.uint64(0))
    fill = _next_fill(cache, reads, lookup_key, key)
    filled = np.zeros(len(entry), np.bool_)
    filled[reads] = fill >= 0
    found = pl.DataFrame(
        {
            "lookup_key": pl.Series(lookup_key),
            "lookup_hit": hits[pl.Series(np.maximum(before, 0))],
            "before": pl.Series(before),
            "expiry": _expiry(cache, fill),
        }
    ).select(
        pl.when(pl.col("lookup_key") != 0).then("lookup_key").alias("lookup_key"),
        pl.when(pl.col("before") >= 0).then("lookup_hit").alias("lookup_hit"),
        "expiry",
    )
    return {"filled": pl.Series(filled), **_scattered(found, reads, len(entry))}


def _scattered(found: pl.DataFrame, rows: Rows, height: int) -> dict[str, pl.Series]:
    """Columns of some rows as columns of all, null elsewhere."""
    place = np.full(height, len(rows))
    place[rows] = np.arange(len(rows))
    padded = pl.concat([found, found.clear(1)])
    return {name: padded[name][pl.Series(place)] for name in found.columns}


def _next_fill(cache: _Commands, reads: Rows, lookup_key: Ids, key: Ids) -> Rows:
    """The first fill after each read in its entry, of its key where both show one; -1: none."""
    fills = cache.rows[cache.fill]
    of = cache.entry[reads]
    following = _nearest(cache.entry[fills], fills, of, reads, after=True)
    picky = np.flatnonzero((lookup_key != 0) & (following >= 0))
    keyed = fills[key[fills] != 0]
    if not len(picky) or not len(keyed):
        return following
    masked = fills[key[fills] == 0]
    asked = reads[picky]
    any_key = _nearest(cache.entry[masked], masked, cache.entry[asked], asked, after=True)
    known, group = np.unique(_pairs(cache.entry[keyed], key[keyed]), return_inverse=True)
    pairs = _pairs(cache.entry[asked], lookup_key[picky])
    wanted = np.minimum(np.searchsorted(known, pairs), len(known) - 1)
    same_key = _nearest(group, keyed, wanted, asked, after=True)
    same_key[known[wanted] != pairs] = -1
    either = np.minimum(any_key.view(np.uint64), same_key.view(np.uint64)).view(np.int64)
    following[picky] = either
    return following


def _expiry(cache: _Commands, fill: Rows) -> pl.Series:
    """Whether each fill (a row, -1: none) expires by itself or by a later command; null: none."""
    place = np.minimum(np.searchsorted(cache.rows, fill), max(len(cache.rows) - 1, 0))
    if not len(cache.rows):
        return pl.Series([None] * len(fill), dtype=Expiry)
    later = cache.last(cache.expire)[cache.entry[np.maximum(fill, 0)]] >= fill
    codes = np.where(later, 1, np.where(cache.shown[place], 0, 2)).astype(np.uint8)
    return pl.select(
        pl.when(pl.Series(fill) >= 0).then(pl.Series(codes).cat.to(Expiry))
    ).to_series()

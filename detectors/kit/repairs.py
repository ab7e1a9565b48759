"""Repairs spans before any rule looks: one operation becomes one span.

Instrumentations duplicate, split and multiply operations. Each case has one written rule here, and
each is counted (`repaired:duplicate`, `:cycle`, `:asgi`, `:driver_step`, `:cursor`, `:orm_driver`,
`:nested_client`; whole numbers of spans taken out or, for a cycle, cut from their parent). The
result depends on the set of spans, never on the order of rows.

Children of a span that is taken out move to the span that stands for it: its parent, or the span
it was folded into.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from detectors.kit import forest
from detectors.kit.columns import CATEGORIES, KINDS, STATUSES
from detectors.kit.forest import Ids, Mask, Rows
from detectors.kit.texts import code
from detectors.kit.traits import Trait

MAX_ATTEMPTS = 10
"""Inner HTTP spans that one call explains: botocore's legacy retry mode makes up to 10 attempts."""

_MONGODB = code("mongodb")


def repair(spans: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Span columns of whole traces, any row order -> the same columns in canonical order, counts.

    Canonical order: (trace_hi, trace_lo, start_ns, -duration_ns, span_id). Clean input costs one
    sort and a look at the candidates' columns.
    """
    if not spans.height:
        return spans, {}
    bench = _Bench.lay_out(spans)
    for step in _STEPS:
        step(bench)
    return bench.result(), bench.counts


@dataclass(slots=True)
class _Bench:
    """The spans under repair: columns in canonical order, changes noted until the end.

    parent: row of the parent or -1; parent_id, named: its id and whether there is one.
    cells: new values by column: (rows, values).
    """

    spans: pl.DataFrame
    trace: Rows
    parent: Rows
    parent_id: Ids
    named: Mask
    alive: Mask
    traits: int
    counts: dict[str, int] = field(default_factory=dict)
    moved: bool = False
    cells: dict[str, list[tuple[Rows, pl.Series]]] = field(default_factory=dict)

    @classmethod
    def lay_out(cls, spans: pl.DataFrame) -> _Bench:
        """Puts the spans in order, takes exact duplicates out and finds the parents."""
        order = forest.canonical_order(spans)
        if order.rows is not None:
            spans = spans[order.rows]
        trace, span = order.trace, forest.ids(spans, "span_id")
        doubles = _doubles(spans, trace, span)
        if len(doubles):
            kept = np.ones(len(trace), np.bool_)
            kept[doubles] = False
            spans, trace, span = spans.filter(pl.Series(kept)), trace[kept], span[kept]
        parent_id = forest.ids(spans, "parent_span_id").copy()
        named = forest.present(spans, "parent_span_id").copy()
        parent = forest.find_rows(trace, span, parent_id, named)
        traits = int(np.bitwise_or.reduce(spans["traits"].fill_null(0).to_numpy()))
        alive = np.ones(len(trace), np.bool_)
        bench = cls(spans, trace, parent, parent_id, named, alive, traits)
        bench.count("duplicate", len(doubles))
        return bench

    def count(self, reason: str, spans: int) -> None:
        if spans:
            self.counts[f"repaired:{reason}"] = spans

    def rows_with(self, trait: Trait) -> Rows:
        """Rows still there that have the trait."""
        if not self.traits & trait:
            return np.empty(0, np.int64)
        return np.flatnonzero(self.alive & ((self.spans["traits"].to_numpy() & int(trait)) != 0))

    def ids(self, name: str, rows: Rows) -> Ids:
        """A UInt64 column at some rows, nulls as 0."""
        return forest.ids(self.spans, name)[rows]

    def siblings(self, rows: Rows) -> tuple[Ids, ...]:
        """Key columns that spans of one parent in one service share."""
        return (
            self.trace[rows].astype(np.uint64),
            self.named[rows].astype(np.uint64),
            self.parent_id[rows],
            self.ids("service", rows),
        )

    def set(self, column: str, rows: Rows, values: pl.Series) -> None:
        """Note new values of a column."""
        if len(rows):
            self.cells.setdefault(column, []).append((rows, values))

    def remove(self, reason: str, rows: Rows, heirs: Rows | None = None) -> None:
        """Take spans out. Their children go to `heirs`, which stay, or to their own parents."""
        if not len(rows):
            return
        self.count(reason, len(rows))
        self.alive[rows] = False
        step = np.arange(len(self.parent))
        if heirs is not None:
            step[rows] = heirs
        else:  # one whose own parent is unknown stands for that unknown parent
            step[rows] = np.where(self.parent[rows] >= 0, self.parent[rows], rows)
        heir = forest.climb(step)
        moved = np.flatnonzero(self.alive & (self.parent >= 0) & ~self.alive[self.parent])
        if not len(moved):
            return
        self.moved = True
        above = heir[self.parent[moved]]
        there = self.alive[above]
        span = forest.ids(self.spans, "span_id")
        self.parent_id[moved] = np.where(there, span[above], self.parent_id[above])
        self.named[moved] = there | self.named[above]
        self.parent[moved] = np.where(there, above, -1)

    def result(self) -> pl.DataFrame:
        """The spans that are left, with all changes."""
        frame = self.spans
        for column, changes in self.cells.items():
            values = frame[column]
            for rows, new in changes:
                values = values.scatter(pl.Series(rows), new)
            frame = frame.with_columns(values.alias(column))
        if self.moved:
            ids = pl.Series("parent_span_id", self.parent_id)
            named = pl.Series("named", self.named)
            frame = frame.with_columns(pl.when(named).then(ids).alias("parent_span_id"))
        return frame if self.alive.all() else frame.filter(pl.Series(self.alive))


def _doubles(spans: pl.DataFrame, trace: Rows, span: Ids) -> Rows:
    """Rows whose span id occurred in the trace before: the earliest, then longest is kept."""
    keys = np.sort(forest.spread(trace.astype(np.uint64), span))
    if not np.any(keys[1:] == keys[:-1]):
        return np.empty(0, np.int64)
    order = np.lexsort((np.arange(len(span)), span, trace))
    same = (span[order][1:] == span[order][:-1]) & (trace[order][1:] == trace[order][:-1])
    involved = np.zeros(len(span), np.bool_)
    involved[order[1:][same]] = True
    involved[order[:-1][same]] = True
    rows = np.flatnonzero(involved)
    # Copies may differ in any column: comparing all of them makes the choice independent of order.
    among = spans[rows].with_columns(
        pl.col("links").list.eval(pl.element().cast(pl.String)).list.join(",")
    )
    ranked = among.select(
        pl.struct(
            "start_ns",
            -pl.col("duration_ns"),
            pl.all().exclude("start_ns", "duration_ns"),
        )
        .rank("ordinal")
        .alias("rank")
    )["rank"].to_numpy()
    best = np.lexsort((ranked, span[rows], trace[rows]))
    ids, traces = span[rows][best], trace[rows][best]
    again = np.zeros(len(rows), np.bool_)
    again[1:] = (ids[1:] == ids[:-1]) & (traces[1:] == traces[:-1])
    return rows[best[again]]


def _cut_cycles(bench: _Bench) -> None:
    """The earliest span of a cycle of parents becomes a root."""
    cuts = forest.cycle_cuts(bench.parent)
    if len(cuts):
        bench.parent[cuts] = -1
        bench.parent_id[cuts] = 0
        bench.named[cuts] = False
        bench.moved = True
        bench.count("cycle", len(cuts))


def _drop_asgi(bench: _Bench) -> None:
    """ASGI send and receive events are no operations."""
    bench.remove("asgi", bench.rows_with(Trait.NOISE))


def _drop_driver_steps(bench: _Bench) -> None:
    """Prepare, rows and reset belong to the query that has its own span."""
    bench.remove("driver_step", bench.rows_with(Trait.LOCAL_STEP))


def _fold_get_more(bench: _Bench) -> None:
    """A MongoDB getMore continues the last read of its collection under the same parent."""
    more = bench.rows_with(Trait.CURSOR)
    more = more[bench.ids("system", more) == np.uint64(_MONGODB)]
    if not len(more):
        return
    reads = bench.rows_with(Trait.READ)
    reads = reads[bench.ids("system", reads) == np.uint64(_MONGODB)]
    rows = np.sort(np.concatenate((np.setdiff1d(reads, more), more)))
    group, rows = _grouped((*bench.siblings(rows), bench.ids("target", rows)), rows)
    is_more = np.isin(rows, more)
    place = np.arange(len(rows))
    last_read = np.maximum.accumulate(np.where(is_more, -1, place))
    found = is_more & (last_read >= 0)
    found &= group[np.maximum(last_read, 0)] == group
    folded, heads = rows[found], rows[last_read[found]]
    _extend(bench, folded, heads)
    bench.remove("cursor", folded, heads)


def _collapse_cursors(bench: _Bench) -> None:
    """The fetches of one cursor become one query from the first start to the last end."""
    rows = bench.rows_with(Trait.CURSOR)
    if not len(rows):
        return
    keys = (bench.ids(n, rows) for n in ("scope", "shape", "target", "values"))
    group, rows = _grouped((*bench.siblings(rows), *keys), rows)
    heads = rows[np.flatnonzero(np.diff(group, prepend=-1))][group]
    later = rows != heads
    _extend(bench, rows[later], heads[later])
    bench.set("repeat", np.unique(heads), pl.Series([1], dtype=pl.Int32))
    bench.remove("cursor", rows[later], heads[later])


def _extend(bench: _Bench, folded: Rows, heads: Rows) -> None:
    """Heads last until the last folded span ends, and fail when one of them failed."""
    start, duration = (forest.times(bench.spans, n) for n in ("start_ns", "duration_ns"))
    end = start + duration
    np.maximum.at(end, heads, end[folded])
    ends = np.unique(heads)
    bench.set("duration_ns", ends, pl.Series((end - start)[ends]))
    status = forest.physical(bench.spans, "status")
    failed = (status[folded] == STATUSES.index("error")) & (status[heads] != status[folded])
    order = np.lexsort((folded[failed], heads[failed]))
    failing, places = np.unique(heads[failed][order], return_index=True)
    source = folded[failed][order][places]
    for column in ("status", "error_type"):
        bench.set(column, failing, bench.spans[column][source])


def _merge_orm_and_driver(bench: _Bench) -> None:
    """An ORM span and its driver's span of the same statement are one query.

    Siblings in one service with one shape and two scopes, or parent and child. The scope with the
    longer spans is the ORM's: its spans stay and take what only the driver's saw. A driver span goes
    when an ORM span that began before it ends after it, one for each ORM span: so parallel and
    interleaved queries keep their number. Twice as many driver spans as ORM spans are no pairs.
    """
    rows = _statement_rows(bench)
    if not len(rows):
        return
    keys = (*bench.siblings(_under_orm(bench, rows)), bench.ids("shape", rows))
    scope = bench.ids("scope", rows)
    mixed = forest.spread(keys[0], keys[2]) ^ forest.spread(keys[3], keys[4]) ^ keys[1]
    rows = rows[_in_mixed_groups(mixed, scope)]
    if not len(rows):
        return
    keys = (*bench.siblings(_under_orm(bench, rows)), bench.ids("shape", rows))
    group, rows = _grouped(keys, rows)
    inner, outer = _pairs(bench, group, rows)
    for column in ("values", "rows"):
        gap = bench.spans[column].is_null().to_numpy()
        known = gap[outer] & ~gap[inner]
        bench.set(column, outer[known], bench.spans[column][inner[known]])
    bench.remove("orm_driver", inner, outer)


def _statement_rows(bench: _Bench) -> Rows:
    """Rows of database statements, none when they all come from one scope."""
    category = forest.physical(bench.spans, "category")
    db, cache = CATEGORIES.index("db"), CATEGORIES.index("cache")
    shaped = forest.present(bench.spans, "shape")
    rows = np.flatnonzero(bench.alive & ((category == db) | (category == cache)) & shaped)
    scope = bench.ids("scope", rows)
    return rows if len(rows) and np.any(scope != scope[0]) else rows[:0]


def _under_orm(bench: _Bench, rows: Rows) -> Rows:
    """The rows; one whose parent runs the same statement in another scope counts as its sibling."""
    above = np.maximum(bench.parent[rows], 0)
    nested = bench.parent[rows] >= 0
    nested &= bench.ids("shape", rows) == bench.ids("shape", above)
    nested &= bench.ids("scope", rows) != bench.ids("scope", above)
    nested &= bench.ids("service", rows) == bench.ids("service", above)
    return np.where(nested, above, rows)


def _in_mixed_groups(key: Ids, scope: Ids) -> Mask:
    """Rows whose key occurs with more than one scope. A collision of keys only costs time."""
    order = np.argsort(key)
    sorted_key, sorted_scope = key[order], scope[order]
    begins = np.flatnonzero(np.diff(sorted_key, prepend=~sorted_key[:1]) != 0)
    lowest = np.minimum.reduceat(sorted_scope, begins)
    mixed = lowest != np.maximum.reduceat(sorted_scope, begins)
    found = np.empty(len(key), np.bool_)
    found[order] = np.repeat(mixed, np.diff(begins, append=len(key)))
    return found


def _pairs(bench: _Bench, group: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """Driver rows and the ORM rows that stand for them. `rows` by group, then canonical order."""
    start, duration = (forest.times(bench.spans, n)[rows] for n in ("start_ns", "duration_ns"))
    scope = bench.ids("scope", rows)
    outer_scope = _longest_scope(group, scope, duration)
    is_inner = scope != outer_scope[group]
    order = np.lexsort((is_inner, -duration, start, group))
    group, rows, is_inner = group[order], rows[order], is_inner[order]
    end = (start + duration)[order]
    outer_end = np.where(is_inner, 0, end - end.min() + 1)
    reached = _within_groups(outer_end, group)
    inside = is_inner & (end - end.min() + 1 <= reached)
    outers = np.flatnonzero(~is_inner)
    outer_count = np.bincount(group[outers], minlength=len(outer_scope))
    inner_count = np.bincount(group[is_inner], minlength=len(outer_scope))
    inside &= (inner_count <= 2 * outer_count)[group]
    chosen = np.flatnonzero(inside)
    rank = np.arange(len(chosen)) - np.searchsorted(group[chosen], group[chosen])
    fits = rank < outer_count[group[chosen]]
    chosen, rank = chosen[fits], rank[fits]
    nth = outers[np.searchsorted(group[outers], group[chosen]) + rank]
    nearest = outers[np.searchsorted(outers, chosen) - 1]
    even = (inner_count == outer_count)[group[chosen]]
    return rows[chosen], rows[np.where(even, nth, nearest)]


def _longest_scope(group: Rows, scope: Ids, duration: Rows) -> Ids:
    """Of each group the scope with the longest spans in all, the smaller code when equal."""
    order = np.lexsort((scope, group))
    by_group, by_scope = group[order], scope[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (by_group[1:] != by_group[:-1]) | (by_scope[1:] != by_scope[:-1])
    begins = np.flatnonzero(new)
    spent = np.add.reduceat(duration[order].astype(np.float64), begins)
    owner = by_group[begins]
    best = np.lexsort((by_scope[begins], -spent, owner))
    first = np.flatnonzero(np.diff(owner[best], prepend=-1))
    return by_scope[begins][best[first]]


def _within_groups(value: Rows, group: Rows) -> Rows:
    """Running maximum of `value` (>= 0) within each group; ranks cannot overflow as sums could."""
    order = np.lexsort((value, group))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return value[order][np.maximum.accumulate(rank)]


def _drop_nested_clients(bench: _Bench) -> None:
    """One HTTP call seen by two libraries of one process: the outer span stays."""
    kind = forest.physical(bench.spans, "kind")
    category = forest.physical(bench.spans, "category")
    client = kind == KINDS.index("client")
    calls = client & (category == CATEGORIES.index("http")) & bench.alive & (bench.parent >= 0)
    rows = np.flatnonzero(calls & client[bench.parent])
    rows = rows[_same_call(bench, rows, category)]
    if not len(rows):
        return
    attempts = np.bincount(bench.parent[rows], minlength=len(kind))
    bench.remove("nested_client", rows[attempts[bench.parent[rows]] <= MAX_ATTEMPTS])


def _same_call(bench: _Bench, rows: Rows, category: np.ndarray) -> Mask:
    """Which inner spans are the call of the span above: service, peer, method; another library."""
    above = bench.parent[rows]

    def agree(name: str) -> Mask:
        one, two = bench.ids(name, rows), bench.ids(name, above)
        return (one == two) | (one == 0) | (two == 0)

    http = category[above] == CATEGORIES.index("http")
    other = np.isin(category[above], [CATEGORIES.index(c) for c in ("rpc", "db", "messaging")])
    same = (http & agree("operation")) | other
    same &= bench.ids("service", rows) == bench.ids("service", above)
    return same & agree("peer") & (bench.ids("scope", rows) != bench.ids("scope", above))


def _grouped(keys: tuple[Ids, ...], rows: Rows) -> tuple[Rows, Rows]:
    """Dense group numbers and the rows, ordered by group, then as they came."""
    order = np.lexsort((rows, *keys))
    new = np.zeros(len(rows), np.int64)
    for key in keys:
        ordered = key[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    return np.cumsum(new), rows[order]


_STEPS: tuple[Callable[[_Bench], None], ...] = (
    _cut_cycles,
    _drop_asgi,
    _drop_driver_steps,
    _fold_get_more,
    _collapse_cursors,
    _merge_orm_and_driver,
    _drop_nested_clients,
)

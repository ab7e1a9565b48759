"""Pairs the span of an ORM with its driver's span of the same statement."""

from __future__ import annotations

import numpy as np

from detectors.kit import forest
from detectors.kit.bench import Bench, grouped
from detectors.kit.columns import CATEGORIES
from detectors.kit.forest import Ids, Mask, Rows

_HALF = (1 << 32) - 1


def merge_orm_and_driver(bench: Bench) -> None:
    """An ORM span and its driver's span of the same statement are one query.

    Siblings in one service with one shape and two scopes, or parent and child. The scope with the
    longer spans is the ORM's: its spans stay and take what only the driver's saw. A driver span
    goes when an ORM span that began before it ends after it, one for each ORM span: so parallel and
    interleaved queries keep their number. Twice as many driver spans as ORM spans are no pairs.
    """
    found = bench.suspects("statement_pairs")
    inner, outer = _statement_pairs(bench) if found is None else (found[::2], found[1::2])
    if not len(inner):
        return
    for column in ("values", "rows"):
        gap = bench.spans[column].is_null().to_numpy()
        known = gap[outer] & ~gap[inner]
        bench.set(column, outer[known], bench.spans[column][inner[known]])
    bench.remove("orm_driver", inner, outer)


def _statement_pairs(bench: Bench) -> tuple[Rows, Rows]:
    """Driver rows and the ORM rows that stand for them."""
    rows = _statement_rows(bench)
    if len(rows):
        rows = _shared(bench, rows)
    if not len(rows):
        return rows, rows
    keys = (*bench.siblings(_under_orm(bench, rows)), bench.ids("shape", rows))
    return _pairs(bench, *grouped(keys, rows))


def _shared(bench: Bench, rows: Rows) -> Rows:
    """Rows of statements that siblings from another scope share."""
    keys = (*bench.siblings(_under_orm(bench, rows)), bench.ids("shape", rows))
    scope = bench.ids("scope", rows)
    mixed = forest.spread(keys[0], keys[2]) ^ forest.spread(keys[3], keys[4]) ^ keys[1]
    return rows[_in_mixed_groups(mixed, scope)]


def _statement_rows(bench: Bench) -> Rows:
    """Rows of database statements, none when they all come from one scope."""
    category = forest.physical(bench.spans, "category")
    db, cache = CATEGORIES.index("db"), CATEGORIES.index("cache")
    shaped = forest.present(bench.spans, "shape")
    rows = np.flatnonzero(bench.alive & ((category == db) | (category == cache)) & shaped)
    scope = bench.ids("scope", rows)
    return rows if len(rows) and np.any(scope != scope[0]) else rows[:0]


def _under_orm(bench: Bench, rows: Rows) -> Rows:
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


def _pairs(bench: Bench, group: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """Driver rows and the ORM rows that stand for them. `rows` by group, then canonical order."""
    start, duration = (forest.times(bench.spans, n)[rows] for n in ("start_ns", "duration_ns"))
    scope = bench.ids("scope", rows)
    under = _under_orm(bench, rows) != rows
    outer_scope = _longest_scope(group, scope, np.where(under, -1, duration))
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
    inner, outer = rows[chosen], rows[np.where(even, nth, nearest)]
    apart = bench.parent[outer] != inner  # nobody is folded into a child
    return inner[apart], outer[apart]


def _longest_scope(group: Rows, scope: Ids, duration: Rows) -> Ids:
    """Of each group the scope with the longest spans in all, the smaller code when equal."""
    order = np.lexsort((scope, group))
    by_group, by_scope = group[order], scope[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (by_group[1:] != by_group[:-1]) | (by_scope[1:] != by_scope[:-1])
    begins = np.flatnonzero(new)
    upper, lower = (  # of the sum, which needs more than 64 bits
        np.add.reduceat(half[order], begins) for half in (duration >> 32, duration & _HALF)
    )
    upper += lower >> 32
    owner = by_group[begins]
    best = np.lexsort((by_scope[begins], -(lower & _HALF), -upper, owner))
    first = np.flatnonzero(np.diff(owner[best], prepend=-1))
    return by_scope[begins][best[first]]


def _within_groups(value: Rows, group: Rows) -> Rows:
    """Running maximum of `value` (>= 0) within each group; ranks cannot overflow as sums could."""
    order = np.lexsort((value, group))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return value[order][np.maximum.accumulate(rank)]

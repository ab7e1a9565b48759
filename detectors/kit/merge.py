"""Merging facts, derived from each table's own columns.

Keys are grouped by; sums, minima and maxima are what they say; the worst exemplars are the first
few of a total order. All of it is associative and commutative, and a row cap keeps it so: when a
table has too many rows, those with the smallest keyed hash stay, the same ones in every process. A
table that says what it is sampled by keeps whole subjects (`sampling.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
import polars as pl

from detectors.kit import sampling
from detectors.kit.alike import sorted_places
from detectors.kit.contract import EXEMPLARS_KEPT, FactColumn, FactsTable
from detectors.kit.forest import Ids, Rows
from detectors.kit.sampling import mix_all

PANE = "pane"


@cache
def schema(table: FactsTable) -> Mapping[str, sampling.DType]:
    """The columns of a facts frame: `pane` and the table's own."""
    return MappingProxyType({PANE: pl.Int64, **{c.name: c.dtype for c in table.columns}})


@cache
def keys(table: FactsTable) -> Sequence[str]:
    """The columns that make a row, `pane` first."""
    return (PANE, *(c.name for c in table.columns if c.merge == "key"))


@cache
def none(table: FactsTable) -> pl.DataFrame:
    """No facts. Made once: a frame of twenty columns takes longer than counting 1,000 spans."""
    return pl.DataFrame(schema=dict(schema(table)))


def merge(table: FactsTable, frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """One frame with a row per key, whatever the order and split of `frames`.

    Each of `frames` has a row per key itself. So what only one of them has panes of stays as it is:
    facts of a horizon cost little when those of the last seconds are added.
    """
    parts = [f for f in frames if f.height]
    if not parts:
        return none(table)
    if len(parts) == 1:
        return parts[0]
    if sum(f.height for f in parts) <= _FEW_ROWS:
        return ordered(table, _grouped(table, pl.concat(parts), keys(table)))
    parts = [f if f[PANE].is_sorted() else f.sort(PANE, maintain_order=True) for f in parts]
    whole = []
    for run in _runs([f[PANE].to_numpy() for f in parts]):
        slices = [parts[number][begin:end] for number, (begin, end) in run.items()]
        whole.append(slices[0] if len(slices) == 1 else regroup(table, pl.concat(slices)))
    return pl.concat(whole, rechunk=True)


Run = dict[int, tuple[int, int]]
"""Of parts, by number: the first and behind the last of their rows."""


def _runs(parts: Sequence[Rows]) -> list[Run]:
    """Ascending panes of parts -> their rows by runs of panes: of one part alone, or of several."""
    owners: dict[int, Run] = {}
    for number, panes in enumerate(parts):
        begins = np.flatnonzero(np.append(True, panes[1:] != panes[:-1])).tolist()
        for begin, end in zip(begins, [*begins[1:], len(panes)], strict=True):
            owners.setdefault(int(panes[begin]), {})[number] = (begin, end)
    runs: list[Run] = []
    for _, of in sorted(owners.items()):
        last = runs[-1] if runs else {}
        meets = len(of) > 1 and len(last) > 1
        if not (meets or (len(of) == 1 and of.keys() == last.keys())):
            runs.append({})
        for number, (begin, end) in of.items():
            runs[-1][number] = (runs[-1].get(number, (begin, 0))[0], end)
    return runs


def merge_within(
    table: FactsTable, frames: Iterable[pl.DataFrame], max_rows: int
) -> tuple[pl.DataFrame, int]:
    """`merge`, then `cap`; what the cap of a sampled table takes is not even merged."""
    parts = [f for f in frames if f.height]
    sampled, lost = sampling.sample_key(table), 0
    if sampled is not None and sum(f.height for f in parts) > max_rows:
        distinct = pl.concat(
            f.select(sampled).with_columns(_mix=mix_all(f, keys(table))) for f in parts
        ).unique("_mix")
        level, left = sampling.level_within(distinct[sampled], max_rows)
        lost = distinct.height - left
        parts = [sampling.at_least(f, sampled, level) for f in parts] if level else parts
    merged = merge(table, parts)
    kept, more = cap(table, merged, max_rows)
    return kept, lost + more


_FEW_ROWS = 4_096
"""Grouping so many costs less than looking which of them meet."""


def regroup(table: FactsTable, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with any number per key -> one per key, in canonical order (`ordered`).

    Few keys have several rows: only these are grouped, for looking costs a tenth of that. Rows of
    sampled tables are found by the numbers that put them in order: equal keys have equal numbers.
    Those that share one are grouped by their keys, so keys that happen to share it stay apart.

    There is one name for the rows, since each new frame takes the memory of the one before.
    """
    rows = rows.select(_fitted(table))
    if rows.height <= 1:
        return rows
    by = keys(table)
    if sampling.sample_key(table) is None:
        again = rows.select(by).is_duplicated()
        if again.any():
            rows = pl.concat([rows.filter(~again), _grouped(table, rows.filter(again), by)])
        return rows.sort(by)
    rows = rows.rechunk()  # or each gathered list is looked for in its chunk
    numbers, panes = mix_all(rows, by), rows[PANE].to_numpy()
    order = _order(numbers, panes)
    same = numbers[order[1:]] == numbers[order[:-1]]
    if not same.any():
        return rows[order]
    if 2 * np.count_nonzero(same) > rows.height:
        return ordered(table, _grouped(table, rows, by))
    shared = np.append(False, same) | np.append(same, False)
    alone, several = order[~shared], _grouped(table, rows[order[shared]], by)
    kept = np.append(alone, rows.height + np.arange(several.height))
    numbers = np.append(numbers[alone], mix_all(several, by))
    panes = np.append(panes[alone], several[PANE].to_numpy())
    rows = pl.concat([rows, several]).rechunk()
    return rows[kept[_order(numbers, panes)]]


@cache
def _fitted(table: FactsTable) -> Sequence[pl.Expr]:
    """What makes any frame with the columns of a table one of its schema."""
    return tuple(pl.col(name).cast(dtype) for name, dtype in schema(table).items())


def ordered(table: FactsTable, rows: pl.DataFrame, by: Sequence[str] | None = None) -> pl.DataFrame:
    """Rows in the order that is the same however they came: pane first, then all keys.

    Tables with a row per subject are large, and comparing a dozen keys, of which the first ones are
    the same nearly everywhere, takes thrice as long as comparing one number made of all.
    """
    by = by or keys(table)
    if sampling.sample_key(table) is None:
        return rows.sort(by)
    rows = rows.rechunk()  # or each gathered list is looked for in its chunk
    panes = rows[PANE].to_numpy() if PANE in by else None
    return rows[_order(mix_all(rows, by), panes)]


def _order(numbers: Ids, panes: Rows | None) -> Rows:
    """Places of rows in the order of their panes, then of their numbers (`sampling.mix_all`)."""
    order = sorted_places(numbers)
    if panes is not None and len(panes) and panes.min() != panes.max():
        order = order[np.argsort(panes[order], kind="stable")]
    return order


def without_panes(table: FactsTable, frame: pl.DataFrame) -> pl.DataFrame:
    """The facts of a whole range: panes added up, column `pane` gone."""
    by = keys(table)[1:]
    return ordered(table, _grouped(table, frame.drop(PANE), by), by)


def _grouped(table: FactsTable, rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    merged = rows.group_by(by).agg(_aggregates(table))
    for column in table.columns:
        if column.merge == "worst":
            merged = settle_worst(merged, column)
    return merged[[name for name in schema(table) if name != PANE or PANE in by]]


@cache
def _aggregates(table: FactsTable) -> Sequence[pl.Expr]:
    return tuple(_aggregate(c) for c in table.columns if c.merge != "key")


def _aggregate(column: FactColumn) -> pl.Expr:
    values = pl.col(column.name)
    match column.merge:
        case "sum":
            return values.sum()
        case "min":
            return values.min()
        case "max":
            return values.max()
        case _:
            return values.explode(empty_as_null=False).drop_nulls()


def worst_first(rows: pl.DataFrame, column: FactColumn, by: list[str]) -> pl.DataFrame:
    """Rows of one struct each -> one row per `by` with the list of the worst, worst first."""
    order = pl.col(column.name).struct
    return (
        rows.filter(pl.col(column.name).is_not_null())
        .sort(
            order.field("score"),
            order.field("trace_hi"),
            order.field("trace_lo"),
            column.name,
            descending=[True, False, False, False],
        )
        .group_by(by, maintain_order=True)
        .agg(pl.col(column.name).head(EXEMPLARS_KEPT))
    )


def settle_worst(frame: pl.DataFrame, column: FactColumn) -> pl.DataFrame:
    """Lists of exemplars of any length and order -> at most `EXEMPLARS_KEPT`, the worst first.

    Null without any; rows in any order. Where most rows have one exemplar this costs less than
    sorting what they are grouped from.
    """
    lists = frame[column.name]
    sizes = lists.list.len().fill_null(0).to_numpy()
    taken = np.arange(len(lists))
    several = np.flatnonzero(sizes > 1)
    if len(several):
        flat = pl.DataFrame(
            {"_place": np.repeat(several, sizes[several]), column.name: lists[several].explode()}
        )
        if flat.height > 2 * EXEMPLARS_KEPT * len(several):
            flat = flat.filter(_near_worst(flat, column, sizes[several]))
        settled = worst_first(flat, column, ["_place"]).sort("_place")[column.name]
        taken[several] = len(lists) + np.arange(len(settled))
        lists = pl.concat([lists, settled], rechunk=True)
    return frame.with_columns(lists.gather(pl.Series(taken).set(pl.Series(sizes == 0), None)))


def _near_worst(flat: pl.DataFrame, column: FactColumn, sizes: Rows) -> pl.Series:
    """Whether an exemplar has one of the highest scores of its `_place`.

    Few do, and comparing whole structs, which decides between equals, takes five times as long.
    """
    score = pl.col(column.name).struct.field("score")
    lowest = score.top_k(EXEMPLARS_KEPT).min().alias("lowest")
    by_place = flat.group_by("_place", maintain_order=True).agg(lowest)
    return flat.select(score).to_series() >= by_place["lowest"].gather(
        np.repeat(np.arange(len(sizes)), sizes)
    )


def cap(table: FactsTable, frame: pl.DataFrame, max_rows: int) -> tuple[pl.DataFrame, int]:
    """At most `max_rows` rows and how many were left out.

    Which rows stay is decided by a keyed hash of the key without its pane, so that every process
    keeps the same subjects and keeps them over time (bottom-k sampling, Cohen & Kaplan 2007).
    """
    excess = frame.height - max_rows
    if excess <= 0:
        return frame, 0
    sampled = sampling.sample_key(table)
    if sampled is not None:
        return sampling.cap(frame, sampled, max_rows)
    subject = keys(table)[1:]
    ranked = frame.with_columns(_mix=mix_all(frame, subject))
    kept = ranked.sort("_mix", PANE).head(max_rows).drop("_mix")
    return ordered(table, kept), excess

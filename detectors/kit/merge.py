"""Merging facts, derived from each table's own columns.

Keys are grouped by; sums, minima and maxima are what they say; the worst exemplars are the first
few of a total order. All of it is associative and commutative, and a row cap keeps it so: when a
table has too many rows, those with the smallest keyed hash stay, the same ones in every process. A
table that says what it is sampled by keeps whole subjects (`sampling.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import polars as pl

from detectors.kit import sampling
from detectors.kit.contract import EXEMPLARS_KEPT, FactColumn, FactsTable

PANE = "pane"


def schema(table: FactsTable) -> dict[str, pl.DataType | type[pl.DataType]]:
    """The columns of a facts frame: `pane` and the table's own."""
    return {PANE: pl.Int64, **{c.name: c.dtype for c in table.columns}}


def keys(table: FactsTable) -> list[str]:
    """The columns that make a row, `pane` first."""
    return [PANE, *(c.name for c in table.columns if c.merge == "key")]


def merge(table: FactsTable, frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """One frame with a row per key, whatever the order and split of `frames`.

    Each of `frames` has a row per key itself. So what only one of them has panes of stays as it is:
    facts of a horizon cost little when those of the last seconds are added.
    """
    parts = [f for f in frames if f.height]
    if not parts:
        return pl.DataFrame(schema=schema(table))
    if len(parts) == 1:
        return parts[0]
    if sum(f.height for f in parts) <= _FEW_ROWS:
        return ordered(table, _grouped(table, pl.concat(parts), keys(table)))
    panes = pl.concat([f.select(PANE).unique() for f in parts])[PANE]
    met = panes.filter(panes.is_duplicated()).unique().implode()
    meeting = pl.col(PANE).is_in(met)
    alone = [f.filter(~meeting) for f in parts]
    together = regroup(table, pl.concat([f.filter(meeting) for f in parts]))
    return pl.concat([*alone, together]).sort(PANE, maintain_order=True)


def merge_within(
    table: FactsTable, frames: Iterable[pl.DataFrame], max_rows: int
) -> tuple[pl.DataFrame, int]:
    """`merge`, then `cap`; what the cap of a sampled table takes is not even merged."""
    parts = [f for f in frames if f.height]
    sampled, lost = sampling.sample_key(table), 0
    if sampled is not None and sum(f.height for f in parts) > max_rows:
        mixed = _mixed(_typed(table, keys(table)))
        distinct = pl.concat([f.select(sampled, mixed) for f in parts]).unique("_mix")
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

    Few keys have several rows: only these are grouped, for looking costs a tenth of that.
    """
    by = keys(table)
    rows = rows.select(*schema(table))
    again = rows.select(by).is_duplicated()
    if again.any():
        rows = pl.concat([rows.filter(~again), _grouped(table, rows.filter(again), by)])
    return ordered(table, rows)


def ordered(table: FactsTable, rows: pl.DataFrame, by: list[str] | None = None) -> pl.DataFrame:
    """Rows in the order that is the same however they came: pane first, then all keys.

    Tables with a row per subject are large, and comparing a dozen keys, of which the first ones are
    the same nearly everywhere, takes thrice as long as comparing one number made of all.
    """
    by = by or keys(table)
    if sampling.sample_key(table) is None:
        return rows.sort(by)
    rows = rows.rechunk()  # or each gathered list is looked for in its chunk
    place = pl.int_range(pl.len(), dtype=pl.UInt32).alias("_place")
    panes = [name for name in by if name == PANE]
    places = rows.select(*panes, _mixed(_typed(table, by)), place).sort("_mix")
    if panes:
        places = places.sort(PANE, maintain_order=True)
    return rows[places["_place"]]


def _typed(table: FactsTable, names: list[str]) -> tuple[tuple[str, sampling.DType], ...]:
    types = schema(table)
    return tuple((name, types[name]) for name in names)


@cache
def _mixed(columns: tuple[tuple[str, sampling.DType], ...]) -> pl.Expr:
    """One number made of some columns, which takes a while to put into words."""
    return sampling.mix_all(dict(columns)).alias("_mix")


def without_panes(table: FactsTable, frame: pl.DataFrame) -> pl.DataFrame:
    """The facts of a whole range: panes added up, column `pane` gone."""
    by = keys(table)[1:]
    return ordered(table, _grouped(table, frame.drop(PANE), by), by)


def _grouped(table: FactsTable, rows: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    plain = [_aggregate(c) for c in table.columns if c.merge in ("sum", "min", "max")]
    lists = [c for c in table.columns if c.merge == "worst"]
    together = (pl.col(c.name).explode(empty_as_null=False).drop_nulls() for c in lists)
    merged = rows.group_by(by).agg(*plain, *together)
    for column in lists:
        merged = settle_worst(merged, column)
    named = [c.name for c in table.columns]
    return merged.select(*([PANE] if PANE in by else []), *named)


def _aggregate(column: FactColumn) -> pl.Expr:
    values = pl.col(column.name)
    match column.merge:
        case "sum":
            return values.sum()
        case "min":
            return values.min()
        case _:
            return values.max()


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
    size = pl.col(column.name).list.len()
    frame = frame.with_columns(pl.when(size > 0).then(column.name))
    several = (size > 1).fill_null(value=False)
    many = frame.filter(several).with_row_index("_place")
    if not many.height:
        return frame
    exploded = many.select("_place", column.name).explode(column.name, empty_as_null=False)
    settled = worst_first(exploded, column, ["_place"]).sort("_place")
    many = many.drop("_place").with_columns(settled[column.name])
    return pl.concat([frame.filter(~several), many])


def worst_few(fields: list[str], *ties: str) -> pl.Expr:
    """Within a group: the list of its worst exemplars, structs of `fields`, `score` first.

    ties: columns that decide between equal scores, ascending, in the order of `fields`, so that
    the same ones are kept wherever they are observed.
    """
    by = ["score", *ties]
    return pl.struct(fields).top_k_by(by, EXEMPLARS_KEPT, reverse=[False, *(True for _ in ties)])


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
    ranked = frame.with_columns(_mixed(_typed(table, subject)))
    kept = ranked.sort("_mix", PANE).head(max_rows).drop("_mix")
    return ordered(table, kept), excess

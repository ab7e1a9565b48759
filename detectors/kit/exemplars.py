"""Chooses exemplars when facts are observed: the same ones that merging would keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
import polars as pl

from detectors.kit.contract import EXEMPLARS_KEPT, FactColumn, fields_of

ROW = "_row"
"""Place of a row in the frame that is grouped; of a group, the places of its worst rows."""
_GROUP = "_group"


@cache
def order_of(column: FactColumn) -> Sequence[str]:
    """What decides which exemplars are the worst (`merge.worst_first`): the first descending."""
    return tuple(name for name, dtype in fields_of(column).items() if not dtype.is_nested())


def grouped(
    rows: pl.DataFrame, by: Sequence[str], measures: Iterable[pl.Expr], column: FactColumn
) -> pl.DataFrame:
    """Rows with the fields of a `worst` column -> groups, their measures and worst exemplars."""
    order = order_of(column)
    groups = rows.with_row_index(ROW).group_by(by).agg(*measures, worst_rows(order))
    return draw(groups, rows.__getitem__, order, column)


def with_worst(
    groups: pl.DataFrame, among: pl.DataFrame, by: Sequence[str], column: FactColumn
) -> pl.DataFrame:
    """Groups and some of the rows that they were made of -> with their worst exemplars among these.

    Null where there are none. Where exemplars are of few rows this costs less than `grouped`.
    """
    if not among.height:
        return groups.with_columns(pl.lit(None, column.dtype).alias(column.name))
    return groups.join(grouped(among, by, (), column), on=by, how="left", nulls_equal=True)


def worst_rows(order: Sequence[str], place: str = ROW) -> pl.Expr:
    """Within a group: the places of its worst rows, for `draw`.

    order: columns that decide, the first descending, the others ascending. place: column of places.
    """
    reverse = [False, *(True for _ in order[1:])]
    return pl.col(place).top_k_by(order, EXEMPLARS_KEPT, reverse=reverse).alias(ROW)


def draw(
    groups: pl.DataFrame,
    shown: Callable[[pl.Series], pl.DataFrame],
    order: Sequence[str],
    column: FactColumn,
) -> pl.DataFrame:
    """Groups with their `worst_rows` -> the same with the `worst` column too, worst first.

    shown: places of rows -> the fields of the column.
    """
    owner = np.repeat(np.arange(groups.height, dtype=np.uint32), groups[ROW].list.len().to_numpy())
    drawn = (
        shown(groups[ROW].explode(empty_as_null=False))
        .with_columns(pl.Series(_GROUP, owner))
        .sort(_GROUP, *order, descending=[False, True, *(False for _ in order[1:])])
        .group_by(_GROUP, maintain_order=True)
        .agg(pl.struct(*fields_of(column)).alias(column.name))
    )
    return groups.hstack([drawn[column.name]])

"""Chooses exemplars when facts are observed: the same ones that merging would keep."""

from __future__ import annotations

import polars as pl

from detectors.kit.contract import EXEMPLARS_KEPT, FactColumn

ROW = "_row"
"""Place of a row in the frame that is grouped; of a group, the places of its worst rows."""


def worst_rows(order: list[str]) -> pl.Expr:
    """Within a group: the places of its worst rows, for `draw`.

    order: columns that decide, the first descending, the others ascending.
    """
    reverse = [False, *(True for _ in order[1:])]
    return pl.col(ROW).top_k_by(order, EXEMPLARS_KEPT, reverse=reverse).alias(ROW)


def draw(
    grouped: pl.DataFrame, rows: pl.DataFrame, order: list[str], column: FactColumn
) -> pl.DataFrame:
    """Groups with their `worst_rows` -> the same with the `worst` column instead, worst first.

    rows: what was grouped, with the fields of the column.
    """
    descending = [False, True, *(False for _ in order[1:])]
    group = "_group"
    best = grouped.lazy().select(ROW).with_row_index(group).explode(ROW, empty_as_null=False)
    places = best.collect()
    fields = list(column.dtype.inner.to_schema())  # type: ignore[union-attr]
    drawn = (
        rows[places[ROW]]
        .with_columns(places[group])
        .sort(group, *order, descending=descending)
        .group_by(group, maintain_order=True)
        .agg(pl.struct(fields).alias(column.name))
    )
    return grouped.drop(ROW).with_columns(drawn[column.name])


def worst_of(rows: pl.DataFrame, by: list[str], column: FactColumn) -> pl.DataFrame:
    """Rows with the fields of a `worst` column -> `by` and the list of the worst, worst first.

    The order is that of `merge.worst_first`: the highest score, then all other fields ascending.
    """
    schema = column.dtype.inner.to_schema()  # type: ignore[union-attr]
    order = [name for name, dtype in schema.items() if not dtype.is_nested()]
    narrow = rows.lazy().select(*dict.fromkeys((*by, *order))).with_row_index(ROW)
    return draw(narrow.group_by(by).agg(worst_rows(order)).collect(), rows, order, column)

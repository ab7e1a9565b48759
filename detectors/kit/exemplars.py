"""Chooses exemplars when facts are observed: the same ones that merging would keep."""

from __future__ import annotations

import polars as pl

from detectors.kit.contract import EXEMPLARS_KEPT, FactColumn


def worst_of(
    rows: pl.DataFrame, by: list[str], column: FactColumn, telling: int | None = None
) -> pl.DataFrame:
    """Rows with the fields of a `worst` column -> `by` and the list of the worst, worst first.

    The order is that of `merge.worst_first`: the highest score, then all other fields ascending.
    telling: so many of the first fields are never equal in two rows.
    """
    schema = column.dtype.inner.to_schema()  # type: ignore[union-attr]
    plain = [name for name, dtype in schema.items() if not dtype.is_nested()][:telling]
    ascending = [False] + [True] * (len(plain) - 1)
    best = (
        rows.lazy()
        .select(*dict.fromkeys((*by, *plain)))
        .with_row_index("_row")
        .group_by(by)
        .agg(pl.col("_row").top_k_by(plain, EXEMPLARS_KEPT, reverse=ascending))
        .explode("_row", empty_as_null=False)
        .collect()
    )
    chosen = rows[best["_row"]].sort(*plain, descending=[not a for a in ascending])
    return chosen.group_by(by, maintain_order=True).agg(pl.struct(list(schema)).alias(column.name))

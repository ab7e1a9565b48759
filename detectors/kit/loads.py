"""Database reads of entries: which they are, what tells one from another, and how often.

The tables `reads`, `links` and `touches` ask the same of the same spans.
"""

from __future__ import annotations

import polars as pl

from detectors.kit.sampling import ALWAYS, mix
from detectors.kit.texts import code

TOLD = ("values", "path", "actor", "nothing")
Told = pl.Enum(TOLD)
"""What tells one read of a shape from another: its values, else the path of the request with a
parameter or query, else who asks (the read is then likely to be about that person)."""
NO_VALUES = code("")
"""`values` of a statement without any parameter."""


def loads(spans: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    """The successful database reads of entries that have a span: some of their columns."""
    return spans[[*dict.fromkeys((*columns, *_NEEDED))]].filter(_LOADS)


def identified(reads: pl.DataFrame) -> pl.DataFrame:
    """`loads` with `told` and `identity`. They need `TELLING`."""
    return reads.with_columns(_TOLD).with_columns(_IDENTITY)


_NEEDED = ("work", "category", "shape", "entry_span", "failed")
_LOADS = (
    (
        (pl.col("work") == "query")
        | ((pl.col("work") == "cache_read") & (pl.col("category") == "db"))
    )
    & pl.col("shape").is_not_null()
    & pl.col("entry_span").is_not_null()
    & ~pl.col("failed")
)
TELLING = ("values", "entry_entity", "entry_actor", "entry_path")
"""Columns that tell one read from another."""


def _told() -> pl.Expr:
    return (
        pl.when(pl.col("values").is_not_null())
        .then(pl.lit("values", Told))
        .when(pl.col("entry_entity").is_not_null())
        .then(pl.lit("path", Told))
        .when(pl.col("entry_actor").is_not_null())
        .then(pl.lit("actor", Told))
        .otherwise(pl.lit("nothing", Told))
        .alias("told")
    )


def _identity() -> pl.Expr:
    """What is read, as one number within (operation, shape); kept by every sample when constant."""
    teller = (
        pl.when(pl.col("told") == "values")
        .then("values")
        .when(pl.col("told") == "path")
        .then("entry_path")
        .otherwise("entry_actor")
    )
    constant = (pl.col("told") == "nothing") | (pl.col("values") == NO_VALUES)
    return (
        pl.when(constant.fill_null(False))
        .then(pl.lit(ALWAYS, dtype=pl.UInt64))
        .otherwise(mix(teller))
        .alias("identity")
    )


_TOLD, _IDENTITY = _told(), _identity()

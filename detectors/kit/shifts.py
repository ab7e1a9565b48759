"""What changed between two windows: differences of means that are beyond their own noise."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from detectors.kit.bins import LOG_SCALE

_PRIOR = 5
"""Samples that the variance within all keys counts for, beside a key's own."""
_STANDARD_ERRORS = 2.0
_ENOUGH = 2
"""Samples on each side without which nothing is said of a key."""


@dataclass(frozen=True, slots=True)
class Window:
    """Panes that begin at `start_ns` or later, and before `end_ns`."""

    start_ns: int
    end_ns: int

    def of(self, facts: pl.DataFrame) -> pl.DataFrame:
        """The rows of a facts table in this window."""
        return facts.filter((pl.col("pane") >= self.start_ns) & (pl.col("pane") < self.end_ns))


def shifts(  # noqa: PLR0913 - two frames, what they are keyed by, and three sums
    before: pl.DataFrame, after: pl.DataFrame, by: list[str], n: str, total: str, square: str
) -> pl.DataFrame:
    """Facts rows of two windows -> `by`, n0, n1, mean0, mean1, error, low, high, z.

    mean: of `total` / `n`. error: two standard errors of the difference, with variances shrunk to
    the one pooled within keys. low: mean1 − mean0 less the error, at least 0; high: the same of
    mean0 − mean1. Keys with fewer than two samples on a side are left out.
    """

    def summed(rows: pl.DataFrame, side: int) -> pl.DataFrame:
        columns = {n: f"n{side}", total: f"s{side}", square: f"q{side}"}
        return rows.group_by(by).agg(
            pl.col(c).sum().cast(pl.Float64).alias(a) for c, a in columns.items()
        )

    both = summed(before, 0).join(summed(after, 1), on=by, nulls_equal=True)
    both = both.filter((pl.col("n0") >= _ENOUGH) & (pl.col("n1") >= _ENOUGH))

    def within(side: int) -> pl.Expr:
        squares = pl.col(f"q{side}") - pl.col(f"s{side}").pow(2) / pl.col(f"n{side}")
        return squares.clip(lower_bound=0)

    degrees = pl.col("n0") + pl.col("n1") - 2
    pooled = ((within(0) + within(1)).sum() / degrees.sum()).fill_nan(0.0)

    def variance_of_mean(side: int) -> pl.Expr:
        count = pl.col(f"n{side}")
        shrunk = (within(side) + _PRIOR * pooled) / (count - 1 + _PRIOR)
        return shrunk / count

    error = (variance_of_mean(0) + variance_of_mean(1)).sqrt()
    difference = pl.col("mean1") - pl.col("mean0")
    allowed = _STANDARD_ERRORS * pl.col("_error")
    return (
        both.with_columns(
            (pl.col("s0") / pl.col("n0")).alias("mean0"),
            (pl.col("s1") / pl.col("n1")).alias("mean1"),
            error.alias("_error"),
        )
        .with_columns(
            (difference - allowed).clip(lower_bound=0).alias("low"),
            (-difference - allowed).clip(lower_bound=0).alias("high"),
            (difference / pl.col("_error").clip(lower_bound=1e-9)).alias("z"),
        )
        .select(*by, "n0", "n1", "mean0", "mean1", "low", "high", "z")
        .sort(by)
    )


def log_shifts(  # noqa: PLR0913 - as `shifts`
    before: pl.DataFrame, after: pl.DataFrame, by: list[str], n: str, total: str, square: str
) -> pl.DataFrame:
    """`shifts` of sums of `bins.fixed_log`, with means and bounds as natural logarithms."""
    found = shifts(before, after, by, n, total, square)
    scaled = [pl.col(c) / LOG_SCALE for c in ("mean0", "mean1", "low", "high")]
    return found.with_columns(scaled)


def low_median(values: list[float]) -> float:
    """The lower of the two middle values; 0 of none."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2] if ordered else 0.0

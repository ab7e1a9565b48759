"""Numbers as bins of a key, so that histograms merge by adding rows."""

from __future__ import annotations

import polars as pl

EXACT_COUNTS = 32
"""Counts up to this one are their own bin."""


def count_bin(count: pl.Expr) -> pl.Expr:
    """Int64 count -> the smallest count of its bin: exact to 32, then quarter octaves."""
    quarter = (count.cast(pl.Float64).log(2) * 4).floor() / 4
    return (
        pl.when(count <= EXACT_COUNTS)
        .then(count)
        .otherwise(pl.lit(2.0).pow(quarter).ceil().cast(pl.Int64))
        .cast(pl.Int64)
    )


def duration_bin(duration_ns: pl.Expr) -> pl.Expr:
    """Int64 ns -> Int16 half octave above 1 µs: bin b holds [2**(b/2), 2**((b+1)/2)) µs, from 0."""
    micros = (duration_ns // 1_000).clip(lower_bound=1).cast(pl.Float64)
    return (micros.log(2) * 2).floor().cast(pl.Int16)


def duration_bin_bounds_ns(index: int) -> tuple[int, int]:
    """Lower and upper bound (ns) of a `duration_bin`."""
    return int(2 ** (index / 2) * 1_000), int(2 ** ((index + 1) / 2) * 1_000)


def pane(start_ns: pl.Expr, seconds: int) -> pl.Expr:
    """Int64 ns -> start of its pane, Int64 ns."""
    width = seconds * 1_000_000_000
    return (start_ns // width * width).alias("pane")


def class_of(value: pl.Expr, edges: list[int]) -> pl.Expr:
    """Int64 -> Int8: how many of the ascending `edges` it reaches."""
    reached = pl.sum_horizontal(*((value >= e).cast(pl.Int8) for e in edges))
    return reached.cast(pl.Int8)

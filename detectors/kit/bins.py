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


def count(condition: pl.Expr) -> pl.Expr:
    """Boolean -> how many are true within a group, Int64: facts add up signed numbers."""
    return condition.sum().cast(pl.Int64)


def pane(start_ns: pl.Expr, seconds: int) -> pl.Expr:
    """Int64 ns -> start of its pane, Int64 ns."""
    width = seconds * 1_000_000_000
    return (start_ns // width * width).alias("pane")


def class_of(value: pl.Expr, edges: list[int]) -> pl.Expr:
    """Int64 -> Int8: how many of the ascending `edges` it reaches."""
    reached = pl.sum_horizontal(*((value >= e).cast(pl.Int8) for e in edges))
    return reached.cast(pl.Int8)


LOG_SCALE = 1_000
"""Thousandths of a natural logarithm: sums of whole numbers add up in any order."""


def fixed_log(duration_ns: pl.Expr) -> pl.Expr:
    """Int64 ns -> Int64 thousandths of ln(ms + 1)."""
    millis = duration_ns.cast(pl.Float64) / 1e6
    return (millis.log1p() * LOG_SCALE).round().cast(pl.Int64)


def fine_bin(duration_ns: pl.Expr) -> pl.Expr:
    """Int64 ns -> Int16 sixteenth octave above 1 µs: bounds 4.4 % apart, from 0."""
    micros = (duration_ns // 1_000).clip(lower_bound=1).cast(pl.Float64)
    return (micros.log(2) * FINE).floor().cast(pl.Int16)


FINE = 16


def fine_bin_ns(index: float) -> int:
    """Lower bound (ns) of a `fine_bin`; of a half bin, its middle."""
    return int(2 ** (index / FINE) * 1_000)


_GAP_FLOOR_NS = 100_000
_GROWTH_BINS = 32


def gap_bin(gap_ns: pl.Expr) -> pl.Expr:
    """Int64 ns -> Int16 quarter octave above 0.1 ms, from 0 (shorter ones too) to 100 minutes."""
    tenths = (gap_ns // _GAP_FLOOR_NS).clip(1, 1 << 26).cast(pl.Float64)
    return (tenths.log(2) * 4).floor().cast(pl.Int16)


def gap_bin_ns(index: int) -> int:
    """Lower bound (ns) of a `gap_bin`."""
    return int(2 ** (index / 4) * _GAP_FLOOR_NS)


def growth_bin(gap_ns: pl.Expr, before_ns: pl.Expr) -> pl.Expr:
    """Int64 ns of two gaps -> Int16 eighth octave of their ratio, -32 to 32; null without one.

    Gaps below 0.1 ms count as that long: what grows there is noise.
    """
    now, then = (g.clip(lower_bound=_GAP_FLOOR_NS).cast(pl.Float64) for g in (gap_ns, before_ns))
    bins = ((now / then).log(2) * 8).floor()
    return bins.clip(-_GROWTH_BINS, _GROWTH_BINS).cast(pl.Int16)


def growth(index: int) -> float:
    """Lower bound of a `growth_bin`, as a ratio."""
    return float(2 ** (index / 8))

"""Consistent sampling of subjects that are too many to keep: cache keys, entities, identities.

A facts table says with one `sampled` key column what is sampled, and carries the column `LEVEL`. A
subject is in the sample of level L when its rank, a keyed stable 64-bit hash, is below
2**(64 - L): every process keeps the same subjects, and each level is a part of the one before (a
threshold sample, Duffield, Lund & Thorup 2007). When a table is over its row cap the level rises
until it fits, and the rows that go are counted. Whoever observes keeps all (level 0), or begins one
level below that of the facts at hand (`next_level`): what would go at once is not even observed.

::

    rank   0 ───────────────┬───────────────┬────────────────────────────── 2**64
           └── level 2 ─────┘               │                              │
           └── level 1 ─────────────────────┘                              │
           └── level 0: all ───────────────────────────────────────────────┘

All facts of a subject in the sample are complete, so what is asked of one subject stays exact; a
count over subjects is multiplied by 2**level (`Sample.scaled`), and whoever shows it says so.

Rows of different levels meet when facts merge. `sample_of` takes the highest level of all rows as
that of the whole: which subjects it gives does not depend on the order of merges and caps, for a
cap of a part never asks for a higher level than the cap of the whole does. The level falls again by
itself: it is a matter of the rows, and goes with the panes that needed it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from detectors.kit.contract import FactsTable, most
from detectors.kit.forest import Ids

DType = pl.DataType | type[pl.DataType]
LEVEL = most("level", "the sample that the row is from: one subject in 2**level is kept")


@cache
def at_level(level: int) -> pl.Expr:
    """What `observe` writes: the level of its rows, 0 for all subjects."""
    return pl.lit(level, dtype=pl.Int64).alias(LEVEL.name)


_NULL = 0xC4CEB9FE1A85EC53
_FINAL = 0xFF51AFD7ED558CCD
_RANK_KEY = 0x9E3779B97F4A7C15
ALWAYS = _RANK_KEY
"""The identity of what is only one, of rank 0: every sample has it."""
_ODD = (
    0xFF51AFD7ED558CCD,
    0xC4CEB9FE1A85EC53,
    0xBF58476D1CE4E5B9,
    0x94D049BB133111EB,
    0xD6E8FEB86659FD93,
    0xA0761D6478BD642F,
)
"""Odd multipliers of well-known 64-bit mixers (MurmurHash3, SplitMix64, wyhash)."""
_POWERS = np.array([pow(_ODD[0], n, 1 << 64) for n in range(1, 65)], np.uint64)


def mix(*codes: pl.Expr) -> pl.Expr:
    """UInt64 columns of stable codes (nulls too) -> one UInt64 identity, the same everywhere.

    Plain wrapping arithmetic (multilinear hashing): Polars' own `hash()` differs between versions.
    """
    if len(codes) > len(_ODD):
        raise ValueError(f"at most {len(_ODD)} columns make an identity")
    terms = (c.fill_null(_u64(_NULL)) * _u64(m) for c, m in zip(codes, _ODD, strict=False))
    return _final(pl.sum_horizontal(terms)).alias("identity")


def mix_all(rows: pl.DataFrame, columns: Iterable[str]) -> Ids:
    """Integer, Boolean or enum columns -> one number a row made of all, the same everywhere.

    Added up in numpy: as expressions it takes longer to say than to do for 1,000 rows.
    """
    numbers = rows.select(_as_u64(name, rows[name].dtype) for name in columns)
    mixed = np.zeros(rows.height, np.uint64)
    for column, factor in zip(numbers.get_columns(), _POWERS, strict=False):
        mixed += column.to_numpy() * factor
    return (mixed ^ (mixed >> np.uint64(32))) * np.uint64(_FINAL)


@cache
def _as_u64(name: str, dtype: DType) -> pl.Expr:
    column = pl.col(name)
    if dtype.is_signed_integer():  # a bin may be negative
        column = column.cast(pl.Int64).reinterpret(signed=False)
    elif dtype != pl.UInt64:
        column = column.to_physical().cast(pl.UInt64)
    return column.fill_null(_u64(_NULL))


def first_of(*columns: str) -> pl.Expr:
    """Whether a row is the first of its kind in the frame: what is counted once is summed by it."""
    whole = (pl.col(c).to_physical().cast(pl.UInt64) for c in columns)
    return mix(*whole).is_first_distinct()


def rank(identity: pl.Expr) -> pl.Expr:
    """UInt64 identity -> UInt64 rank, uniform whatever the identities are."""
    return _final((identity ^ _u64(_RANK_KEY)) * _u64(_ODD[2]))


def _u64(value: int) -> pl.Expr:
    return pl.lit(value, dtype=pl.UInt64)


def _final(value: pl.Expr) -> pl.Expr:
    return (value ^ (value // (1 << 32))) * _u64(_FINAL)


@cache
def sample_key(table: FactsTable) -> str | None:
    """The column that the table is sampled by; None for a table that is not sampled."""
    return next((c.name for c in table.columns if c.sampled), None)


def in_sample(identity: pl.Expr, level: int) -> pl.Expr:
    """Whether a subject (UInt64) is in the sample of a level."""
    return rank(identity) < pl.lit(1 << (64 - level), pl.UInt64) if level else pl.lit(value=True)


def next_level(frame: pl.DataFrame) -> int:
    """The level at which to observe what will be merged with these facts.

    One below theirs: where less comes than did, the level falls as their panes go.
    """
    return max(int(frame[LEVEL.name].max() or 0) - 1, 0)  # type: ignore[arg-type]


def cap(frame: pl.DataFrame, sampled: str, max_rows: int) -> tuple[pl.DataFrame, int]:
    """At most `max_rows` rows, those of the lowest level at which they fit, and how many went."""
    if frame.height <= max_rows:
        return frame, 0
    kept = at_least(frame, sampled, level_within(frame[sampled], max_rows)[0])
    return kept, frame.height - kept.height


def level_within(identities: pl.Series, max_rows: int) -> tuple[int, int]:
    """The lowest level at which at most `max_rows` of some rows are left, and how many are."""
    per_level = identities.to_frame("_id").select(_deepest_level(pl.col("_id"))).to_series()
    left, level = len(identities), 0
    for own, rows in per_level.value_counts().sort(per_level.name).iter_rows():
        if left <= max_rows:
            break
        left, level = left - rows, own + 1
    return level, left


def at_least(frame: pl.DataFrame, sampled: str, level: int) -> pl.DataFrame:
    """The rows of the subjects in the sample of a level, which they say they are from."""
    kept = frame.filter(_deepest_level(pl.col(sampled)) >= level)
    return kept.with_columns(pl.col(LEVEL.name).clip(lower_bound=level))


def _deepest_level(identity: pl.Expr) -> pl.Expr:
    """The highest level whose sample the subject is in: leading zeros of its rank, 0 to 64."""
    return rank(identity).bitwise_leading_zeros().cast(pl.Int64).alias("deepest")


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of the subjects that all merged parts kept: one subject in 2**level."""

    rows: pl.DataFrame
    level: int

    def scaled(self, count: int) -> int:
        """An estimate of a count over all subjects."""
        return count << self.level

    @property
    def share(self) -> float:
        """Of the subjects, those that are in it."""
        return float(0.5**self.level)


def sample_of(frame: pl.DataFrame, sampled: str) -> Sample:
    """The rows whose subjects are complete in `frame`, whatever was merged into it."""
    level = int(frame[LEVEL.name].max() or 0)  # type: ignore[arg-type]
    if not level:
        return Sample(frame, 0)
    return Sample(frame.filter(_deepest_level(pl.col(sampled)) >= level), level)


def left_out(frame: pl.DataFrame, sampled: str) -> int:
    """About how many rows the facts would have besides if all subjects were kept.

    Told by the subjects that are complete alone, it does not depend on what was merged when.
    """
    sample = sample_of(frame, sampled)
    return sample.scaled(sample.rows.height) - sample.rows.height

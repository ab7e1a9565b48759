"""Consistent sampling: the same subjects everywhere, whatever was merged when."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.kit import merge
from detectors.kit.contract import FactsTable, sampled, total
from detectors.kit.sampling import (
    ALWAYS,
    LEVEL,
    Sample,
    at_level,
    in_sample,
    mix,
    mix_all,
    next_level,
    rank,
    sample_of,
)
from detectors.kit.texts import code

SETTINGS = settings(max_examples=40, deadline=None)


class Toy:
    """How often each subject was seen."""

    name = "toy"
    pane_seconds = 1
    max_rows = 100
    columns = (sampled("subject", "who"), total("seen", "how often"), LEVEL)

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """One row per span."""
        return spans.select(
            "pane", pl.col("subject"), pl.lit(1, dtype=pl.Int64).alias("seen"), at_level(0)
        )


TOY: FactsTable = Toy()


def seen(subjects: list[int], panes: int = 3) -> pl.DataFrame:
    """Facts of subjects by number, dealt to panes."""
    spans = pl.DataFrame(
        {
            "pane": [i % panes for i in range(len(subjects))],
            "subject": [code(f"subject {s}") for s in subjects],
        },
        schema={"pane": pl.Int64, "subject": pl.UInt64},
    )
    return merge.regroup(TOY, TOY.observe(spans))


def capped(parts: list[pl.DataFrame], most: int) -> pl.DataFrame:
    return merge.cap(TOY, merge.merge(TOY, parts), most)[0]


def view(frame: pl.DataFrame) -> tuple[int, list[Any]]:
    sample = sample_of(frame, "subject")
    return sample.level, sample.rows.drop("level").sort("pane", "subject").rows()


@SETTINGS
@given(
    subjects=st.lists(st.integers(0, 300), min_size=1, max_size=600),
    most=st.integers(5, 200),
    cuts=st.lists(st.integers(0, 600), max_size=6),
    data=st.data(),
)
def test_order_and_grouping_of_merges_and_caps_do_not_matter(
    subjects: list[int], most: int, cuts: list[int], data: Any
) -> None:
    whole = seen(subjects)
    borders = [0, *sorted(cuts), whole.height]
    parts = [
        capped([whole[a:b]], most) for a, b in zip(borders, borders[1:], strict=False) if a < b
    ]

    while len(parts) > 1:
        parts = data.draw(st.permutations(parts))
        taken = data.draw(st.integers(2, len(parts)))
        parts = [*parts[taken:], capped(parts[:taken], most)]

    assert view(parts[0]) == view(capped([whole], most))
    assert parts[0].height <= most


@SETTINGS
@given(
    subjects=st.lists(st.integers(0, 300), min_size=1, max_size=600),
    most=st.integers(5, 200),
    cuts=st.lists(st.integers(0, 600), max_size=6),
)
def test_observing_at_the_level_of_the_facts_at_hand_changes_nothing(
    subjects: list[int], most: int, cuts: list[int]
) -> None:
    whole = seen(subjects)
    borders = [0, *sorted(cuts), whole.height]

    kept = whole.clear()
    for a, b in pairwise(borders):
        level = next_level(kept)
        part = whole[a:b].filter(in_sample(pl.col("subject"), level)).with_columns(at_level(level))
        kept = capped([kept, part], most)

    assert view(kept) == view(capped([whole], most))


@SETTINGS
@given(subjects=st.lists(st.integers(0, 300), min_size=20, max_size=600), most=st.integers(5, 100))
def test_what_is_kept_of_a_subject_is_complete(subjects: list[int], most: int) -> None:
    whole = seen(subjects)

    sample = sample_of(capped([whole], most), "subject")

    kept = set(sample.rows["subject"])
    expected = whole.filter(pl.col("subject").is_in(list(kept)))
    assert view(sample.rows)[1] == view(expected)[1]
    below = whole.select(pl.col("subject"), r=rank(pl.col("subject"))).unique()
    assert kept == {s for s, r in below.rows() if r < 2 ** (64 - sample.level)}


def test_a_deeper_level_is_a_part_of_the_one_before() -> None:
    whole = seen(list(range(5_000)), panes=1)

    kept = [
        set(sample_of(capped([whole], most), "subject").rows["subject"])
        for most in (5_000, 2_000, 400, 50)
    ]

    assert all(deeper < wider for wider, deeper in zip(kept, kept[1:], strict=False))


def test_counts_are_scaled_by_the_level() -> None:
    whole = seen(list(range(40_000)), panes=1)

    sample = sample_of(capped([whole], 6_000), "subject")

    assert sample.level == 3
    assert sample.scaled(int(sample.rows["seen"].sum())) == pytest.approx(40_000, rel=0.05)
    assert sample.share == 0.125


def test_the_level_goes_with_the_panes_that_needed_it() -> None:
    crowded = capped([seen(list(range(1_000)), panes=1)], 100)
    later = seen([1, 2, 3], panes=1).with_columns(pane=pl.lit(7, pl.Int64))

    both = merge.merge(TOY, [crowded, later])

    assert sample_of(both, "subject").level > 0
    assert view(both.filter(pl.col("pane") == 7)) == (
        0,
        later.drop("level").sort("pane", "subject").rows(),
    )


@pytest.mark.parametrize("numbers", [1, 16, 1_024])
def test_subjects_whose_numbers_collide_stay_apart(
    numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are brought together by one number, but what is added up is decided by keys."""
    rows = seen(list(range(40)), panes=1)
    twice = pl.concat([rows, rows[:3]])
    expected = merge.regroup(TOY, twice).sort("subject")

    def few(rows: pl.DataFrame, _: object) -> np.ndarray[Any, np.dtype[np.uint64]]:
        return rows["subject"].to_numpy() % np.uint64(numbers)

    monkeypatch.setattr(merge, "mix_all", few)

    assert merge.regroup(TOY, twice).sort("subject").equals(expected)
    assert sorted(expected["seen"], reverse=True) == [2] * 3 + [1] * 37


def test_memory_is_bounded_whatever_is_offered() -> None:
    kept, lost = seen([]), 0
    for batch in range(20):
        subjects = pl.int_range(batch * 100_000, (batch + 1) * 100_000, dtype=pl.UInt64, eager=True)
        offered = (
            seen([0], panes=1)
            .select("pane", "seen")
            .join(
                pl.DataFrame({"subject": subjects}).select(mix(pl.col("subject")).alias("subject")),
                how="cross",
            )
        )
        merged = merge.merge(TOY, [kept, offered.select("pane", "subject", "seen", at_level(0))])
        kept, gone = merge.cap(TOY, merged, 2_000)
        lost += gone
        assert kept.height <= 2_000

    assert kept.height + lost == 2_000_000
    assert sample_of(kept, "subject").scaled(kept.height) == pytest.approx(2_000_000, rel=0.1)


def test_what_is_only_one_is_in_every_sample() -> None:
    one = seen([1], panes=1).with_columns(subject=pl.lit(ALWAYS, pl.UInt64))

    crowded = capped([seen(list(range(1_000)), panes=1), one], 10)

    assert ALWAYS in sample_of(crowded, "subject").rows["subject"]


def test_nothing_is_a_sample_of_everything() -> None:
    assert view(seen([])) == (0, [])
    assert Sample(seen([1]), 0).share == 1


CODES = st.one_of(st.none(), st.integers(0, 2**64 - 1).map(str).map(code))


@given(rows=st.lists(st.tuples(CODES, CODES), unique=True, max_size=50))
@SETTINGS
def test_different_columns_are_different_identities(rows: list[tuple[Any, Any]]) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.UInt64, "b": pl.UInt64}, orient="row")

    mixed = frame.select(mix(pl.col("a"), pl.col("b"))).to_series()

    assert mixed.n_unique() == len(rows)
    assert mixed.null_count() == 0


def test_an_identity_is_a_number_for_ever() -> None:
    """Facts of different versions and processes meet by it: a change of it is a new table."""
    frame = pl.DataFrame({"a": [5], "b": [None]}, schema={"a": pl.UInt64, "b": pl.UInt64})

    found = frame.select(mix(pl.col("a"), pl.col("b")), rank(pl.col("a")).alias("rank")).row(0)

    assert found == EXPECTED


def _by_hand() -> tuple[int, int]:
    whole = 2**64 - 1

    def final(value: int) -> int:
        value &= whole
        return ((value ^ (value >> 32)) * 0xFF51AFD7ED558CCD) & whole

    identity = final(5 * 0xFF51AFD7ED558CCD + 0xC4CEB9FE1A85EC53 * 0xC4CEB9FE1A85EC53)
    return identity, final((5 ^ 0x9E3779B97F4A7C15) * 0xBF58476D1CE4E5B9)


EXPECTED = _by_hand()


def test_all_columns_of_any_kind_make_one_number() -> None:
    """Bins may be negative, flags and enums may be null; each of them counts."""
    types = {"bin": pl.Int16, "flag": pl.Boolean, "code": pl.UInt64, "kind": pl.Enum(["x"])}
    rows = [(-3, True, 1, "x"), (3, True, 1, "x"), (None, True, 1, "x"), (-3, None, 1, "x")]
    rows += [(-3, False, 1, "x"), (-3, True, 2, "x"), (-3, True, None, "x"), (-3, True, 1, None)]
    frame = pl.DataFrame(rows, schema=types, orient="row")

    mixed = mix_all(frame, types)

    assert len(set(mixed.tolist())) == len(rows)

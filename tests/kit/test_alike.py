"""Rows that may share a key, and numbers that there are: by sorting and by places, not by hashing."""

from __future__ import annotations

from collections import Counter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from detectors.kit.alike import alike, distinct, flags, sorted_places

HIGH = 1 << 63
NUMBERS = st.lists(
    st.one_of(
        st.integers(0, 5),
        st.integers(HIGH, HIGH + 5),  # all at one place, and alike in the upper bits
        st.integers(0, 2**64 - 1),
    ),
    max_size=40,
)


def series(numbers: list[int]) -> pl.Series:
    return pl.Series(numbers, dtype=pl.UInt64)


@given(NUMBERS)
def test_whoever_shares_a_number_is_found(numbers: list[int]) -> None:
    count = Counter(numbers)

    found = alike(series(numbers))

    assert all(found[place] for place, number in enumerate(numbers) if count[number] > 1)


def test_whoever_is_alone_is_not() -> None:
    spread = [n * 0x9E3779B97F4A7C15 % 2**64 for n in range(1, 1_001)]

    assert alike(series([*spread, spread[7]])).nonzero()[0].tolist() == [7, 1_000]


@given(NUMBERS)
def test_numbers_are_put_in_order_though_only_upper_bits_are_sorted(numbers: list[int]) -> None:
    expected = sorted(range(len(numbers)), key=lambda place: (numbers[place], place))

    assert sorted_places(series(numbers).to_numpy()).tolist() == expected


@given(NUMBERS)
def test_distinct_numbers_are_those_that_there_are(numbers: list[int]) -> None:
    assert distinct(series(numbers)) == set(numbers)


def test_entries_are_flagged_by_their_numbers() -> None:
    spans = pl.DataFrame({"entry": [0, 0, 2, 1]}, schema={"entry": pl.UInt32})

    assert flags(spans, pl.Series([2, 2], dtype=pl.UInt32)).tolist() == [False, False, True]

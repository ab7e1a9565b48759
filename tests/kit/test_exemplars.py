"""Exemplars drawn while grouping are those that a sort of all rows gives."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from detectors.kit.contract import EXEMPLARS_KEPT, fields_of, worst
from detectors.kit.exemplars import grouped, order_of, with_worst
from detectors.kit.merge import settle_worst

COLUMN = worst("exemplars", {"n": pl.Int64, "span_ids": pl.List(pl.UInt64)}, "the worst")
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "who": st.sampled_from([1, 2, None]),
            "score": st.integers(0, 3),
            "trace_hi": st.just(0),
            "trace_lo": st.integers(0, 3),
            "n": st.integers(0, 50),
        }
    ),
    max_size=30,
    unique_by=lambda row: (row["trace_lo"], row["n"]),
)


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    types = {"who": pl.UInt64, "score": pl.Int64, "trace_hi": pl.UInt64, "trace_lo": pl.UInt64}
    made = pl.DataFrame(rows, schema={**types, "n": pl.Int64})
    return made.with_columns(pl.concat_list(pl.col("n").cast(pl.UInt64)).alias("span_ids"))


def by_hand(rows: list[dict[str, Any]]) -> dict[int | None, list[int]]:
    found: dict[int | None, list[int]] = {}
    for row in sorted(rows, key=lambda r: (-r["score"], r["trace_lo"], r["n"])):
        found.setdefault(row["who"], []).append(row["n"])
    return {who: numbers[:EXEMPLARS_KEPT] for who, numbers in found.items()}


def drawn(frame: pl.DataFrame) -> dict[int | None, list[int] | None]:
    return {
        row["who"]: row["exemplars"] and [e["n"] for e in row["exemplars"]]
        for row in frame.iter_rows(named=True)
    }


@given(ROWS)
def test_each_group_has_its_worst_and_the_worst_first(rows: list[dict[str, Any]]) -> None:
    groups = grouped(frame(rows), ["who"], [pl.len().alias("rows")], COLUMN)

    assert drawn(groups) == by_hand(rows)
    assert groups["rows"].sum() == len(rows)


@given(ROWS)
def test_groups_without_one_have_none(rows: list[dict[str, Any]]) -> None:
    among = [row for row in rows if row["score"] > 1]
    groups = frame(rows).group_by("who").agg(pl.len())

    found = drawn(with_worst(groups, frame(among), ["who"], COLUMN))

    assert found == {row["who"]: None for row in rows} | by_hand(among)


def test_lists_decide_nothing() -> None:
    assert order_of(COLUMN) == ("score", "trace_hi", "trace_lo", "n")


@given(st.lists(ROWS, max_size=5))
def test_lists_of_any_length_are_settled(groups: list[list[dict[str, Any]]]) -> None:
    lists = [frame(rows).select(*fields_of(COLUMN)).to_dicts() for rows in groups]
    whole = pl.DataFrame({"exemplars": lists}, schema={"exemplars": COLUMN.dtype})

    settled = settle_worst(whole, COLUMN)["exemplars"].to_list()

    hand = [by_hand([{**row, "who": 1} for row in rows]).get(1) for rows in groups]
    assert [found and [e["n"] for e in found] for found in settled] == hand

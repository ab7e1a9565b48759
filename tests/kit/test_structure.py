"""Structure against a plain recursive reference, and the written rules for broken traces."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.kit import forest
from detectors.kit.columns import MISSING_ENTRY, SPAN_SCHEMA, STRUCTURE_SCHEMA
from detectors.kit.structure import assemble
from detectors.kit.texts import code
from support.frames import frame, span

KINDS = ("internal", "server", "client", "producer", "consumer")


@st.composite
def forests(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Spans of a few traces: unique ids, no cycles, some parents missing, any clocks."""
    rows = []
    for trace in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 12))
        for number in range(1, count + 1):
            rows.append(
                span(
                    number,
                    draw(st.none() | st.integers(1, number + 1).filter(lambda p, n=number: p != n)),
                    trace=trace,
                    service=draw(st.sampled_from("ab")),
                    kind=draw(st.sampled_from(KINDS)),
                    label=f"span {number}",
                    status=draw(st.sampled_from(("unset", "error"))),
                    start_ns=draw(st.integers(0, 20)),
                    duration_ns=draw(st.integers(0, 20)),
                )
            )
        ids = {r["span_id"] for r in rows if r["trace_lo"] == trace}
        for row in rows:  # a parent that comes later would make a cycle possible: it is missing
            if row["parent_span_id"] not in ids and row["parent_span_id"] is not None:
                row["parent_span_id"] = 99
            elif row["parent_span_id"] is not None and row["parent_span_id"] > row["span_id"]:
                row["parent_span_id"] = 98
    return rows


class Reference:
    """The definitions of columns.py, one span at a time."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = {(r["trace_lo"], r["span_id"]): r for r in rows}

    def parent(self, row: dict[str, Any]) -> dict[str, Any] | None:
        return self.rows.get((row["trace_lo"], row["parent_span_id"]))

    def depth(self, row: dict[str, Any]) -> int:
        above = self.parent(row)
        return 0 if above is None else 1 + self.depth(above)

    def root(self, row: dict[str, Any]) -> int:
        above = self.parent(row)
        return row["span_id"] if above is None else self.root(above)

    def caller(self, row: dict[str, Any]) -> int | None:
        above = self.parent(row)
        if above is None:
            return None
        return self.caller(above) if above["service"] == row["service"] else above["service"]

    def entry(self, row: dict[str, Any]) -> tuple[Any, ...]:
        above = self.parent(row)
        if row["kind"] in ("server", "consumer"):
            return ("span", row["trace_lo"], row["span_id"])
        if above is not None and above["service"] == row["service"]:
            return self.entry(above)
        if above is None and row["parent_span_id"] is not None:
            return ("missing", row["trace_lo"], row["service"], row["parent_span_id"])
        return ("span", row["trace_lo"], row["span_id"])

    def children(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        return [r for r in self.rows.values() if self.parent(r) is row]

    def self_ns(self, row: dict[str, Any]) -> int:
        begin, length = row["start_ns"], row["duration_ns"]
        busy: set[int] = set()
        for child in self.children(row):
            busy |= set(range(child["start_ns"], child["start_ns"] + child["duration_ns"]))
        return length - len(busy & set(range(begin, begin + length)))

    def error_origin(self, row: dict[str, Any]) -> bool:
        return row["status"] == "error" and all(c["status"] != "error" for c in self.children(row))


@given(forests())
def test_structure_equals_the_recursive_reference(rows: list[dict[str, Any]]) -> None:
    reference = Reference(rows)
    assembled = assemble(frame(*rows))
    out = assembled.to_dicts()
    assert len(out) == len(rows)
    entries: dict[int, tuple[Any, ...]] = {}
    for got in out:
        row = reference.rows[got["trace_lo"], got["span_id"]]
        above = reference.parent(row)
        parent = out[got["parent_row"]]["span_id"] if got["parent_row"] >= 0 else None
        assert parent == (above["span_id"] if above else None)
        assert out[got["root"]]["span_id"] == reference.root(row)
        assert got["depth"] == reference.depth(row)
        assert got["caller"] == reference.caller(row)
        assert got["self_ns"] == reference.self_ns(row)
        assert got["error_origin"] == reference.error_origin(row)
        entry = reference.entry(row)
        assert entries.setdefault(got["entry"], entry) == entry
        assert got["entry_span"] == (entry[2] if entry[0] == "span" else None)
        assert got["is_entry"] == (entry == ("span", row["trace_lo"], row["span_id"]))
    assert len(set(entries.values())) == len(entries)
    assert sorted(entries) == list(range(len(entries)))


@given(forests(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = random.sample(rows, len(rows))

    found, wanted = assemble(frame(*shuffled)), assemble(frame(*rows))

    numbers = ("trace", "entry", "root", "parent_row")  # traces come in any order
    one, other = (out[_order(out)].drop(numbers) for out in (found, wanted))
    assert one.equals(other)


def _order(spans: pl.DataFrame) -> Any:
    order = forest.canonical_order(spans).rows
    return np.arange(spans.height) if order is None else order


def test_rows_of_a_trace_leave_in_its_order_with_all_columns() -> None:
    rows = [
        span(5, trace=2, at=(7, 9)),
        span(4, trace=1, at=(3, 4)),
        span(3, trace=1, at=(3, 9)),
        span(2, trace=1, at=(3, 9)),
    ]
    out = assemble(frame(*rows))
    assert out["span_id"].to_list() == [2, 3, 4, 5]
    assert dict(out.schema) == {**SPAN_SCHEMA, **STRUCTURE_SCHEMA}


def test_no_spans_give_no_rows_with_all_columns() -> None:
    out = assemble(frame())
    assert dict(out.schema) == {**SPAN_SCHEMA, **STRUCTURE_SCHEMA}
    assert out.height == 0


def test_orphans_of_one_missing_server_span_share_an_entry() -> None:
    queries = [span(n, 99, at=(n * 10, n * 10 + 5)) for n in range(1, 51)]
    other = [span(60, 98), span(61, 99, service="else"), span(62, 1)]
    out = assemble(frame(*queries, *other))
    mine = out.filter(pl.col("span_id").is_in([*range(1, 51), 62]))
    assert mine["entry"].n_unique() == 1
    assert out["entry"].n_unique() == 3
    assert mine["entry_span"].null_count() == 51
    assert set(mine["entry_label"]) == {code(MISSING_ENTRY)}
    assert set(mine["entry_kind"]) == {"unspecified"}
    assert not mine["is_entry"].any()
    assert set(mine["entry_start_ns"]) == {0}
    assert set(mine["entry_duration_ns"]) == {505}


def test_the_entry_columns_are_those_of_the_entry_span() -> None:
    out = assemble(
        frame(
            span(1, kind="server", label="GET /", status="error", at=(5, 50)),
            span(2, 1, at=(6, 7)),
        )
    )
    (child,) = out.filter(pl.col("span_id") == 2).to_dicts()
    assert child["entry_label"] == code("GET /")
    assert (child["entry_kind"], child["entry_status"]) == ("server", "error")
    assert (child["entry_start_ns"], child["entry_duration_ns"]) == (5, 45)


def test_a_client_root_is_its_own_entry() -> None:
    out = assemble(frame(span(1, kind="client"), span(2, 1)))
    assert out["entry_span"].to_list() == [1, 1]


def test_a_skewed_child_in_another_service_makes_nothing_negative() -> None:
    out = assemble(
        frame(
            span(1, kind="client", at=(1_000, 1_100)),
            span(2, 1, kind="server", service="far", at=(400, 1_050)),
            span(3, 2, service="far", at=(2_000, 3_000)),
        )
    )
    assert dict(zip(out["span_id"], out["self_ns"], strict=True)) == {1: 50, 2: 650, 3: 1_000}


def test_parallel_children_that_run_on_count_once_and_only_inside() -> None:
    out = assemble(frame(span(1, at=(0, 100)), span(2, 1, at=(10, 60)), span(3, 1, at=(20, 500))))
    assert out.filter(pl.col("span_id") == 1)["self_ns"].to_list() == [10]


def test_absurd_times_do_not_overflow() -> None:
    far = (1 << 63) - 1
    rows = [span(n, n - 1 if n % 2 == 0 else None, trace=n // 2) for n in range(1, 9)]
    rows += [span(20, start_ns=0, duration_ns=far), span(21, 20, start_ns=far, duration_ns=far)]
    rows += [span(22, 21, start_ns=-far, duration_ns=5), span(23, 20, start_ns=1, duration_ns=far)]
    out = assemble(frame(*rows))
    assert (out["self_ns"] >= 0).all()


@pytest.mark.parametrize("ring", [1, 2, 3, 8])
def test_a_cycle_is_cut_at_its_earliest_span(ring: int) -> None:
    rows = [span(n + 1, (n + 1) % ring + 1, at=(100 - n, 200)) for n in range(ring)]
    out = assemble(frame(*rows, span(50, 1, at=(1, 2))))
    earliest = ring
    assert out.filter(pl.col("parent_row") < 0)["span_id"].to_list() == [earliest]
    assert out["root"].n_unique() == 1


def _long(count: int, parent: np.ndarray[Any, Any]) -> pl.DataFrame:
    numbers = np.arange(count, dtype=np.uint64)
    return (
        frame(span(1))
        .drop("links")[np.zeros(count, np.int64)]
        .with_columns(
            span_id=pl.Series(numbers + 1),
            parent_span_id=pl.Series(parent.astype(np.uint64)),
            start_ns=pl.Series(numbers.astype(np.int64)),
            links=pl.lit(None, SPAN_SCHEMA["links"]),
        )
    )


def test_a_chain_of_100_000_spans_needs_no_recursion() -> None:
    count = 100_000
    out = assemble(_long(count, np.arange(count)).with_columns(_rootless()))
    assert out["depth"].max() == 65_535
    assert out["root"].n_unique() == 1
    assert out["entry"].n_unique() == 1


def _rootless() -> pl.Expr:
    """Parent id 0 means none in these frames."""
    return pl.when(pl.col("parent_span_id") > 0).then("parent_span_id").alias("parent_span_id")


def test_a_trace_of_a_million_spans_takes_seconds() -> None:
    count = 1_000_000
    parent = np.random.default_rng(1).integers(1, np.arange(count) + 2) - 1
    parent[0] = 0
    spans = _long(count, np.minimum(parent, np.arange(count))).with_columns(_rootless())
    began = time.process_time()
    out = assemble(spans)
    assert out.height == count
    assert out["trace"].n_unique() == 1
    assert time.process_time() - began < 20


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 6)), min_size=1),
    st.sampled_from([0, 60]),
)
def test_ids_that_mix_to_the_same_number_are_still_told_apart(
    spans: list[tuple[int, int, int]], apart: int
) -> None:
    """Traces have dense numbers, or numbers that are far apart."""
    spans = sorted(set(spans))
    trace = np.array([t << apart for t, _, _ in spans])
    span_id, wanted = (np.array(c, np.uint64) for c in list(zip(*spans, strict=True))[1:])
    asked = np.ones(len(spans), np.bool_)
    exact = forest._find_rows_exactly(trace, span_id, wanted, np.flatnonzero(asked))
    assert forest.find_rows(trace, span_id, wanted, asked).tolist() == exact.tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forest, "spread", lambda high, low: np.zeros_like(low) + (low & high))
        assert forest.find_rows(trace, span_id, wanted, asked).tolist() == exact.tolist()


def test_traces_that_share_their_upper_half_are_kept_apart() -> None:
    rows = [span(1, trace=t, trace_hi=0, at=(t % 3, 5)) for t in range(9)]
    out = assemble(frame(*reversed(rows)))
    assert out["trace"].to_list() == list(range(9))
    assert out["trace_lo"].n_unique() == 9

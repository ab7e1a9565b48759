"""The algebra: findings do not depend on how spans were split, ordered or merged."""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decode.protobuf import decode_traces
from detectors.kit import merge
from detectors.kit.catalogue import tables
from detectors.kit.contract import FactsTable
from detectors.kit.engine import merge_facts, since
from detectors.kit.sampling import sample_key
from detectors.kit.texts import Texts
from support.algebra import DRAWN, as_bytes, by_trace, drawn, whole
from support.judging import facts_of, judge_facts
from support.sketch import read_cases, request

SETTINGS = settings(max_examples=10, deadline=None)


def test_drawn_cases_give_findings_of_every_rule() -> None:
    _, findings = whole()

    assert {f"N10{i}" for i in range(1, 7)} <= {
        row["code"] for row in msgspec.json.decode(findings) if "fingerprint" in row
    }


@SETTINGS
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_spans_does_not_matter(seed: int) -> None:
    spans, texts = drawn()

    shuffled = facts_of(spans.sample(fraction=1, shuffle=True, seed=seed), texts)

    assert as_bytes(judge_facts(shuffled)) == whole()[1]


@SETTINGS
@given(parts=st.integers(2, 12), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_split_and_merge_do_not_matter(parts: int, seed: int, data: Any) -> None:
    spans, texts = drawn()
    pieces = [facts_of(part, texts) for part in by_trace(spans, parts, seed)]

    while len(pieces) > 1:
        taken = data.draw(st.integers(2, max(2, min(5, len(pieces)))), label="merged together")
        pieces = [*pieces[taken:], merge_facts(reversed(pieces[:taken]))]

    for name, frame in whole()[0].frames.items():
        assert pieces[0].frames[name].equals(frame), name
    assert as_bytes(judge_facts(pieces[0])) == whole()[1]


@SETTINGS
@given(seed=st.integers(0, 2**32 - 1), fraction=st.floats(0.1, 0.9))
def test_duplicates_do_not_matter(seed: int, fraction: float) -> None:
    spans, texts = drawn()

    doubled = pl.concat([spans, spans.sample(fraction=fraction, seed=seed)])

    assert as_bytes(judge_facts(facts_of(doubled, texts))) == whole()[1]


def test_codes_of_another_process_merge() -> None:
    """Codes are stable: facts of processes that never spoke add up by number."""
    spans, texts = drawn()
    fresh = Texts()
    again = [
        decode_traces(request(case).SerializeToString(), fresh).frame
        for path in DRAWN
        for case in read_cases(path)
    ]

    other = facts_of(pl.concat(again), fresh)
    mine = facts_of(spans, texts)
    both = merge_facts([mine, other])

    assert dict(other.texts) == dict(mine.texts)
    assert both.table("entries")["entries"].sum() == 2 * mine.table("entries")["entries"].sum()


@pytest.mark.parametrize("table", tables(), ids=lambda t: t.name)
def test_merging_nothing_and_one(table: FactsTable) -> None:
    frame = whole()[0].table(table.name)

    assert merge.merge(table, []).height == 0
    assert merge.merge(table, [frame]).equals(frame)
    assert merge.merge(table, [frame, frame.clear()]).equals(frame)
    assert frame.schema == pl.Schema(merge.schema(table))


@pytest.mark.parametrize("table", tables(), ids=lambda t: t.name)
@given(seed=st.integers(0, 2**32 - 1), cap=st.integers(1, 30))
@SETTINGS
def test_a_capped_table_keeps_the_same_subjects_everywhere(
    table: FactsTable, seed: int, cap: int
) -> None:
    frame = whole()[0].table(table.name)

    kept, lost = merge.cap(table, frame, cap)
    shuffled, lost_again = merge.cap(table, frame.sample(fraction=1, shuffle=True, seed=seed), cap)

    assert kept.equals(merge.ordered(table, kept)), "in the order that merging gives"
    assert kept.equals(merge.ordered(table, shuffled))
    assert lost == lost_again == frame.height - kept.height
    if sample_key(table) is None:
        assert kept.height == min(cap, frame.height)
    else:  # whole subjects go
        assert kept.height <= cap


def test_since_forgets_old_panes_and_their_texts() -> None:
    facts, _ = whole()
    newest = max(f["pane"].max() or 0 for f in facts.frames.values())  # type: ignore[type-var]

    kept = since(facts, int(newest) + 3_600_000_000_000)  # type: ignore[arg-type]

    assert all(frame.height == 0 for frame in kept.frames.values())
    assert not kept.texts
    assert since(facts, 0).texts == facts.texts


@pytest.mark.parametrize("table", tables(), ids=lambda t: t.name)
@given(seed=st.integers(0, 2**32 - 1), cap=st.integers(1, 30))
@SETTINGS
def test_what_a_cap_will_take_need_not_be_merged(table: FactsTable, seed: int, cap: int) -> None:
    frame = whole()[0].table(table.name)
    parts = [frame.sample(fraction=share, seed=seed) for share in (0.3, 0.6, 0.9)]
    parts = [merge.ordered(table, part) for part in parts]

    kept, lost = merge.merge_within(table, parts, cap)

    after, lost_after = merge.cap(table, merge.merge(table, parts), cap)
    assert kept.equals(after)
    assert lost == lost_after

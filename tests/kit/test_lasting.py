"""Facts that outlive the horizon: as long as their instance serves, and no longer."""

from __future__ import annotations

import functools
from pathlib import Path

import polars as pl
import pytest

from collector.decode.protobuf import decode_traces
from detectors.facts.entities import TABLE as ENTITIES
from detectors.kit.catalogue import tables
from detectors.kit.contract import FOLDED, Context, LastingTable
from detectors.kit.engine import Facts, default_settings, judge, lasting, merge_facts, since
from detectors.kit.merge import keys, without_panes
from detectors.kit.texts import Texts
from detectors.kit.wire import Push, from_bytes, to_bytes
from support.judging import facts_of
from support.sketch import EPOCH_NS, read_cases, request

SECOND = 1_000_000_000
HORIZON = 900 * SECOND
WARM = """
# A dictionary of the process, filled in the first minute and served for 25
traces 1500
shop  GET /products/{id}  0..10  url.path=/products/{t/3%20}  on {t%3}
  shop  SELECT * FROM products WHERE id = %s  2..8  if t<60
=> nothing
"""
LASTING = [t.name for t in tables() if isinstance(t, LastingTable)]


@functools.cache
def minutes() -> list[Facts]:
    """Facts of each minute of the drawing."""
    path = Path(__file__).parent / "test_lasting.drawn"
    path.write_text(WARM)
    try:
        (case,) = read_cases(path)
    finally:
        path.unlink()
    texts = Texts()
    spans = decode_traces(request(case).SerializeToString(), texts).frame
    begins = pl.col("start_ns").min().over("trace_hi", "trace_lo")
    number = ((begins - EPOCH_NS) // (60 * SECOND)).alias("minute")
    parts = spans.with_columns(number).partition_by("minute", maintain_order=False)
    parts.sort(key=lambda part: int(part["minute"][0]))
    return [facts_of(part.drop("minute"), texts) for part in parts]


def lived(upto: int) -> tuple[Facts, int]:
    """Facts as a process keeps them after so many minutes, and the time then."""
    facts, now = Facts(), EPOCH_NS
    for index, part in enumerate(minutes()[:upto], 1):
        now = EPOCH_NS + index * 60 * SECOND
        facts = since(merge_facts([facts, part]), now - HORIZON)
    return facts, now


def spoken(facts: Facts, now: int) -> set[str]:
    return {f.code for f in judge(facts, Context(now, now - HORIZON, default_settings)).findings}


def test_a_cache_that_has_been_warm_for_twenty_minutes_is_still_found() -> None:
    facts, now = lived(25)
    (found,) = [
        f
        for f in judge(facts, Context(now, now - HORIZON, default_settings)).findings
        if f.code == "S101"
    ]

    assert found.occurrences == 40
    assert found.first_seen_ns < now - HORIZON
    assert not found.panes  # counted when it happened, not again


def test_what_lasts_is_bounded_by_subjects_not_by_time() -> None:
    early, late = lived(18)[0], lived(25)[0]

    for name in LASTING:
        assert late.table(name).height <= early.table(name).height
        assert (late.table(name)["pane"] == FOLDED).any()
    assert not any(
        late.table(n).filter(pl.col("pane") == FOLDED).height for n in ("entries", "sight")
    )


def test_a_restart_of_our_own_forgets_nothing_that_lasts() -> None:
    facts, now = lived(24)
    saved = from_bytes(to_bytes(Push("spanlint", now, 1, lasting(facts)))).facts
    last = minutes()[24]
    now += 60 * SECOND

    remembered = since(merge_facts([saved, last]), now - HORIZON)

    assert "S101" in spoken(remembered, now)
    assert "S101" not in spoken(last, now)
    whole, _ = lived(25)
    wanted = without_panes(ENTITIES, whole.table("entities"))
    assert without_panes(ENTITIES, remembered.table("entities")).equals(wanted)
    assert set(saved.frames) == set(LASTING)


def test_what_is_saved_is_not_counted_again() -> None:
    facts, now = lived(24)
    saved = lasting(facts)

    entities = saved.table("entities")
    assert entities["pane"].unique().to_list() == [FOLDED]
    assert not entities.select(keys(ENTITIES)).is_duplicated().any()
    found = judge(saved, Context(now, now - HORIZON, default_settings)).findings
    assert [f.code for f in found if f.panes] == []


def test_folding_twice_is_folding_once() -> None:
    facts, now = lived(20)

    again = since(facts, now - HORIZON)

    for name, frame in facts.frames.items():
        assert again.frames[name].equals(frame), name


def test_folding_at_different_times_comes_to_the_same() -> None:
    facts, now = lived(25)

    at_once = since(merge_facts(minutes()), now - HORIZON)

    for name in LASTING:
        assert at_once.frames[name].equals(facts.frames[name]), name


def test_facts_go_with_their_instance() -> None:
    facts, now = lived(25)
    gone = now + HORIZON + 120 * SECOND

    assert all(since(facts, gone - HORIZON).table(name).height == 0 for name in LASTING)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_an_instance_that_stops_takes_its_own_facts_only(left: int) -> None:
    facts, now = lived(25)
    instances = facts.table("instances")["instance"].unique().sort()
    serving = facts.table("instances").filter(
        (pl.col("instance") == instances[left]) | (pl.col("pane") < now - 600 * SECOND)
    )
    thinned = Facts({**facts.frames, "instances": serving}, facts.texts, facts.counts)

    kept = since(thinned, now - 300 * SECOND)

    old = kept.table("entities").filter(pl.col("pane") == FOLDED)
    assert old["instance"].unique().to_list() == [instances[left]]
    assert "S101" not in spoken(kept, now)

"""Cache rules on recorded services: each gets its verdict, however it is cut, split or shuffled."""

from __future__ import annotations

import pytest

from detectors.kit.contract import Finding
from support import zoo

SPEAKS = {
    "b": {"C101"},
    "b_writes": {"C101"},
    "c": {"C101"},
    "c_two": {"C102 info"},
    "d_set": {"C106"},
    "e_unique": {"C103"},
    "f_none": {"C105"},
    "g": {"C104"},
    "p_seq": {"C101"},
    "p_unrelated": {"C101"},
    "s_mw": {"C101"},
}
"""What speaks in the whole recording; in all others no rule of the family does."""
OF_A_PART = {"f_none": {"C105", "C105 info"}, "c_two": {"C102 info", "C101"}}
"""What parts may say instead: too few lookups follow a write, and it is judged by structure; the
other operation is too rare to show that the cache read is no middleware's."""


def allowed(name: str) -> set[str]:
    """What may be said of a part of a recording."""
    return OF_A_PART.get(name, SPEAKS.get(name, set()))


@pytest.mark.parametrize("name", zoo.NAMES)
def test_verdict(name: str) -> None:
    assert zoo.codes(zoo.whole(name), "C") == SPEAKS.get(name, set())


def only(name: str, code: str) -> list[Finding]:
    return [f for f in zoo.whole(name).findings if f.code == code]


def test_the_always_uncached_read_of_a_page_is_named() -> None:
    for name in ("p_seq", "p_unrelated"):
        (found,) = only(name, "C101")
        assert found.operation == "GET /page/{pid}"
        assert found.subject == "SELECT stock by product_id"
        assert found.evidence == "inferred"


def test_constant_reads_are_observed_and_masked_ones_inferred() -> None:
    found = {f.subject: f for f in only("b", "C101")}

    assert found["SELECT settings"].evidence == "observed"
    assert found["SELECT products by id"].evidence == "inferred"
    assert found["SELECT products by id"].wasted_ns > 0
    assert sum(n for n, _ in found["SELECT settings"].panes.values()) == 79


def test_writes_lower_what_a_cache_could_save() -> None:
    (found,) = only("b_writes", "C101")

    assert found.details["writes"] == 210
    assert 0.3 < found.details["achievable_hit_ratio"] < 0.5


def test_low_hit_ratio_leaves_first_misses_out() -> None:
    (found,) = only("e_unique", "C103")

    assert (found.details["hits"], found.details["misses"]) == (24, 376)
    assert found.details["hit_ratio"] == pytest.approx(24 / 361, abs=0.001)


def test_a_stampede_shows_the_crowd() -> None:
    (found,) = only("g", "C104")

    assert found.details["bursts"] >= 10
    assert found.details["most"] >= 10
    assert len([b for b in found.waterfall if b.mark]) == 5
    assert found.wasted_ns > 1e9


def test_stale_reads_are_counted_by_outcome() -> None:
    (found,) = only("f_none", "C105")

    assert found.details["cases"] >= 10
    assert found.details["reload_ratio"] == 0
    assert len(found.exemplars) == 3


def test_fills_without_expiry_are_counted() -> None:
    (found,) = only("d_set", "C106")

    assert found.details["lasting"] == found.details["fills"] == 41


@pytest.mark.parametrize("name", zoo.NAMES)
def test_order_and_split_change_nothing(name: str) -> None:
    spans, _ = zoo.recording(name)
    parts = [*zoo.halves(spans.sample(fraction=1, shuffle=True, seed=7))]

    merged = zoo.judged(spans, [zoo.facts_of(name, p) for p in reversed(parts)])

    assert merged == zoo.whole(name)


LOCAL_TRACES = ("a3", "g", "g_lock", "h", "h_l1l2", "h_lru", "i_cart", "k_header", "x_rawshared")
"""Recordings of several instances whose traces stay in one process."""


@pytest.mark.parametrize("name", LOCAL_TRACES)
def test_instances_observed_apart_and_merged_change_nothing(name: str) -> None:
    spans, _ = zoo.recording(name)
    parts = zoo.by_instance(spans)

    merged = zoo.judged(spans, [zoo.facts_of(name, p) for p in parts])

    assert len(parts) > 1
    assert merged == zoo.whole(name)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_half_a_recording_says_the_same_or_too_little(name: str) -> None:
    for half in zoo.halves(zoo.recording(name)[0]):
        _same_or_silent(name, zoo.judged(half, [zoo.facts_of(name, half)]))


@pytest.mark.parametrize("name", zoo.NAMES)
@pytest.mark.parametrize("seed", [2, 3])
def test_head_sampling_says_the_same_or_too_little(name: str, seed: int) -> None:
    thinned = zoo.head_sampled(zoo.recording(name)[0], 25, seed)

    _same_or_silent(name, zoo.judged(thinned, [zoo.facts_of(name, thinned)]))


def _same_or_silent(name: str, judgement: object) -> None:
    said = zoo.codes(judgement, "C")  # type: ignore[arg-type]
    assert said <= allowed(name), said
    if SPEAKS.get(name) and not said:
        (code,) = {c.split()[0] for c in SPEAKS[name]}
        assert zoo.state_of(judgement, code) <= {"below_threshold", "blind"}  # type: ignore[arg-type]

"""What S101 to S104 say of recorded services, whole, in pieces, thinned, and without what they need."""

from __future__ import annotations

import polars as pl
import pytest

from detectors.kit.engine import Judgement
from support.zoo import (
    NAMES,
    by_instance,
    codes,
    facts_of,
    halves,
    head_sampled,
    judged,
    recording,
    state_of,
    whole,
)

VERDICTS = {
    "h": {"S101"},
    "h_lru": {"S101"},
    "i_header": {"S102"},
    "i_cart": {"S102"},
    "j_header": {"S103 info"},
    "k_sticky": {"S103 info"},
}
"""All others are silent."""
SUBJECTS = {
    "h": ("GET /products/{pid}", "SELECT products by id"),
    "h_lru": ("GET /products/{pid}", "SELECT products by id"),
    "i_header": ("GET /me", "entity by actor"),
    "i_cart": ("GET /carts/{cid}", "entity by path"),
    "j_header": ("(all operations)", "actors"),
    "k_sticky": ("(all operations)", "actors"),
}
FIRING = sorted(VERDICTS)
FLEETS = [*FIRING, "h_l1l2", "x_rawshared", "k_header", "s102_badinst", "a3"]


def findings(judgement: Judgement) -> list[tuple[str, str, int]]:
    """What the family found, with how much of it."""
    return [
        (f.fingerprint, f.severity, f.occurrences)
        for f in judgement.findings
        if f.code.startswith("S")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_verdict_of_a_recorded_service(name: str) -> None:
    assert codes(whole(name), "S") == VERDICTS.get(name, set())


@pytest.mark.parametrize("name", FIRING)
def test_subject_and_exemplars(name: str) -> None:
    (found,) = [f for f in whole(name).findings if f.code.startswith("S")]

    assert (found.operation, found.subject) == SUBJECTS[name]
    assert found.evidence == "inferred"
    assert found.scope == "fleet"
    spans, _ = recording(name)
    served = set(spans.filter(pl.col("kind") == "server")["span_id"].to_list())
    assert all(int(s, 16) in served for e in found.exemplars for s in e.span_ids)
    assert bool(found.exemplars) == (found.code != "S103")
    assert sum(n for n, _ in found.panes.values()) == found.occurrences


@pytest.mark.parametrize("name", FLEETS)
def test_instances_that_were_observed_apart_give_the_same(name: str) -> None:
    spans, _ = recording(name)
    parts = [facts_of(name, part) for part in by_instance(spans)]

    assert findings(judged(spans, parts)) == findings(whole(name))
    assert findings(judged(spans, parts[::-1])) == findings(whole(name))


@pytest.mark.parametrize("name", FIRING)
def test_one_instance_alone_is_below_the_threshold(name: str) -> None:
    spans, _ = recording(name)
    for part in by_instance(spans):
        judgement = judged(part, [facts_of(name, part)])

        assert not codes(judgement, "S")
        assert state_of(judgement, VERDICTS[name].copy().pop()[:4]) == {"below_threshold"}


@pytest.mark.parametrize("name", FLEETS)
def test_halves_that_are_merged_give_the_same(name: str) -> None:
    spans, _ = recording(name)
    parts = [facts_of(name, half) for half in halves(spans)]

    assert findings(judged(spans, parts)) == findings(whole(name))


@pytest.mark.parametrize("name", FLEETS)
def test_a_half_changes_no_verdict_but_to_below_threshold(name: str) -> None:
    for half in halves(recording(name)[0]):
        judgement = judged(half, [facts_of(name, half)])
        wanted = VERDICTS.get(name, set())

        assert codes(judgement, "S") <= wanted
        for missed in wanted - codes(judgement, "S"):
            assert state_of(judgement, missed[:4]) <= {"below_threshold", "blind"}


@pytest.mark.parametrize("name", FLEETS)
def test_shuffled_spans_give_the_same(name: str) -> None:
    spans, _ = recording(name)
    mixed = spans.sample(fraction=1, shuffle=True, seed=7)

    assert findings(judged(mixed, [facts_of(name, mixed)])) == findings(whole(name))


@pytest.mark.parametrize("name", ["h", "h_lru"])
@pytest.mark.parametrize("seed", range(5))
def test_head_sampling_is_never_a_silent_green(name: str, seed: int) -> None:
    thinned = head_sampled(recording(name)[0], 25, seed)
    judgement = judged(thinned, [facts_of(name, thinned)])

    assert not codes(judgement, "S")
    assert state_of(judgement, "S101") <= {"below_threshold", "blind"}


def test_head_sampling_that_spans_tell_of_is_named() -> None:
    thinned = head_sampled(recording("h")[0], 25, 1).with_columns(
        pl.lit(250_000, dtype=pl.UInt32).alias("sample_ppm")
    )
    judgement = judged(thinned, [facts_of("h", thinned)])
    (row,) = [v for v in judgement.visibility if v.code == "S101"]

    assert row.state == "blind"
    assert "head sampling" in row.reason
    assert row.reveal


def test_a_warm_start_is_not_decidable() -> None:
    spans, _ = recording("h")
    begins = pl.col("start_ns").min().over("trace_hi", "trace_lo")
    late = spans.filter(begins > spans["start_ns"].quantile(0.5))
    judgement = judged(late, [facts_of("h", late)])
    (row,) = [v for v in judgement.visibility if v.code == "S101"]

    assert not codes(judgement, "S")
    assert row.state == "below_threshold"
    assert row.reason.startswith("not decidable: ")
    assert "caches were warm" in row.reason


@pytest.mark.parametrize("name", FIRING)
def test_without_the_instance_the_rules_are_blind_and_name_the_setting(name: str) -> None:
    spans, _ = recording(name)
    nameless = spans.with_columns(pl.lit(None, dtype=pl.UInt64).alias("instance"))
    judgement = judged(nameless, [facts_of(name, nameless)])
    rows = [v for v in judgement.visibility if v.code.startswith("S")]

    assert not codes(judgement, "S")
    assert {(v.code, v.state) for v in rows} == {(f"S10{i}", "blind") for i in range(1, 5)}
    assert all(v.reveal.startswith("service.instance.id absent: set") for v in rows)


def test_another_order_of_all_recordings_of_one_service_is_no_fault() -> None:
    """A shared cache that no instrumentation sees stays silent under any deal to instances."""
    spans, _ = recording("x_rawshared")
    named = spans["instance"].unique().sort()
    for seed in range(10):
        of_trace = (pl.col("trace_hi") ^ pl.col("trace_lo")).hash(seed) % len(named)
        dealt = spans.with_columns(
            of_trace.replace_strict(list(range(len(named))), named, return_dtype=pl.UInt64).alias(
                "instance"
            )
        )
        assert "S101" not in codes(judged(dealt, [facts_of("x_rawshared", dealt)]), "S")

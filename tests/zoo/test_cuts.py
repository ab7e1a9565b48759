"""Verdicts hold however a recording is cut: halves, any order, by instance, sampled, warm."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from collector.decode.files import read_files
from collector.decode.model import DecodeOptions
from detectors.kit.contract import Context
from detectors.kit.engine import (
    Facts,
    Judgement,
    default_settings,
    judge,
    merge_facts,
    observe,
)
from detectors.kit.texts import Texts
from zoo.catalogue import FORMS, LIVE, SHARED, Row, row_of, shared_rows
from zoo.matrix import ACTORS, FAMILIES

RECORDED = {
    **{form.name: (row_of(form), LIVE / f"{form.name}.jsonl.gz") for form in FORMS if form.expects},
    **{r.name: (r, SHARED / f"{r.name}.jsonl.gz") for r in shared_rows() if r.expects},
}
"""Everything that is bad: its row and its recording."""
PROCESS_DICT = LIVE / "process_dict.jsonl.gz"
MINUTE_NS = 60 * 1_000_000_000


def _of_one_service(row: Row) -> bool:
    """Whether it shows rules of caches or of state: spans of one service decide."""
    return all(code[0] in "CS" for wanted in row.expects for code in wanted.codes)


@cache
def recorded(path: Path) -> tuple[pl.DataFrame, Texts]:
    texts = Texts()
    options = DecodeOptions(actor_attributes=ACTORS)
    return pl.concat([d.frame for d in read_files([str(path)], texts, options)]), texts


def verdicts(parts: Iterable[pl.DataFrame], texts: Texts) -> Judgement:
    """Each part observed by itself, the facts merged, then judged."""
    parts = list(parts)
    whole = pl.concat(parts)
    ends = (whole["start_ns"] + whole["duration_ns"]).max()
    context = Context(ends, whole["start_ns"].min(), default_settings)
    return judge(_merged(parts, texts), context)


def _merged(parts: list[pl.DataFrame], texts: Texts) -> Facts:
    return merge_facts([observe(part, texts.select) for part in parts])


def said(judgement: Judgement) -> set[tuple[str, str, str, str]]:
    assert not judgement.failed
    return {(f.code, f.service, f.operation, f.subject) for f in judgement.findings}


def halves(spans: pl.DataFrame) -> list[pl.DataFrame]:
    """Whole traces, the earlier and the later ones."""
    starts = spans.group_by("trace_hi", "trace_lo").agg(start=pl.col("start_ns").min())
    middle = starts["start"].median()
    timed = spans.join(starts, on=["trace_hi", "trace_lo"], maintain_order="left")
    early = pl.col("start") <= middle
    return [timed.filter(early).drop("start"), timed.filter(~early).drop("start")]


def by_instance(spans: pl.DataFrame) -> list[pl.DataFrame]:
    return spans.partition_by("instance", maintain_order=True)


@pytest.mark.parametrize("name", RECORDED)
def test_halves_in_any_order_say_what_the_whole_says(name: str) -> None:
    spans, texts = recorded(RECORDED[name][1])
    shuffled = spans.sample(fraction=1.0, shuffle=True, seed=7)
    pieces = halves(shuffled)
    random.Random(7).shuffle(pieces)
    assert said(verdicts(pieces, texts)) == said(verdicts([spans], texts))


def visibility(judgement: Judgement, code: str) -> list[tuple[str, str]]:
    return [(v.state, f"{v.reason} {v.reveal}") for v in judgement.visibility if v.code == code]


def codes(judgement: Judgement) -> set[str]:
    assert not judgement.failed
    return {f.code for f in judgement.findings if f.code[0] in FAMILIES}


def test_three_instances_observed_apart_are_found_together() -> None:
    spans, texts = recorded(PROCESS_DICT)
    apart = by_instance(spans)
    assert len(apart) == 3
    assert "S101" in codes(verdicts(apart, texts))
    for alone in apart:
        judged = verdicts([alone], texts)
        assert "S101" not in codes(judged)
        assert {state for state, _ in visibility(judged, "S101")} == {"below_threshold"}


def test_without_instance_identity_the_setting_is_named() -> None:
    spans, texts = recorded(PROCESS_DICT)
    nameless = spans.with_columns(instance=pl.lit(None, dtype=spans.schema["instance"]))
    judged = verdicts([nameless], texts)
    assert "S101" not in codes(judged)
    ((state, told),) = visibility(judged, "S101")
    assert state == "blind"
    assert "service.instance.id" in told


def test_a_cache_that_has_been_warm_for_20_minutes_is_still_found() -> None:
    spans, texts = recorded(PROCESS_DICT)
    cold, warm = halves(spans)
    before = cold.with_columns(pl.col("start_ns") - 20 * MINUTE_NS)
    assert "S101" in codes(verdicts([before, warm], texts))


@pytest.mark.parametrize("name", RECORDED)
def test_a_quarter_of_the_traces_is_never_a_silent_green(name: str) -> None:
    """Head sampling leaves too little to decide: found, or said to be undecided."""
    row, path = RECORDED[name]
    spans, texts = recorded(path)
    quarter = spans.filter(pl.col("trace_lo") % 4 == 0).with_columns(
        sample_ppm=pl.lit(250_000, dtype=spans.schema["sample_ppm"])
    )
    judged = verdicts([quarter], texts)
    for wanted in row.expects:
        seen = [v for v in judged.visibility if v.code in wanted.codes]
        here = {v.state for v in seen if wanted.service in ("", v.service)}
        found = [f for f in judged.findings if f.code in wanted.codes]
        assert found or here & {"blind", "below_threshold"}, str(wanted)


def test_a_small_sample_without_a_failure_is_no_green() -> None:
    """F rules name the share that is kept, and how many calls it would take."""
    spans, texts = recorded(LIVE / "absorbed.jsonl.gz")
    fine = spans.filter((pl.col("status") != "error").all().over("trace_hi", "trace_lo"))
    for kept_ppm, state in ((1_000_000, "seen"), (999_000, "seen"), (1_000, "below_threshold")):
        sampled = fine.with_columns(sample_ppm=pl.lit(kept_ppm, dtype=spans.schema["sample_ppm"]))
        judged = verdicts([sampled], texts)
        for code in ("F101", "F102", "F103", "F104", "F105", "F106"):
            told = [v for v in judged.visibility if v.code == code and v.state != "exempt"]
            assert {v.state for v in told} == {state}, (code, kept_ppm)
            if state != "seen":
                assert all("a sample of 0.1 % of the traces" in v.reason for v in told)


@pytest.mark.parametrize("name", [n for n, (row, _) in RECORDED.items() if _of_one_service(row)])
def test_instances_observed_apart_say_what_they_say_together(name: str) -> None:
    spans, texts = recorded(RECORDED[name][1])
    whole = verdicts([spans], texts)
    assert said(verdicts(by_instance(spans), texts)) == said(whole)


def test_a_recording_that_begins_warm_is_said_to_be_undecidable() -> None:
    spans, texts = recorded(PROCESS_DICT)
    _, warm = halves(spans)
    judged = verdicts([warm], texts)
    assert "S101" not in codes(judged)
    ((state, told),) = visibility(judged, "S101")
    assert state in ("blind", "below_threshold"), told

"""Recorded services that fail, well or badly: what the F rules say of each, however it is cut."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from collector.decode.files import read_files
from detectors.kit.contract import Finding
from detectors.kit.engine import Facts, Judgement, merge_facts
from detectors.kit.texts import Texts
from support.judging import facts_of, judge_facts

ZOO = Path(__file__).parents[1] / "data" / "zoo"
RECORDED = sorted(path.name.removesuffix(".jsonl.gz") for path in ZOO.glob("*.jsonl.gz"))
VERDICTS = {
    "l_explicit": {"F101", "F102", "F103"},
    "l_hidden": {"F101", "F102", "F103"},
    "l_none": {"F101"},
    "l_half": {"F101", "F103"},  # its gaps are flat as well
    "l_batch": {"F101"},
    "m_nobreaker": {"F104"},
    "m_fallback": {"F104"},
    "late_outage": {"F102"},
}
"""Everything else in the zoo is silent."""
FAILING = [*VERDICTS, "m_breaker", "m_404", "s102_badinst", "g", "i_cart", "i_header"]


@functools.cache
def spans(name: str) -> tuple[pl.DataFrame, Texts]:
    texts = Texts()
    decoded = list(read_files([str(ZOO / f"{name}.jsonl.gz")], texts))
    return pl.concat([d.frame for d in decoded]), texts


def failures(judgement: Judgement) -> list[Finding]:
    assert not judgement.failed, judgement.failed
    return [f for f in judgement.findings if f.code.startswith("F")]


def codes(facts: Facts) -> set[str]:
    return {f.code for f in failures(judge_facts(facts))}


def states(judgement: Judgement, code: str) -> dict[str, tuple[str, str]]:
    return {v.service: (v.state, v.reason) for v in judgement.visibility if v.code == code}


def by_trace(frame: pl.DataFrame, kept: pl.Expr) -> pl.DataFrame:
    """Whole traces; `kept` is judged on each trace's earliest start (`first`) and `trace_hi`."""
    firsts = frame.group_by("trace_hi", "trace_lo").agg(pl.col("start_ns").min().alias("first"))
    chosen = firsts.filter(kept).drop("first")
    return frame.join(chosen, on=["trace_hi", "trace_lo"], how="semi")


@pytest.mark.parametrize("name", RECORDED)
def test_each_recording_gets_its_verdict(name: str) -> None:
    assert codes(facts_of(*spans(name))) == VERDICTS.get(name, set())


@pytest.mark.parametrize("name", FAILING)
def test_order_and_split_change_nothing(name: str) -> None:
    frame, texts = spans(name)
    whole = failures(judge_facts(facts_of(frame, texts)))

    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=7)
    parts = [by_trace(frame, pl.col("trace_hi") % 3 == n) for n in (2, 0, 1)]
    merged = merge_facts([facts_of(part, texts) for part in parts])

    assert failures(judge_facts(facts_of(shuffled, texts))) == whole
    assert failures(judge_facts(merged)) == whole


@pytest.mark.parametrize("name", FAILING)
def test_a_half_never_says_more_and_says_why_it_says_less(name: str) -> None:
    frame, texts = spans(name)
    expected = VERDICTS.get(name, set())
    middle = pl.col("first").median()

    for half in (pl.col("first") < middle, pl.col("first") >= middle):
        judgement = judge_facts(facts_of(by_trace(frame, half), texts))
        found = {f.code for f in failures(judgement)}
        assert found <= expected
        for code in expected - found:
            told = states(judgement, code).values()
            assert any(s in ("below_threshold", "exempt") for s, _ in told), (code, told)


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("seed", range(3))
def test_a_quarter_of_the_traces_is_never_wrong(name: str, seed: int) -> None:
    frame, texts = spans(name)
    expected = VERDICTS.get(name, set())
    sampled = by_trace(frame, pl.col("trace_lo").hash(seed) % 4 == 0)
    sampled = sampled.with_columns(sample_ppm=pl.lit(250_000, pl.UInt32))

    judgement = judge_facts(facts_of(sampled, texts))

    assert {f.code for f in failures(judgement)} <= expected
    for finding in failures(judgement):
        assert "sample" in finding.details["note"]
    for code in expected - {f.code for f in failures(judgement)}:
        told = states(judgement, code).values()
        assert any(s in ("below_threshold", "exempt") for s, _ in told), (code, told)


def only(name: str, code: str) -> Finding:
    found = [f for f in failures(judge_facts(facts_of(*spans(name)))) if f.code == code]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(("name", "hidden"), [("l_explicit", False), ("l_hidden", True)])
def test_three_attempts_in_two_layers_are_nine(name: str, hidden: bool) -> None:
    storm = only(name, "F102")

    assert (storm.service, storm.subject) == ("shop", "payment GET /charge/{oid}")
    assert storm.details["amplification"] == storm.details["calls_per_trace"] == 9.0
    layers = [(x["service"], x["attempts"], x["hidden"]) for x in storm.details["layers"]]
    assert layers == [("gateway", 3.0, hidden), ("shop", 3.0, hidden)]
    assert storm.severity == "critical"


@pytest.mark.parametrize("name", ["l_explicit", "l_hidden", "l_none"])
def test_the_origin_is_the_last_service_and_its_reach_is_told(name: str) -> None:
    cascade = only(name, "F101")

    assert (cascade.service, cascade.subject) == ("payment", "503")
    assert cascade.details["depth"] == 2
    reached: dict[str, Any] = {a["service"]: a for a in cascade.details["affected"]}
    assert set(reached) == {"gateway", "shop"}
    assert reached["gateway"]["share"] == 1.0
    assert [o["service"] for o in cascade.details["onset"]] == ["shop", "gateway"]
    assert [bar.service for bar in cascade.waterfall][::4] == ["gateway", "payment"]


def test_retries_that_help_are_the_good_example() -> None:
    absorbers = only("l_half", "F101").details["absorbers"]

    assert {a["service"] for a in absorbers} == {"gateway", "shop"}


def test_a_fallback_is_told_from_none() -> None:
    assert only("m_fallback", "F104").details["fallback"]
    assert not only("m_nobreaker", "F104").details["fallback"]


@pytest.mark.parametrize(
    ("name", "code", "state", "words"),
    [
        ("m_breaker", "F104", "exempt", "calls to payment fell to 4%"),
        ("m_breaker", "F101", "exempt", "only its caller fails by payment"),
        ("m_404", "F104", "seen", ""),
        ("l_batch", "F103", "exempt", "POST 127.0.0.1/charge: as many calls as while all is well"),
        ("l_none", "F104", "below_threshold", "payment was down for 0.8 s"),
    ],
)
def test_silence_has_its_reason(name: str, code: str, state: str, words: str) -> None:
    told = states(judge_facts(facts_of(*spans(name))), code)["shop"]

    assert told[0] == state
    assert told[1].startswith(words)

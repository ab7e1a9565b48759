"""Spans over time and over processes: windows, merges and judgements that do not depend on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decode.protobuf import decode_traces
from collector.detect import Detector
from collector.settings import Settings
from detectors.kit.contract import Context, Explanation, FactsView, Finding, Verdict
from detectors.kit.engine import Facts, Judgement, default_settings, judge, merge_facts
from detectors.kit.texts import Texts
from support.algebra import as_bytes, by_trace, drawn, whole
from support.sketch import EPOCH_NS, Case, Line, request

NOW_S = EPOCH_NS / 1e9 + 60


def detector(texts: Texts, told: list[Facts] | None = None, **changes: Any) -> Detector:
    return Detector(
        Settings(max_skew_s=3_600, horizon_s=3_600, **changes),
        texts,
        (told if told is not None else []).append,
    )


@settings(max_examples=8, deadline=None)
@given(parts=st.integers(1, 20), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_arrival_ticks_and_judgements_do_not_matter(parts: int, seed: int, data: Any) -> None:
    """Traces arrive in pieces within the quiet time; whatever runs between, the end is the same."""
    spans, texts = drawn()
    shuffled = spans.sample(fraction=1, shuffle=True, seed=seed)
    running = detector(texts)
    size = -(-spans.height // parts)

    for number in range(parts):
        at = NOW_S + number * 9.0 / parts
        running.accept(shuffled[number * size : (number + 1) * size], at)
        if data.draw(st.booleans(), label="tick"):
            running.tick(at)
        if data.draw(st.booleans(), label="judge"):
            running.judge(at)
    assert running.window.rows == spans.height, "nothing was closed while it was not quiet"
    running.tick(NOW_S + 120)

    assert running.window.rows == 0
    assert as_bytes(judged(running)) == whole()[1]
    assert running.counts["spans"] == spans.height


@settings(max_examples=8, deadline=None)
@given(processes=st.integers(2, 4), slabs=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_processes_and_windows_add_up(processes: int, slabs: int, seed: int) -> None:
    """Whole traces dealt to processes, each with windows of its own; only their facts meet."""
    spans, _ = drawn()
    facts = []
    for share in by_trace(spans, processes, seed):
        texts = Texts()
        texts.learn_all(dict(whole()[0].texts))
        running = detector(texts)
        for number, slab in enumerate(by_trace(share, slabs, seed + 1)):
            running.accept(slab, NOW_S + 30 * number)
            running.tick(NOW_S + 30 * number + 15)
        running.drain(NOW_S + 1_000)
        facts.append(running.facts())

    merged = merge_facts(facts[::-1])

    assert all(merged.table(name).equals(frame) for name, frame in whole()[0].frames.items())
    context = Context(0, 0, default_settings)
    assert as_bytes(judge(merged, context)) == whole()[1]


def judged(running: Detector) -> Judgement:
    return judge(running.facts(), Context(0, 0, default_settings))


def test_facts_are_told_once_and_none_twice() -> None:
    spans, texts = drawn()
    told: list[Facts] = []
    running = detector(texts, told)

    running.accept(spans, NOW_S)
    for second in range(0, 100, 5):
        running.tick(NOW_S + second)
        running.judge(NOW_S + second)

    assert sum(f.counts["spans"] for f in told) == spans.height
    assert running.counts["spans"] == spans.height


def test_old_facts_leave_with_the_horizon() -> None:
    texts = Texts()
    running = detector(texts)
    running._settings = Settings(horizon_s=60, max_skew_s=3_600)
    running.accept(lazy(texts), NOW_S)
    running.tick(NOW_S + 20)

    assert [f.code for f in running.judge(NOW_S + 20).findings] == ["N101"]
    assert running.judge(NOW_S + 600).findings == ()
    assert running.facts().table("repeats").height == 0
    assert not running.facts().texts


def test_to_ask_for_sizes_observes_and_merges_nothing() -> None:
    texts = Texts()
    running = detector(texts)
    running.accept(lazy(texts), NOW_S)
    running.tick(NOW_S + 20)

    before = running.facts_rows
    assert running.counts["window:closed"] == 1
    assert (running.stage_runs["observe"], running.stage_runs["merge"]) == (0, 0)
    running.judge(NOW_S + 20)

    assert not before
    assert running.counts["spans"] == running.spans_done == 13
    assert running.facts_rows["repeats"] == running.facts().table("repeats").height > 0
    assert running.stage_runs["merge"] == 1


def lazy(texts: Texts) -> pl.DataFrame:
    entry = Line("shop", "GET /books", 0, 120, [])
    entry.children = [Line("shop", "SELECT * FROM authors WHERE id = %s", 8, 110, ["x12"])]
    body = request(Case("lazy", [entry])).SerializeToString()
    return decode_traces(body, texts).frame


@dataclass(frozen=True)
class Broken:
    """A rule that raises."""

    code: str = "X902"
    name: str = "broken"
    scope: str = "local"
    needs: tuple[str, ...] = ("entries",)
    Settings: type = Settings

    def judge(self, facts: FactsView, context: Context) -> Verdict:  # noqa: ARG002
        raise ZeroDivisionError("of all things")

    def explain(self, finding: Finding) -> Explanation:  # noqa: ARG002
        return Explanation("", "", "")


def test_a_rule_that_fails_is_named_the_others_go_on_and_it_is_parked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    texts = Texts()
    running = detector(texts)
    running._rules = (*running._rules, Broken())  # type: ignore[arg-type]
    running.accept(lazy(texts), NOW_S)
    running.tick(NOW_S + 20)

    for _ in range(3):
        judgement = running.judge(NOW_S + 20)
        running.park(judgement, 3)
        assert judgement.failed == {"X902": "ZeroDivisionError: of all things"}
        assert [f.code for f in judgement.findings] == ["N101"]
    assert "X902" in caplog.text

    parked = running.judge(NOW_S + 20)
    assert not parked.failed
    assert [f.code for f in parked.findings] == ["N101"]


def test_closed_traces_wait_to_be_observed_together() -> None:
    spans, texts = drawn()
    told: list[Facts] = []
    running = detector(texts, told)
    for number, share in enumerate(by_trace(spans, 3, 1)):
        running.accept(share, NOW_S + 30 * number)
        running.tick(NOW_S + 30 * number + 15)
    assert not told, "each slab has a fixed cost"
    assert running.has_news

    running.judge(NOW_S + 100)

    assert [facts.counts["spans"] for facts in told] == [spans.height]
    assert not running.has_news


def test_a_slab_that_breaks_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its spans are done with, or requests would be refused for them for ever."""
    spans, texts = drawn()
    running = detector(texts)
    halves = by_trace(spans, 2, 1)
    monkeypatch.setattr("collector.detect.GATHERED_ROWS", max(half.height for half in halves))
    for number, half in enumerate(halves):
        running.accept(half, NOW_S + 30 * number)
        running.window.advance(NOW_S + 30 * number + 15)

    def broken(*_: Any) -> Facts:
        raise ValueError("broken")

    with monkeypatch.context() as during:
        during.setattr("collector.detect.observe", broken)
        with pytest.raises(ValueError, match="broken"):
            running.observe()
    running.observe()

    assert running.spans_done == spans.height
    assert 0 < running.counts["spans"] < spans.height

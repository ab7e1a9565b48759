"""Recorded services (`tests/data/zoo`): read, cut, shuffled, split and thinned as columns."""

from __future__ import annotations

import functools
from pathlib import Path

import polars as pl

from collector.decode.files import read_files
from detectors.kit.contract import Context
from detectors.kit.engine import Facts, Judgement, default_settings, judge, merge_facts, observe
from detectors.kit.texts import Texts

FOLDER = Path(__file__).parents[1] / "data" / "zoo"
NAMES = tuple(sorted(p.name.removesuffix(".jsonl.gz") for p in FOLDER.glob("*.jsonl.gz")))
TRACE = ["trace_hi", "trace_lo"]


@functools.cache
def recording(name: str) -> tuple[pl.DataFrame, Texts]:
    """The spans of a recording and their texts."""
    texts = Texts()
    parts = read_files([str(FOLDER / f"{name}.jsonl.gz")], texts)
    return pl.concat([d.frame for d in parts]), texts


def facts_of(name: str, spans: pl.DataFrame) -> Facts:
    """Facts of some spans of a recording."""
    return observe(spans, recording(name)[1].select)


@functools.cache
def whole(name: str) -> Judgement:
    """What all rules say of a recording."""
    spans, _ = recording(name)
    return judged(spans, [facts_of(name, spans)])


def judged(spans: pl.DataFrame, parts: list[Facts]) -> Judgement:
    """What all rules say of facts, merged, at the end of the spans they are of."""
    end = int((spans["start_ns"] + spans["duration_ns"]).max())  # type: ignore[arg-type]
    start = int(spans["start_ns"].min())  # type: ignore[arg-type]
    return judge(merge_facts(parts), Context(end, start, default_settings))


def halves(spans: pl.DataFrame) -> list[pl.DataFrame]:
    """Whole traces of the earlier and of the later half of the time."""
    begins = pl.col("start_ns").min().over(TRACE)
    middle = (int(spans["start_ns"].min()) + int(spans["start_ns"].max())) // 2  # type: ignore[arg-type]
    return [spans.filter(begins <= middle), spans.filter(begins > middle)]


def by_instance(spans: pl.DataFrame) -> list[pl.DataFrame]:
    """Spans as each process alone would export them: what a sidecar sees."""
    return [part for _, part in spans.group_by("instance", maintain_order=True)]


def head_sampled(spans: pl.DataFrame, percent: int, seed: int) -> pl.DataFrame:
    """So many percent of the traces."""
    drawn = (pl.col("trace_hi") ^ pl.col("trace_lo")).hash(seed) % 100
    return spans.filter(drawn < percent)


def codes(judgement: Judgement, family: str) -> set[str]:
    """The rules of a family that spoke, as `C101`, with `info` where that is all: `C102 info`."""
    assert not judgement.failed, judgement.failed
    return {
        f"{f.code} info" if f.severity == "info" else f.code
        for f in judgement.findings
        if f.code.startswith(family)
    }


def state_of(judgement: Judgement, code: str) -> set[str]:
    """How a rule stands to the services: seen, blind, below_threshold, exempt."""
    return {v.state for v in judgement.visibility if v.code == code}

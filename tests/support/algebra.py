"""All drawn cases as spans and as facts, dealt out at random: for the laws of merging."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import msgspec
import polars as pl

from collector.decode.protobuf import decode_traces
from detectors.kit.engine import Facts, Judgement
from detectors.kit.texts import Texts
from support.judging import facts_of, judge_facts
from support.sketch import read_cases, request

DRAWN = sorted((Path(__file__).parents[1] / "detectors").glob("*.trace"))


@functools.cache
def drawn() -> tuple[pl.DataFrame, Texts]:
    """All drawn cases of all rules as one frame of spans."""
    texts = Texts()
    frames = [
        decode_traces(request(case).SerializeToString(), texts).frame
        for path in DRAWN
        for case in read_cases(path)
    ]
    return pl.concat(frames), texts


@functools.cache
def whole() -> tuple[Facts, bytes]:
    """Facts and findings of everything at once."""
    spans, texts = drawn()
    facts = facts_of(spans, texts)
    return facts, as_bytes(judge_facts(facts))


def as_bytes(judgement: Judgement) -> bytes:
    """A judgement down to the last byte."""
    rows = [dataclasses.asdict(row) for row in (*judgement.findings, *judgement.visibility)]
    return msgspec.json.encode(rows)


def by_trace(spans: pl.DataFrame, parts: int, seed: int) -> list[pl.DataFrame]:
    """Whole traces dealt to `parts` frames, rows of each in a random order."""
    dealt = spans.with_columns(
        ((pl.col("trace_hi") ^ pl.col("trace_lo")).hash(seed) % parts).alias("_part")
    )
    return [
        frame.drop("_part").sample(fraction=1, shuffle=True, seed=seed)
        for _, frame in dealt.group_by("_part")
    ]

"""Facts made natively are those that Polars makes, of whatever spans."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.kit import native, sampling
from detectors.kit.catalogue import tables
from detectors.kit.columns import SPAN_SCHEMA
from detectors.kit.engine import facts_of
from detectors.kit.texts import code
from kit.test_kernels import SHAPES, all_steps, by_numpy, forest, in_order, same

pytestmark = pytest.mark.skipif(native.kernels() is None, reason="the extension is not built")

MS = 1_000_000
FEW = (1, 2, 3)
VERBS = tuple(code(v) for v in ("GET", "POST", "PUT", "DELETE", "SELECT", "INSERT"))
DRAWN: dict[str, tuple[tuple[Any, ...], float]] = {
    **dict.fromkeys(("environment", "version", "instance", "namespace"), (FEW, 0.3)),
    **dict.fromkeys(("target", "predicate", "error_type", "code_file", "route"), (FEW, 0.4)),
    "label": (FEW, 0.0),  # a decoder names every span
    "operation": (VERBS, 0.3),
    "values": ((*range(1, 8), code("")), 0.3),
    "entity": (tuple(range(1, 8)), 0.5),
    "actor": (tuple(range(1, 8)), 0.5),
    "repeat": ((1, 1, 1, 2, 40), 0.0),
    "resends": ((0, 1, 3), 0.8),
    "sample_ppm": ((1_000_000, 1_000), 0.8),
    "code_line": (FEW, 0.5),
    "http_status": ((200, 204, 302, 400, 404, 408, 429, 500, 503), 0.4),
    "rpc_status": ((0, 1, 4, 5, 14), 0.8),
    "message_id": (FEW, 0.5),
    "remote_parent": ((True, False), 0.3),
    "links": (([1, 1, 1], [1, 1, 2], [1, 1, 3, 1, 1, 4], []), 0.5),
}
"""What spans differ in beside what `forest` draws: values, and how often there is none."""


def traffic(seed: int, count: int, shape: str, traces: int) -> pl.DataFrame:
    """Spans with all columns that facts are made of: within an hour, each of up to 20 s."""
    draw = np.random.default_rng(seed)
    spans = forest(seed, count, shape, traces)
    columns = {
        "start_ns": draw.integers(0, 20, count) * int(draw.choice((MS, 500 * MS, 90_000 * MS))),
        "duration_ns": (10 ** draw.uniform(0, 10.3, count)).astype(np.int64),
    }

    def some(values: tuple[Any, ...], nulls: float) -> list[Any]:
        picked = [values[i] for i in draw.integers(0, len(values), count)]
        none = draw.random(count) < nulls
        return [None if n else value for value, n in zip(picked, none, strict=True)]

    drawn = {name: some(values, nulls) for name, (values, nulls) in DRAWN.items()}
    told = {n: pl.Series(n, v, SPAN_SCHEMA[n]) for n, v in {**columns, **drawn}.items()}
    return spans.with_columns(**told)


def facts(spans: pl.DataFrame, level: int) -> dict[str, pl.DataFrame]:
    """What is observed of whole traces, by table."""
    sampled = (t.name for t in tables() if sampling.sample_key(t) is not None)
    found = facts_of(tables(), spans, dict.fromkeys(sampled, level))
    return {table.name: rows for table, rows in found}


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 150),
    shape=st.sampled_from(SHAPES),
    traces=st.sampled_from((1, 3, 30)),
    level=st.sampled_from((0, 0, 1, 3)),
)
def test_facts_are_the_same(seed: int, count: int, shape: str, traces: int, level: int) -> None:
    spans = all_steps(traffic(seed, count, shape, traces))[0]

    found, wanted = facts(spans, level), by_numpy(facts, spans, level)

    for name, rows in wanted.items():
        same(found[name], rows)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from(SHAPES))
def test_traces_come_in_any_order(seed: int, shape: str) -> None:
    spans = in_order(traffic(seed, 60, shape, 12))
    traces = spans.partition_by("trace_hi", "trace_lo", maintain_order=True)
    moved = pl.concat(traces[n] for n in np.random.default_rng(seed).permutation(len(traces)))
    assert native.lay_out(moved) is not None

    found, wanted = (facts(all_steps(rows)[0], 1) for rows in (moved, spans))

    for name, rows in wanted.items():
        same(found[name], rows)


def test_facts_of_many_spans_are_the_same() -> None:
    for number, shape in enumerate(SHAPES):
        spans = all_steps(traffic(number, 5_000, shape, 700))[0]
        found, wanted = facts(spans, 0), by_numpy(facts, spans, 0)
        for name, rows in wanted.items():
            same(found[name], rows)


def test_what_is_drawn_makes_facts_of_each_kind() -> None:
    rows = dict.fromkeys((t.name for t in tables()), 0)
    for number, shape in enumerate(SHAPES):
        spans = all_steps(traffic(number, 3_000, shape, 400))[0]
        for name, found in facts(spans, 0).items():
            rows[name] += found.height

    assert not [name for name, height in rows.items() if height < 10]


def test_what_a_decoder_writes_is_observed_natively() -> None:
    spans = all_steps(traffic(1, 500, "any", 50))[0]

    made = native.facts_of(spans, {t.name: (None, ["pane"]) for t in tables()})

    queries = {"duplicates", "origins"}
    assert made.keys() == {t.name for t in tables()} - queries


@given(st.lists(st.one_of(st.none(), st.integers(0, 3), st.integers(0, 2**64 - 1)), max_size=40))
def test_codes_are_told_once(codes: list[int | None]) -> None:
    frame = pl.DataFrame(
        {"one": codes, "other": codes[::-1]},
        schema_overrides=dict.fromkeys(("one", "other"), pl.UInt64),
    )

    found = native.distinct(frame, ["one", "other"])

    assert found is not None
    assert sorted(found) == sorted({code for code in codes if code is not None})

"""The native kernels give the same columns as numpy, on whatever forest of spans."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from collector.decode.files import read_files
from detectors.kit import native
from detectors.kit.answers import tell_work
from detectors.kit.aside import BUMPS, MEMCACHED, look_aside
from detectors.kit.columns import CATEGORIES, KINDS, SPAN_SCHEMA, STATUSES
from detectors.kit.engine import Facts, observe
from detectors.kit.forest import canonical_order
from detectors.kit.repairs import repair
from detectors.kit.structure import assemble
from detectors.kit.texts import Texts
from detectors.kit.traits import Trait
from support.algebra import drawn
from support.frames import DEFAULTS, frame, span

DATA = Path(__file__).parents[1] / "data"

pytestmark = pytest.mark.skipif(native.kernels() is None, reason="the extension is not built")

SHAPES = ("few ids", "chain", "star", "backwards", "any", "commands", "statements")
TIMES = (0, 5, -1, 1 << 61, (1 << 63) - 1, -(1 << 63))
SEVERAL = (
    *(Trait.FILL | Trait.EXPIRES, Trait.FILL | Trait.READ, Trait.FILL | Trait.PARAMETERS),
    *(Trait.READ | Trait.SINGLE_KEY, Trait.READ | Trait.LISTED),
)
SOME_TRAITS = [0, *(int(t) for t in (*Trait, *SEVERAL))]
COMMANDS = (Trait.READ, Trait.FILL, Trait.EVICT, Trait.EXPIRES, *SEVERAL)


def by_numpy(call: Callable[..., Any], *given_: Any) -> Any:
    """What a call gives without the extension."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "kernels", lambda: None)
        return call(*given_)


def forest(seed: int, count: int, shape: str, traces: int) -> pl.DataFrame:
    """Spans of some traces, drawn by a seed; every column that kernels read differs."""
    draw = np.random.default_rng(seed)

    def one_of(values: Any, nulls: float = 0.0) -> list[Any]:
        drawn_ = [values[i] for i in draw.integers(0, len(values), count)]
        return [None if n < nulls else v for n, v in zip(draw.random(count), drawn_, strict=True)]

    own = np.arange(count)
    trace = np.sort(draw.integers(1, traces + 1, count))
    first, size = np.searchsorted(trace, trace), np.bincount(trace)[trace]
    few = draw.integers(1, 9, count)
    ids = few if shape == "few ids" else draw.permutation(own) + 1
    above = {
        "chain": ids[own - 1],
        "star": ids[first],
        "backwards": np.roll(ids, -1),
        "any": ids[first + draw.integers(0, size)],
        "commands": ids[first],
        "statements": ids[first + draw.integers(0, np.minimum(size, 5))],
    }.get(shape, few)
    alone = draw.random(count) < 0.2
    if shape == "commands":
        alone = own == first
    extreme = draw.random() < 0.3
    numbers = (1, 2, 3)
    columns: dict[str, Any] = {
        "trace_hi": trace % 2,
        "trace_lo": trace,
        "span_id": ids,
        "parent_span_id": pl.Series(above).set(pl.Series(alone), None),
        "kind": one_of((*KINDS, "client", "client", "client")),
        "status": one_of(STATUSES),
        "category": one_of((*CATEGORIES, "http", "http", "db", "cache")),
        "traits": one_of(SOME_TRAITS),
        "start_ns": one_of(TIMES) if extreme else draw.integers(0, 50, count),
        "duration_ns": one_of(TIMES) if extreme else draw.integers(0, 50, count),
        "service": one_of((1, 2)),
        "label": one_of(numbers, 0.1),
        "system": one_of((1, MEMCACHED), 0.3),
        "operation": one_of((1, BUMPS[0], BUMPS[-1]), 0.3),
        "key": one_of((1, 2), 0.4),
        "hit": one_of((True, False), 0.6),
        "http_status": one_of((200, 400, 503), 0.5),
        "rpc_status": one_of((0, 14), 0.6),
        **{n: one_of(numbers, 0.3) for n in ("scope", "peer", "shape", "path", "entity", "actor")},
        "values": one_of(numbers, 0.5),
    }
    if shape in ("commands", "statements"):  # of one service, so that they meet
        columns |= {"service": [1] * count, "kind": ["client"] * count}
    if shape == "commands":
        columns["category"] = one_of(("cache", "cache", "db"))
        columns["traits"] = [int(t) for t in one_of(COMMANDS)]
        columns["status"] = one_of(("unset", "unset", "error"))
    if shape == "statements":
        columns |= {"category": ["db"] * count, "shape": [1] * count, "traits": [1] * count}
    rest = {n: [DEFAULTS.get(n)] * count for n in SPAN_SCHEMA if n not in columns}
    spans = pl.DataFrame({**columns, **rest}, schema=SPAN_SCHEMA, strict=False)
    return spans[draw.permutation(count)]


def same(one: pl.DataFrame, two: pl.DataFrame) -> None:
    assert_frame_equal(one, two, check_exact=True)


def in_order(spans: pl.DataFrame) -> pl.DataFrame:
    """By trace and within it: rows that come so are numbered alike with and without kernels."""
    order = canonical_order(spans).rows
    return spans if order is None else spans[order]


def all_steps(spans: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Repaired, structured and told."""
    repaired, counts = repair(spans)
    return look_aside(tell_work(assemble(repaired))), counts


FORESTS = given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 80),
    shape=st.sampled_from(SHAPES),
    traces=st.sampled_from((1, 3, 30)),
)


@settings(max_examples=300)
@FORESTS
def test_kernels_and_numpy_agree(seed: int, count: int, shape: str, traces: int) -> None:
    spans = in_order(forest(seed, count, shape, traces))

    (found, counts), (wanted, others) = all_steps(spans), by_numpy(all_steps, spans)

    assert counts == others
    same(found, wanted)


@settings(max_examples=100)
@FORESTS
def test_structure_agrees_on_spans_that_nobody_repaired(
    seed: int, count: int, shape: str, traces: int
) -> None:
    spans = in_order(forest(seed, count, shape, traces))

    same(assemble(spans), by_numpy(assemble, spans))


def test_kernels_agree_on_many_spans() -> None:
    for number, shape in enumerate(SHAPES):
        for traces in (1, 50, 3_000):
            spans = forest(number, 20_000, shape, traces)
            found, counts = all_steps(spans)
            wanted, others = by_numpy(all_steps, spans)
            assert counts == others
            same(found, wanted)


def test_what_is_drawn_has_all_that_is_repaired() -> None:
    counts: dict[str, int] = {}
    for number, shape in enumerate(SHAPES):
        for reason, spans in repair(forest(number, 20_000, shape, 50))[1].items():
            counts[reason] = counts.get(reason, 0) + spans

    wanted = ("duplicate", "cycle", "asgi", "driver_step", "cursor", "orm_driver", "nested_client")
    assert sorted(counts) == sorted(f"repaired:{reason}" for reason in wanted)


def test_kernels_take_what_a_decoder_writes() -> None:
    spans = repair(drawn()[0])[0]
    assert native.lay_out(spans) is not None
    calls: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        made = native.made

        def noted(kernel: Any, frame: pl.DataFrame, names: Any) -> pl.DataFrame | None:
            found = made(kernel, frame, names)
            calls.append(f"{kernel.__name__} {found is not None}")
            return found

        patch.setattr(native, "made", noted)
        all_steps(spans)

    assert calls == ["structure True", "worked True", "aside True"]


def test_another_interface_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("spanlint_native")
    monkeypatch.setitem(sys.modules, "spanlint_native", other)
    for spoken in (native.INTERFACE - 1, native.INTERFACE + 1):
        other.INTERFACE = spoken  # type: ignore[attr-defined]
        assert native.kernels.__wrapped__() is None


def test_an_extension_that_does_not_fit_is_announced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stale = ModuleType("spanlint_native")
    stale.INTERFACE = native.INTERFACE  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spanlint_native", stale)

    assert native.kernels.__wrapped__() is None
    assert "using numpy" in caplog.text


def test_several_chunks_are_read_as_one() -> None:
    spans = forest(1, 500, "any", 30)
    parts = pl.concat([spans[:200], spans[200:]], rechunk=False)
    assert parts.n_chunks() == 2

    same(all_steps(parts)[0], all_steps(spans)[0])


def test_columns_that_no_decoder_writes_are_left_to_numpy() -> None:
    spans = frame(span(1, status=None), span(2, 1, kind="client", category="http"))

    same(assemble(spans), by_numpy(assemble, spans))
    same(tell_work(assemble(spans)), by_numpy(lambda: tell_work(assemble(spans))))


def _facts(spans: pl.DataFrame, texts: Texts) -> Facts:
    return observe(spans, texts.select)


@pytest.mark.parametrize("name", ["cap_default", "cap_http_database", "cap2_default", "drawn"])
def test_facts_of_recorded_spans_are_the_same(name: str) -> None:
    if name == "drawn":
        spans, texts = drawn()
    else:
        texts = Texts()
        files = read_files([str(DATA / f"{name}.jsonl.gz")], texts)
        spans = pl.concat([decoded.frame for decoded in files])

    found, wanted = _facts(spans, texts), by_numpy(_facts, spans, texts)

    assert found.counts == wanted.counts
    assert found.texts == wanted.texts
    assert found.frames.keys() == wanted.frames.keys()
    for table, rows in wanted.frames.items():
        same(found.frames[table], rows)

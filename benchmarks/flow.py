"""The stages of the flow, each as a call on the spans of the workload, ready to be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import polars as pl

from benchmarks.bodies import START_NS, Body, as_json, freshen
from collector.decode.choice import decoders, make_decoder, make_json_decoder
from collector.detect import slab_of
from collector.inline import inline
from collector.window import Window
from detectors.kit.answers import tell_work
from detectors.kit.aside import look_aside
from detectors.kit.contract import Context
from detectors.kit.engine import Facts, default_settings, judge, merge_facts, observe, since
from detectors.kit.repairs import repair
from detectors.kit.structure import assemble
from detectors.kit.texts import Texts

NS = 1_000_000_000
SPANS_A_SECOND = 20_000
SPANS_A_JUDGEMENT = 350_000
"""As many as come between two at that rate: one takes some 0.17 s, and all of them a hundredth of a
core (`collector.pace`)."""
COLUMNS = ("repairs", "structure", "work and answers", "look aside")
OBSERVE = "observe, columns too"
Encoding = Literal["protobuf", "JSON"]
Fresh = Callable[[Encoding, int], list[bytes]]
"""The bodies of a round, as they are sent: with ids, times and literals of its own."""


@dataclass(frozen=True, slots=True)
class Material:
    """The workload at each stage: bodies, decoded frames, closed slabs, facts."""

    bodies: list[Body]
    texts: Texts
    frames: list[pl.DataFrame]
    slabs: list[pl.DataFrame]
    facts: list[Facts]

    @property
    def spans(self) -> int:
        """Spans in all bodies."""
        return sum(b.spans for b in self.bodies)


@dataclass(frozen=True, slots=True)
class Stage:
    """What is measured, and the spans that it is about.

    make: gives the call for a round. Making it is not measured.
    """

    name: str
    spans: int
    make: Callable[[int], Callable[[], Any]]


def prepare(bodies: list[Body]) -> Material:
    """Runs the workload once through all stages."""
    texts = Texts()
    decoder = make_decoder(texts)
    frames = [decoder(body.data).frame for body in bodies]
    closed, slabs = windowed(frames), []
    while closed:
        slabs.append(pl.concat(slab_of(closed)))
    facts = [observe(slab, texts.select) for slab in slabs]
    return Material(bodies, texts, frames, slabs, facts)


def windowed(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """The frames through a window with a clock of its own, at 20,000 spans a second."""
    window = Window()
    now_s, step_s = START_NS / NS, frames[0].height / SPANS_A_SECOND
    closed: list[pl.DataFrame] = []
    ticked = now_s
    for frame in frames:
        now_s += step_s
        window.add(frame, now_s)
        if now_s - ticked >= 0.5:
            closed += window.close_due(now_s)
            ticked = now_s
    for _ in range(40):
        now_s += 0.5
        closed += window.close_due(now_s)
    return closed + window.close_all(now_s)


def each(call: Callable[[Any], Any], items: Iterable[Any]) -> None:
    """Calls with each of them, keeping nothing."""
    for item in items:
        call(item)


def fresh_of(bodies: list[Body]) -> Fresh:
    """Bodies made new for each round."""

    def fresh(encoding: Encoding, round_: int) -> list[bytes]:
        made = [freshen(body, round_) for body in _some(bodies, encoding)]
        return made if encoding == "protobuf" else [as_json(data) for data in made]

    return fresh


def _some(bodies: list[Body], encoding: Encoding) -> list[Body]:
    """All of them, or a fifth as JSON, which takes long to write."""
    return bodies if encoding == "protobuf" else bodies[: max(8, len(bodies) // 5)]


def decoding(bodies: list[Body], fresh: Fresh) -> Iterator[tuple[str, Stage]]:
    """Decoding by each decoder there is, native first, and its name; shapes are included."""
    for name, make in decoders().items():
        yield name, _decode(f"decode, {name}", bodies, fresh, "protobuf", make(Texts(), None))
    for name, make in decoders().items():
        texts = Texts()
        decoder = make_json_decoder(texts, None, make(texts, None))
        yield name, _decode(f"decode, JSON, {name}", bodies, fresh, "JSON", decoder)


def _decode(
    name: str, bodies: list[Body], fresh: Fresh, encoding: Encoding, decoder: Callable[[bytes], Any]
) -> Stage:
    spans = sum(body.spans for body in _some(bodies, encoding))
    return Stage(name, spans, lambda round_: partial(each, decoder, fresh(encoding, round_)))


def window(material: Material) -> Stage:
    """Buffering spans and closing their traces."""
    return _same("window: buffer, close", material.spans, partial(windowed, material.frames))


def columns(slabs: list[pl.DataFrame]) -> Iterator[Stage]:
    """What each slab gets before it is observed, one after the other."""
    spans = sum(slab.height for slab in slabs)
    names = iter(COLUMNS)
    yield _same(next(names), spans, lambda: [repair(s) for s in slabs])
    repaired = [repair(s)[0] for s in slabs]
    yield _same(next(names), spans, lambda: [assemble(s) for s in repaired])
    plain = [assemble(s) for s in repaired]
    yield _same(next(names), spans, lambda: [tell_work(s) for s in plain])
    worked = [tell_work(s) for s in plain]
    yield _same(next(names), spans, lambda: [look_aside(s) for s in worked])


def assembled(slabs: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """The slabs as tables observe them."""
    return [look_aside(tell_work(assemble(repair(slab)[0]))) for slab in slabs]


def observing(slabs: list[pl.DataFrame], texts: Texts) -> Stage:
    """All tables, and the columns before them."""
    spans = sum(slab.height for slab in slabs)
    return _same(OBSERVE, spans, lambda: [observe(s, texts.select) for s in slabs])


def merging(material: Material) -> Stage:
    """Facts of all slabs and of a request that came later become one: their panes meet."""
    facts = [*material.facts, *prepare(material.bodies[:1]).facts]
    return _same("merge", material.spans, lambda: merge_facts(facts))


def judging(facts: Facts) -> Stage:
    """A judgement by all rules, over the spans that come between two of them."""
    return _same(
        "judge, all rules",
        SPANS_A_JUDGEMENT,
        lambda: judge(since(facts, START_NS), judge_context()),
    )


def judge_context() -> Context:
    """A judgement a horizon after the workload began."""
    return Context(START_NS + 900 * NS, START_NS, default_settings)


def _same(name: str, spans: int, call: Callable[[], Any]) -> Stage:
    """A stage that works on the same spans each round, as the analysis calls it."""
    return Stage(name, spans, lambda _: partial(inline, call))

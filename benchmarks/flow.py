"""The stages of the flow, each as a call on the spans of the workload, ready to be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import polars as pl

from benchmarks.bodies import START_NS, Body, as_json, freshen
from collector.decode.choice import decoders, make_decoder, make_json_decoder
from collector.decode.model import Decoder
from collector.detect import GATHERED_ROWS
from collector.inline import inline
from collector.window.choice import make_window
from collector.window.model import Limits, Window
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
"""No more than come between two at that rate: one takes some 0.15 s, and all of them half a
hundredth of a core (`collector.pace`)."""
COLUMNS = ("repairs", "structure", "work and answers", "look aside")
OBSERVE = "observe, columns too"
Encoding = Literal["protobuf", "JSON"]
Fresh = Callable[[Encoding, int], list[bytes]]
"""The bodies of a round, as they are sent: with ids, times and literals of its own."""


@dataclass(frozen=True, slots=True)
class Material:
    """The workload at each stage: bodies, closed slabs, facts."""

    bodies: list[Body]
    texts: Texts
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
    slabs = windowed(decoded(bodies, texts))
    facts = [observe(slab, texts.select) for slab in slabs]
    return Material(bodies, texts, slabs, facts)


def decoded(bodies: list[Body], texts: Texts) -> list[Sized]:
    """The spans of each body, as a window takes them."""
    decoder = make_decoder(texts)
    spans: list[Sized] = []
    for body in bodies:
        decoder.feed(body.data)
        spans += decoder.take_packed()
    return spans


def windowed(requests: list[Sized]) -> list[pl.DataFrame]:
    """Requests through a window with a clock of its own, at 20,000 spans a second: its slabs."""
    window = make_window(Limits())
    now_s, step_s = START_NS / NS, len(requests[0]) / SPANS_A_SECOND
    slabs: list[pl.DataFrame] = []
    ticked = now_s
    for spans in requests:
        now_s += step_s
        window.add(spans, now_s)
        if now_s - ticked >= 0.5:
            window.advance(now_s)
            slabs += _taken(window, GATHERED_ROWS)
            ticked = now_s
    for _ in range(40):
        now_s += 0.5
        window.advance(now_s)
        slabs += _taken(window, GATHERED_ROWS)
    window.finish(now_s)
    return slabs + _taken(window, 1)


def _taken(window: Window, enough: int) -> list[pl.DataFrame]:
    """Slabs, as long as so many spans are closed."""
    slabs = []
    while window.closed_rows >= enough:
        slabs.append(window.take(GATHERED_ROWS))
    return slabs


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
    name: str, bodies: list[Body], fresh: Fresh, encoding: Encoding, decoder: Decoder
) -> Stage:
    """Each body, up to what a window takes."""
    spans = sum(body.spans for body in _some(bodies, encoding))

    def decode(body: bytes) -> None:
        decoder.feed(body)
        decoder.take_packed()

    return Stage(name, spans, lambda round_: partial(each, decode, fresh(encoding, round_)))


def window(material: Material) -> Stage:
    """Packing spans, closing their traces, and writing these to columns."""
    texts = material.texts

    def make(_: int) -> Callable[[], Any]:
        return partial(inline, partial(windowed, decoded(material.bodies, texts)))

    return Stage("window: buffer, close", material.spans, make)


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

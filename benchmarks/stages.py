"""µs of CPU per span of each stage, in this process, on the spans of the workload.

Tables and rules are those that the catalogue finds. The marginal cost of a table is that of all
tables less that of all others: what they share is counted to none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import polars as pl
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.bodies import START_NS, Body, as_json, freshen
from benchmarks.figures import BUDGETS, Figure, Path, cpu_us_per, repeated
from collector.decode.choice import NATIVE, decoders, make_decoder, make_json_decoder
from collector.detect import GATHERED_ROWS
from collector.window import Window
from detectors.kit.answers import tell_work
from detectors.kit.aside import look_aside
from detectors.kit.catalogue import rules, tables
from detectors.kit.contract import Context
from detectors.kit.engine import Facts, default_settings, judge, merge_facts, observe, since
from detectors.kit.repairs import repair
from detectors.kit.shapes.sql import shape_statement
from detectors.kit.structure import assemble
from detectors.kit.texts import Texts

_NS = 1_000_000_000
_SPANS_A_SECOND = 20_000
_JUDGE_INTERVAL_S = 5
_TEXT_OF_STATEMENTS = ("db.statement", "db.query.text")


@dataclass(frozen=True, slots=True)
class Material:
    """The workload at each stage: bodies, decoded frames, closed slabs, facts."""

    bodies: list[Body]
    texts: Texts
    frames: list[pl.DataFrame]
    slabs: list[pl.DataFrame]
    assembled: list[pl.DataFrame]
    facts: list[Facts]

    @property
    def spans(self) -> int:
        """Spans in all bodies."""
        return sum(b.spans for b in self.bodies)


def prepare(bodies: list[Body]) -> Material:
    """Runs the workload once through all stages."""
    texts = Texts()
    decoder = make_decoder(texts)
    frames = [decoder(body.data).frame for body in bodies]
    slabs = _gathered(windowed(frames))
    assembled = [look_aside(tell_work(assemble(repair(slab)[0]))) for slab in slabs]
    facts = [observe(slab, texts.select) for slab in slabs]
    return Material(bodies, texts, frames, slabs, assembled, facts)


def _gathered(closed: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Closed traces as the detector observes them when it is busy."""
    slabs: list[list[pl.DataFrame]] = [[]]
    for frame in closed:
        if sum(f.height for f in slabs[-1]) + frame.height > GATHERED_ROWS and slabs[-1]:
            slabs.append([])
        slabs[-1].append(frame)
    return [pl.concat(parts) for parts in slabs]


def windowed(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """The frames through a window with a clock of its own, at 20,000 spans a second."""
    window = Window()
    now_s, step_s = START_NS / _NS, frames[0].height / _SPANS_A_SECOND
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


def stage_figures(material: Material, path: Path, times: int) -> Iterator[Figure]:
    """All stages, in the order of the flow."""
    yield from _decoding(material, times)
    yield from _shaping(material, times)
    yield from _columns(material, path, times)
    yield from _tables(material, times)
    yield from _judging(material, times)


def _budget(stage: str, path: Path) -> float:
    return BUDGETS[stage][path]


def _decoding(material: Material, times: int) -> Iterator[Figure]:
    some = material.bodies[: max(8, len(material.bodies) // 5)]  # JSON takes long to write
    for name, make in decoders().items():
        own: Path = "native" if name == NATIVE else "reference"
        found = _decoded(material.bodies, make(Texts(), None), bytes, times)
        budget = _budget("decode", own) + _budget("shapes, new", own)
        yield Figure(
            "stages", f"decode, {name}", "µs/span", found, budget, "with shapes, as the budget"
        )
    for name, make in decoders().items():
        texts = Texts()
        decoder = make_json_decoder(texts, None, make(texts, None))
        found = _decoded(some, decoder, as_json, times)
        yield Figure("stages", f"decode, JSON, {name}", "µs/span", found, note="shapes included")


def _decoded(
    bodies: list[Body],
    decoder: Callable[[bytes], Any],
    encode: Callable[[bytes], bytes],
    times: int,
) -> tuple[float, ...]:
    spans = sum(b.spans for b in bodies)
    found = []
    for round_ in range(times + 1):
        fresh = [encode(freshen(body, round_)) for body in bodies]
        found.append(cpu_us_per(spans, partial(_each, decoder, fresh)))
    return tuple(found[1:])  # the first filled the caches


def _each(call: Callable[[Any], Any], items: Iterable[Any]) -> None:
    for item in items:
        call(item)


def _shape(statement: tuple[str, str]) -> None:
    shape_statement(*statement)


def _statements(body: bytes) -> list[tuple[str, str]]:
    """(statement, system) of every span that has one."""
    request = ExportTraceServiceRequest.FromString(body)
    spans = (s for r in request.resource_spans for c in r.scope_spans for s in c.spans)
    found = []
    for span in spans:
        told = {pair.key: pair.value.string_value for pair in span.attributes}
        system = told.get("db.system") or told.get("db.system.name") or ""
        text = next((told[n] for n in _TEXT_OF_STATEMENTS if n in told), None)
        if text is not None and system not in ("", "redis"):
            found.append((text, system))
    return found


def _shaping(material: Material, times: int) -> Iterator[Figure]:
    kept = lru_cache(100_000)(shape_statement)  # as the decoder keeps them
    known = [s for body in material.bodies for s in _statements(body.data)]
    seen = set(known)
    cached = repeated(times, material.spans, lambda: [kept(*s) for s in known])
    budget = _budget("shapes, cached", "reference")  # the native decoder has its own, inside
    yield Figure("stages", "shapes, cached", "µs/span", cached, budget)
    new: list[float] = []
    single: list[float] = []
    for round_ in range(1, times + 1):
        texts = {s for b in material.bodies for s in _statements(freshen(b, round_))} - seen
        per = cpu_us_per(len(texts), partial(_each, _shape, texts))
        single.append(per)
        new.append(per * len(texts) / material.spans)
    note = f"{len(texts) / material.spans:.1%} of spans; native: in decode"
    yield Figure(
        "stages", "shapes, new", "µs/span", tuple(new), _budget("shapes, new", "reference"), note
    )
    yield Figure("stages", "  one new statement", "µs", tuple(single))


def _columns(material: Material, path: Path, times: int) -> Iterator[Figure]:
    spans = material.spans
    found = repeated(times, spans, lambda: windowed(material.frames))
    yield Figure("stages", "window: buffer, close", "µs/span", found, _budget("window", path))
    repairs = repeated(times, spans, lambda: [repair(s) for s in material.slabs])
    repaired = [repair(s)[0] for s in material.slabs]
    assembly = repeated(times, spans, lambda: [assemble(s) for s in repaired])
    plain = [assemble(s) for s in repaired]
    answers = repeated(times, spans, lambda: [tell_work(s) for s in plain])
    worked = [tell_work(s) for s in plain]
    aside = repeated(times, spans, lambda: [look_aside(s) for s in worked])
    both = tuple(map(sum, zip(repairs, assembly, answers, aside, strict=True)))
    budget = _budget("structure", path)
    yield Figure("stages", "structure and repairs", "µs/span", both, budget)
    yield Figure("stages", "  repairs", "µs/span", repairs)
    yield Figure("stages", "  structure", "µs/span", assembly)
    yield Figure("stages", "  work and answers", "µs/span", answers)
    yield Figure("stages", "  look aside", "µs/span", aside)
    whole = repeated(
        times, spans, lambda: [observe(s, material.texts.select) for s in material.slabs]
    )
    alone = tuple(a - b for a, b in zip(whole, both, strict=True))
    rows = sum(s.height for s in material.slabs) // len(material.slabs)
    note = f"slabs of {rows:,} rows"
    budget = _budget("observe", path)
    yield Figure("stages", "observe, all tables", "µs/span", alone, budget, note)


def _tables(material: Material, times: int) -> Iterator[Figure]:
    found = tables()

    def collect(chosen: list[Any]) -> None:
        for spans in material.assembled:
            pl.collect_all([t.observe(spans.lazy()) for t in chosen])

    whole = repeated(times, material.spans, lambda: collect(list(found)))
    yield Figure("stages", "  all queries", "µs/span", whole, note="without merging")
    for table in found:
        others = [t for t in found if t is not table]
        rest = repeated(times, material.spans, partial(collect, others))
        marginal = tuple(min(whole) - value for value in rest)
        yield Figure("tables", table.name, "µs/span", marginal, note="marginal")
    alone = repeated(times, material.spans, lambda: merge_facts(material.facts))
    yield Figure("stages", "merge", "µs/span", alone)


def _judging(material: Material, times: int) -> Iterator[Figure]:
    facts = merge_facts(material.facts)
    context = Context(START_NS + 900 * _NS, START_NS, default_settings)
    a_judgement = _SPANS_A_SECOND * _JUDGE_INTERVAL_S
    rows = sum(f.height for f in facts.frames.values())
    note = f"{rows:,} rows of facts, every {_JUDGE_INTERVAL_S} s at {_SPANS_A_SECOND:,} spans/s"

    def all_rules() -> None:
        judge(since(facts, START_NS), context)

    whole = repeated(times, a_judgement, all_rules)
    yield Figure("stages", "judge, all rules", "µs/span", whole, note=note)
    for rule in rules():
        spent = repeated(times, 1_000, partial(judge, facts, context, [rule]))
        yield Figure("rules", f"{rule.code} {rule.name}", "ms", spent, note="a judgement")

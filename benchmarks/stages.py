"""µs of CPU per span of each stage, in this process, on the spans of the workload.

Tables and rules are those that the catalogue finds. The marginal cost of a table is that of all
tables less that of all others: what they share is counted to none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks import flow
from benchmarks.bodies import freshen
from benchmarks.figures import BUDGETS, Figure, Path, cpu_us_per, repeated
from benchmarks.flow import SPANS_A_JUDGEMENT, Material, Stage
from collector.decode.choice import NATIVE
from collector.inline import inline
from detectors.kit.catalogue import rules, tables
from detectors.kit.engine import facts_of, judge, merge_facts
from detectors.kit.shapes.sql import shape_statement

_TEXT_OF_STATEMENTS = ("db.statement", "db.query.text")


def stage_figures(material: Material, path: Path, times: int) -> Iterator[Figure]:
    """All stages, in the order of the flow."""
    yield from _decoding(material, times)
    yield from _shaping(material, times)
    yield from _columns(material, path, times)
    yield from _tables(material, times)
    yield from _judging(material, times)


def _budget(stage: str, path: Path) -> float:
    return BUDGETS[stage][path]


def _measured(stage: Stage, times: int) -> tuple[float, ...]:
    """µs of CPU per span, so often, after a round that fills the caches."""
    rounds = (stage.make(number) for number in range(times + 1))
    return tuple(cpu_us_per(stage.spans, call) for call in rounds)[1:]


def _decoding(material: Material, times: int) -> Iterator[Figure]:
    for name, stage in flow.decoding(material.bodies, flow.fresh_of(material.bodies)):
        found = _measured(stage, times)
        if "JSON" in stage.name:
            yield Figure("stages", stage.name, "µs/span", found, note="shapes included")
            continue
        own: Path = "native" if name == NATIVE else "reference"
        budget = _budget("decode", own) + _budget("shapes, new", own)
        note = "with shapes, as the budget"
        yield Figure("stages", stage.name, "µs/span", found, budget, note)


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
        per = cpu_us_per(len(texts), partial(flow.each, _shape, texts))
        single.append(per)
        new.append(per * len(texts) / material.spans)
    note = f"{len(texts) / material.spans:.1%} of spans; native: in decode"
    yield Figure(
        "stages", "shapes, new", "µs/span", tuple(new), _budget("shapes, new", "reference"), note
    )
    yield Figure("stages", "  one new statement", "µs", tuple(single))


def _columns(material: Material, path: Path, times: int) -> Iterator[Figure]:
    window = flow.window(material)
    found = _measured(window, times)
    yield Figure("stages", window.name, "µs/span", found, _budget("window", path))
    parts = {stage.name: _measured(stage, times) for stage in flow.columns(material.slabs)}
    both = tuple(map(sum, zip(*parts.values(), strict=True)))
    budget = _budget("structure", path)
    yield Figure("stages", "structure and repairs", "µs/span", both, budget)
    for name, values in parts.items():
        yield Figure("stages", f"  {name}", "µs/span", values)
    whole = _measured(flow.observing(material.slabs, material.texts), times)
    alone = tuple(a - b for a, b in zip(whole, both, strict=True))
    rows = sum(s.height for s in material.slabs) // len(material.slabs)
    note = f"slabs of {rows:,} rows"
    budget = _budget("observe", path)
    yield Figure("stages", "observe, all tables", "µs/span", alone, budget, note)


def _tables(material: Material, times: int) -> Iterator[Figure]:
    found = tables()
    assembled = flow.assembled(material.slabs)

    def collect(chosen: list[Any]) -> None:
        for spans in assembled:
            flow.each(len, facts_of(chosen, spans, {}))

    whole = repeated(times, material.spans, partial(inline, lambda: collect(list(found))))
    yield Figure("stages", "  all queries", "µs/span", whole, note="and their order")
    for table in found:
        others = [t for t in found if t is not table]
        rest = repeated(times, material.spans, partial(inline, partial(collect, others)))
        marginal = tuple(min(whole) - value for value in rest)
        yield Figure("tables", table.name, "µs/span", marginal, note="marginal")
    merge = flow.merging(material)
    yield Figure("stages", merge.name, "µs/span", _measured(merge, times))


def _judging(material: Material, times: int) -> Iterator[Figure]:
    facts = merge_facts(material.facts)
    rows = sum(f.height for f in facts.frames.values())
    note = f"{rows:,} rows of facts, once for {SPANS_A_JUDGEMENT:,} spans"
    whole, context = flow.judging(facts), flow.judge_context()
    yield Figure("stages", whole.name, "µs/span", _measured(whole, times), note=note)
    for rule in rules():
        spent = repeated(times, 1_000, partial(inline, partial(judge, facts, context, [rule])))
        yield Figure("rules", f"{rule.code} {rule.name}", "ms", spent, note="a judgement")

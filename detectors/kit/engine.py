"""Runs all facts tables over whole traces, merges facts, and runs all rules over the facts.

Pure: no clock, no I/O. `observe` takes span columns of whole traces and gives `Facts`; they merge
by `merge_facts`; `judge` gives findings. A process, a file check and a gateway use these three.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import (
    Callable,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

import polars as pl

from detectors.kit import merge as merging
from detectors.kit import native, sampling
from detectors.kit.alike import distinct
from detectors.kit.answers import tell_work
from detectors.kit.aside import look_aside
from detectors.kit.catalogue import rules, tables
from detectors.kit.columns import MISSING_ENTRY
from detectors.kit.contract import (
    FOLDED,
    Context,
    FactsTable,
    Finding,
    LastingTable,
    Rule,
    SampledTable,
    Visibility,
    fields_of,
)
from detectors.kit.repairs import repair
from detectors.kit.structure import assemble
from detectors.kit.texts import code
from detectors.kit.yielding import verdict_of

log = logging.getLogger(__name__)

_MISSING_ENTRY = code(MISSING_ENTRY)

Resolve = Callable[[Iterable[int]], dict[int, str]]


@dataclass(frozen=True, slots=True)
class Facts:
    """Merged facts of some traces: a frame per table, the texts of their codes, what was lost.

    `counts`: whole numbers that add up: spans (before repairs), traces, repairs by reason
    (`repaired:duplicate` …) and rows over a table's cap (`overflow:repeats`).
    """

    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    texts: Mapping[int, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    derived: MutableMapping[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def table(self, name: str) -> pl.DataFrame:
        """pane + the columns of that facts table; no rows when nothing was observed."""
        found = self.frames.get(name)
        if found is not None:
            return found
        return merging.none(_TABLES()[name])

    def text(self, value: int | None) -> str:
        """The text behind a code; `?` when it is not known any more, empty for None."""
        return "" if value is None else self.texts.get(value, "?")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all rules had to say: findings by severity, cost and identity; visibility by rule."""

    findings: tuple[Finding, ...]
    visibility: tuple[Visibility, ...]
    failed: Mapping[str, str] = field(default_factory=dict)


def _TABLES() -> dict[str, FactsTable]:  # noqa: N802 - reads as the constant that it is
    return {t.name: t for t in tables()}


def observe(
    spans: pl.DataFrame, resolve: Resolve, levels: Mapping[str, int] | None = None
) -> Facts:
    """Span columns of whole traces -> facts. `resolve` gives the texts of codes.

    levels: of sampled tables, see `levels`; all subjects without. Nothing here refers to `spans`
    once they are repaired: whoever keeps them no longer either has their memory back by then.
    """
    height = spans.height
    repaired, counts = repair(spans)
    del spans
    if not repaired.height:
        return Facts(counts={**counts, "spans": height})
    assembled = look_aside(tell_work(assemble(repaired)))
    del repaired
    frames: dict[str, pl.DataFrame] = {}
    tally = Counter(counts)
    tally["spans"] += height
    tally["traces"] += assembled["trace"].n_unique()
    for table, merged in facts_of(tables(), assembled, levels or {}):
        kept, lost = merging.cap(table, merged, table.max_rows)
        frames[table.name] = kept
        if lost:
            tally[f"overflow:{table.name}"] += lost
    codes = _codes(frames)
    texts = resolve(codes)
    if _MISSING_ENTRY in codes:
        texts[_MISSING_ENTRY] = MISSING_ENTRY
    return Facts(frames, texts, dict(tally))


def facts_of(
    chosen: Iterable[FactsTable], spans: pl.DataFrame, levels: Mapping[str, int]
) -> Iterator[tuple[FactsTable, pl.DataFrame]]:
    """Whole traces with all columns -> each table's facts, a row per key, in canonical order."""
    at = {t: None if sampling.sample_key(t) is None else levels.get(t.name, 0) for t in chosen}
    told = {table.name: (level, list(merging.schema(table))) for table, level in at.items()}
    made = native.facts_of(spans, told)
    for table, level in at.items():
        rows = made.pop(table.name, None)
        if rows is None and level is not None:
            observed = cast("SampledTable", table).observe(spans, level)
            rows = merging.regroup(table, observed)
        elif rows is None:
            rows = merging.regroup(table, table.observe(spans))
        yield table, rows


def levels(facts: Facts) -> dict[str, int]:
    """At which level to observe, by sampled table, what will be merged with these facts."""
    sampled = (n for n, t in _TABLES().items() if sampling.sample_key(t) is not None)
    return {name: sampling.next_level(facts.table(name)) for name in sampled}


def merge_facts(parts: Iterable[Facts]) -> Facts:
    """All of them as one; the order and grouping of `parts` do not matter.

    Where nobody keeps the parts, each table of theirs goes when it is merged.
    """
    texts: dict[int, str] = {}
    tally: Counter[str] = Counter()
    waiting: dict[str, list[pl.DataFrame]] = {}
    for part in parts:
        texts.update(part.texts)
        tally.update(part.counts)
        for name, frame in part.frames.items():
            waiting.setdefault(name, []).append(frame)
        del part
    frames: dict[str, pl.DataFrame] = {}
    for name, table in _TABLES().items():
        frames[name], lost = merging.merge_within(table, waiting.pop(name, []), table.max_rows)
        if lost:
            tally[f"overflow:{name}"] += lost
    return Facts(frames, texts, dict(tally))


def since(facts: Facts, start_ns: int) -> Facts:
    """The facts whose pane ends after `start_ns`, and those that last longer (`contract.Life`).

    Texts that no row needs any more are dropped.
    """
    known = _TABLES()
    fresh = {
        name: _after(facts.table(name), start_ns - t.pane_seconds * 1_000_000_000)
        for name, t in known.items()
    }
    frames = {
        name: _lasting(t, facts, fresh) if isinstance(t, LastingTable) else fresh[name]
        for name, t in known.items()
    }
    needed = _codes(frames)
    return Facts(
        frames, {c: facts.texts[c] for c in needed if c in facts.texts}, dict(facts.counts)
    )


def _after(frame: pl.DataFrame, pane_ns: int) -> pl.DataFrame:
    """The rows of later panes: a slice where panes ascend, as they do in merged facts."""
    panes = frame["pane"]
    if not panes.is_sorted():
        return frame.filter(panes > pane_ns)
    return frame[panes.search_sorted(pane_ns, side="right") :]


def _lasting(table: LastingTable, facts: Facts, fresh: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Fresh rows as they are, older ones of living subjects in the pane FOLDED."""
    subject = list(table.life.subject)
    living = fresh[table.life.table].select(subject).unique()
    oldest = fresh[table.name]["pane"].min()
    old = facts.table(table.name)
    if oldest is not None:
        old = old.filter(pl.col("pane") < oldest)
    kept = old.join(living, on=subject, how="semi", nulls_equal=True)
    if not kept.height:
        return fresh[table.name]
    folded = kept.with_columns(pl.lit(FOLDED, dtype=pl.Int64).alias("pane"))
    return merging.merge(table, [merging.regroup(table, folded), fresh[table.name]])


def lasting(facts: Facts) -> Facts:
    """What a process hands to its next start: the tables that last, and which instances serve.

    Panes are folded, for they have been counted, but those of the tables that keep others alive:
    an instance that does not serve again within the horizon is forgotten as if nothing had been.
    """
    known = {n: t for n, t in _TABLES().items() if isinstance(t, LastingTable)}
    keeping = {t.life.table for t in known.values()}
    frames = {}
    for name, table in known.items():
        frame = facts.table(name)
        if name not in keeping:
            folded = frame.with_columns(pl.lit(FOLDED, dtype=pl.Int64).alias("pane"))
            frame = merging.regroup(table, folded)
        frames[name] = frame
    return Facts(frames, {c: facts.texts[c] for c in _codes(frames) if c in facts.texts})


def _codes(frames: Mapping[str, pl.DataFrame]) -> set[int]:
    """Every text code that facts mention, exemplars included."""
    codes: set[int] = set()
    rest: list[pl.Series] = []
    for name, table in _TABLES().items():
        frame = frames.get(name)
        if frame is not None and frame.height:
            texts = [c.name for c in table.columns if c.text]
            found = native.distinct(frame, texts)
            if found is None:
                rest += frame[texts].get_columns()
            else:
                codes.update(found)
            for told in _exemplar_texts(table):
                rest += frame.select(told).get_columns()
    if not rest:
        return codes
    return codes | distinct(pl.concat(s.alias("code") for s in rest).drop_nulls())


@cache
def _exemplar_texts(table: FactsTable) -> Sequence[Sequence[pl.Expr]]:
    """The text codes of exemplars, flat; together what is of one length.

    A field is taken out before lists are exploded: of whole structs that is thrice the work.
    """
    told: list[list[pl.Expr]] = []
    for column in table.columns:
        single = []
        for name in column.texts:
            field = pl.element().struct.field(name)
            flat = pl.col(column.name).list.eval(field).explode(empty_as_null=False).alias(name)
            if fields_of(column)[name].is_nested():
                told.append([flat.explode(empty_as_null=False)])
            else:
                single.append(flat)
        told.append(single)
    return [exprs for exprs in told if exprs]


def judge(facts: Facts, context: Context, selected: Iterable[Rule] | None = None) -> Judgement:
    """Run rules over merged facts. A rule that raises is logged and named; the others go on."""
    findings: list[Finding] = []
    visibility: list[Visibility] = []
    failed: dict[str, str] = {}
    facts = replace(facts, derived={})  # what rules share is gone with the judgement
    for rule in selected if selected is not None else rules():
        try:
            verdict = verdict_of(facts, rule, context)
        except Exception as error:
            log.exception("rule %s failed", rule.code)
            failed[rule.code] = f"{type(error).__name__}: {error}"
            continue
        findings.extend(verdict.findings)
        visibility.extend(verdict.visibility)
    findings.sort(key=_by_cost)
    visibility.sort(key=lambda v: (v.code, v.service, v.state, v.reason))
    return Judgement(tuple(findings), tuple(visibility), failed)


def _by_cost(finding: Finding) -> tuple[Any, ...]:
    rank = {"critical": 0, "warning": 1, "info": 2}[finding.severity]
    return (
        rank,
        -finding.wasted_ns,
        finding.code,
        finding.service,
        finding.operation,
        finding.fingerprint,
    )


def default_settings(rule: Rule, service: str, operation: str) -> Any:  # noqa: ARG001
    """A `Lookup` that gives every rule its defaults."""
    return rule.Settings()

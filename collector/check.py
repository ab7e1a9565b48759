"""A recording, checked: decode -> whole traces -> facts -> judgement -> report.

Time is that of the recording: the latest end of a span is now. The same spans give the same report
to the last byte, in whatever order and pieces they come.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

import polars as pl

from collector.decode.errors import BrokenFile
from collector.decode.files import expand, read_packed
from collector.inline import inline
from collector.report.model import Report, Summary
from collector.spool.choice import make_spool
from collector.version import VERSION
from collector.window.model import SLAB_ROWS
from detectors.kit.catalogue import rules, tables
from detectors.kit.contract import Context, Lookup, Rule
from detectors.kit.engine import Facts, default_settings, judge, levels, merge_facts, observe
from detectors.kit.sampling import left_out, sample_key
from detectors.kit.texts import Texts

if TYPE_CHECKING:
    from collector.decode.model import DecodeOptions, Packed
    from collector.spool.model import Spool

DEFAULT_MEMORY_MB = 1_000
_SHARE_OF_SPANS = 0.15
"""Of the memory budget: what is made of a slab, on each core, takes more than the spans do."""
_MERGE_EVERY = 8
"""Slabs whose facts are kept before they are merged, which takes as much memory as they do."""
_PPM = 1_000_000


class Progress(Protocol):
    """Is told how far a check is."""

    def read(self, position: int) -> None:
        """Bytes that were read."""

    def observed(self, spans: int, total: int) -> None:
        """Spans whose traces were looked at, of all that were read."""


@dataclass(slots=True)
class _Tally:
    """What is counted of requests as they are read, and of slabs: a query has a fixed cost."""

    spans: int = 0
    errors: int = 0
    sampled: int = 0
    services: set[int] = field(default_factory=set)
    first_ns: int = 2**63 - 1
    last_ns: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)

    def read(self, packed: Packed) -> None:
        self.rejected.update(packed.rejected)
        self.repaired.update(packed.repaired)

    def add(self, frame: pl.DataFrame) -> None:
        self.spans += frame.height
        self.services.update(frame["service"].unique().to_list())
        row = frame.select(
            errors=(pl.col("status") == "error").sum(),
            sampled=(pl.col("sample_ppm") < _PPM).sum(),
            first=pl.col("start_ns").min(),
            last=(pl.col("start_ns") + pl.col("duration_ns")).max(),
        ).row(0)
        self.errors += row[0]
        self.sampled += row[1]
        self.first_ns = min(self.first_ns, row[2])
        self.last_ns = max(self.last_ns, row[3])


def check_files(  # noqa: PLR0913 - each by name
    paths: Sequence[str],
    *,
    selected: Sequence[Rule] | None = None,
    lookup: Lookup = default_settings,
    options: DecodeOptions | None = None,
    memory_mb: int = DEFAULT_MEMORY_MB,
    progress: Progress | None = None,
) -> Report:
    """The report of all files together. A broken file is an error in it, not an exception.

    Raises FileNotFoundError for a path that does not exist.
    """
    texts = Texts(max_texts=2_000_000, max_chars=256_000_000)
    errors: list[str] = []
    tally = _Tally()
    budget = int(memory_mb * 1_000_000 * _SHARE_OF_SPANS)
    with make_spool(budget, options.decoder if options else "auto") as spool:
        for packed in _read(paths, texts, options, progress, errors):
            tally.read(packed)
            for spans in packed.spans:
                spool.add(spans)
        facts = _observe(spool, texts, tally, progress)
    return _report(facts, tally, texts, tuple(selected or rules()), lookup, errors)


def _read(
    paths: Sequence[str],
    texts: Texts,
    options: DecodeOptions | None,
    progress: Progress | None,
    errors: list[str],
) -> Iterator[Packed]:
    """Files one by one, so that a broken one takes nothing from the others."""
    rest = expand(list(paths))
    before = last = 0

    def told(position: int) -> None:
        nonlocal last
        last = position
        if progress is not None:
            progress.read(before + position)

    for path in rest:
        last = 0
        try:
            yield from read_packed([path], texts, options, told)
        except BrokenFile as error:
            errors.append(str(error))
        before += last


def _observe(spool: Spool, texts: Texts, tally: _Tally, progress: Progress | None) -> Facts:
    """Facts of all slabs, a slab on every core at a time; the order of merging does not matter."""
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        merging = _Merging(pool)
        running: deque[Future[Facts]] = deque()
        for slab in spool.slabs(SLAB_ROWS):
            tally.add(slab)
            if progress is not None:
                progress.observed(tally.spans, spool.rows)
            work = partial(observe, slab, texts.select, merging.levels)
            running.append(pool.submit(inline, work))
            if len(running) >= cores:
                merging.add(running.popleft().result())
        for facts in running:
            merging.add(facts.result())
        return merging.finish()


class _Merging:
    """Facts of slabs, merged by the pool while it observes the next ones.

    levels: at which to observe sampled tables (`engine.levels`), as far as facts are merged.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._parts: list[Facts] = []
        self._merged: Future[Facts] | None = None
        self.levels: dict[str, int] = {}

    def add(self, facts: Facts) -> None:
        """Takes the facts of a slab."""
        self._parts.append(facts)
        if len(self._parts) >= _MERGE_EVERY:
            self._merge()

    def _merge(self) -> Future[Facts]:
        parts, self._parts = self._parts, []
        if self._merged is not None:
            known = self._merged.result()
            self.levels = levels(known)
            parts.append(known)
        self._merged = self._pool.submit(inline, partial(merge_facts, parts))
        return self._merged

    def finish(self) -> Facts:
        """All of them as one."""
        return self._merge().result()


def _report(  # noqa: PLR0913 - what there is to tell
    facts: Facts,
    tally: _Tally,
    texts: Texts,
    selected: tuple[Rule, ...],
    lookup: Lookup,
    errors: list[str],
) -> Report:
    context = Context(tally.last_ns, min(tally.first_ns, tally.last_ns), lookup)
    judgement = judge(facts, context, selected)
    repaired = Counter(tally.repaired)
    for name, n in facts.counts.items():
        if name.startswith("repaired:"):
            repaired[name.removeprefix("repaired:")] += n
    summary = Summary(
        spans=tally.spans,
        traces=facts.counts.get("traces", 0),
        services=tuple(sorted(texts.text(s) or "?" for s in tally.services)),
        span_errors=tally.errors,
        sampled=tally.sampled,
        repaired=repaired,
        rejected=tally.rejected,
        overflow=_overflow(facts),
    )
    return Report(
        VERSION,
        selected,
        judgement.findings,
        judgement.visibility,
        summary,
        errors=tuple(sorted(errors)),
        failed=judgement.failed,
    )


def _overflow(facts: Facts) -> dict[str, int]:
    """Rows beyond the caps, by table; of sampled tables an estimate, the same in any order."""
    found = {}
    for table in tables():
        sampled = sample_key(table)
        if sampled is None:
            found[table.name] = facts.counts.get(f"overflow:{table.name}", 0)
        else:
            found[table.name] = left_out(facts.table(table.name), sampled)
    return {name: rows for name, rows in found.items() if rows}

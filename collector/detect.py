"""Spans in, findings out: windows, facts, judgements. One thread at a time; no clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sized

import polars as pl

from collector.settings import Settings
from collector.stages import timed
from collector.window.choice import make_window
from collector.window.model import Limits
from detectors.kit.contract import Context
from detectors.kit.engine import Facts, Judgement, judge, levels, merge_facts, observe, since
from detectors.kit.fleet import ALL_OPERATIONS
from detectors.kit.texts import Texts

_NS = 1_000_000_000
GATHERED_ROWS = 105_000
"""Five seconds at 20,000 spans/s. More cost less, as a slab has a fixed cost, but hold memory."""
_PARTS = 16
"""Facts of so many slabs wait before they are merged: merging has a fixed cost."""


class Detector:
    """Keeps open traces and the facts of the horizon.

    Closed traces wait until there are `GATHERED_ROWS` of them or somebody asks: observing has a
    fixed cost of some 20 ms. on_facts is told the facts of each slab, once.

    `stage_seconds`, `stage_runs`: wall seconds and runs by stage; `counts`: what facts and
    windows counted since the start, never decreasing; `spans_done`: spans that are not held any
    more, observed or lost to a defect.
    """

    def __init__(self, settings: Settings, texts: Texts, on_facts: Callable[[Facts], None]) -> None:
        self._on_facts = on_facts
        self._failures: Counter[str] = Counter()
        self._settings = settings
        self._texts = texts
        self._rules = settings.selected()
        self.parked: set[str] = set()
        limits = Limits(
            settings.quiet_s, settings.max_age_s, settings.max_spans, settings.max_skew_s
        )
        self.window = make_window(limits, settings.decoder)
        self._facts = Facts()
        self._parts: list[Facts] = []
        self._levels: dict[str, int] = {}
        self._news = False
        self._observed: Counter[str] = Counter()
        self._overflow: Counter[str] = Counter()
        self.spans_done = 0
        self.stage_seconds: dict[str, float] = {}
        self.stage_runs: Counter[str] = Counter()

    def _spent(self, stage: str, seconds: float) -> None:
        self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds
        self.stage_runs[stage] += 1

    def accept(self, spans: Sized, arrival_s: float) -> None:
        """Spans that arrived, as a decoder gave them."""
        with timed(self._spent, "window"):
            self.window.add(spans, arrival_s)

    def tick(self, now_s: float) -> None:
        """Closes the traces that are due; observes them once there are enough."""
        with timed(self._spent, "window"):
            self.window.advance(now_s)
        while self.window.closed_rows >= GATHERED_ROWS:
            self._observe_slab()

    def drain(self, now_s: float) -> None:
        """Closes and observes everything."""
        with timed(self._spent, "window"):
            self.window.finish(now_s)
        self.observe()

    def observe(self) -> None:
        """Observes what is closed."""
        while self.window.closed_rows:
            self._observe_slab()

    def _observe_slab(self) -> None:
        """Observes a slab; its columns are gone before its facts are made."""
        before = self.window.closed_rows
        try:
            with timed(self._spent, "observe"):
                facts = observe(self._slab(), self._texts.select, self._levels)
        finally:
            self.spans_done += before - self.window.closed_rows
        self._news = True
        self._observed.update(facts.counts)
        self._on_facts(facts)
        self._parts.append(Facts(facts.frames, facts.texts))
        if len(self._parts) >= _PARTS:
            self._merge()

    def _slab(self) -> pl.DataFrame:
        return self.window.take(GATHERED_ROWS)

    def _merge(self) -> None:
        self.observe()
        if not self._parts:
            return
        with timed(self._spent, "merge"):
            merged = merge_facts(self._take_facts())
        self._overflow.update(merged.counts)
        self._facts = Facts(merged.frames, merged.texts)
        self._levels = levels(self._facts)

    def _take_facts(self) -> Iterator[Facts]:
        """The facts so far and the parts, which nobody refers to afterwards."""
        parts, self._facts, self._parts = [self._facts, *self._parts], Facts(), []
        while parts:
            yield parts.pop(0)

    @property
    def has_news(self) -> bool:
        """Whether traces were closed since the last judgement."""
        return self._news or self.window.closed_rows > 0

    def facts(self) -> Facts:
        """Merged facts of the horizon as of the last judgement, and of all traces closed since."""
        self._merge()
        return self._facts

    @property
    def facts_rows(self) -> dict[str, int]:
        """Rows by table as of the last merge: whoever watches the sizes shall not pay for one."""
        return {name: frame.height for name, frame in self._facts.frames.items()}

    def remember(self, facts: Facts) -> None:
        """Facts of an earlier start (`lasting`), before anything is accepted."""
        self._facts = merge_facts([self._facts, Facts(facts.frames, facts.texts)])

    def judge(self, now_s: float) -> Judgement:
        """What all selected rules say of the horizon that ends now."""
        now_ns = self.window.watermark_ns(now_s)
        start_ns = now_ns - int(self._settings.horizon_s * _NS)
        self._merge()
        self._news = False
        if not self._facts.frames:  # asking nothing of nothing still loads 25 MB of Polars
            return Judgement((), ())
        self._facts = since(self._facts, start_ns)
        with timed(self._spent, "judge"):
            context = Context(now_ns, start_ns, self._settings.lookup)
            return judge(self._facts, context, self._rules)

    def park(self, judgement: Judgement, after: int) -> None:
        """Leaves out the rules that failed `after` times in a row."""
        for code in [c for c in self._failures if c not in judgement.failed]:
            del self._failures[code]
        self._failures.update(judgement.failed.keys())
        parked = {c for c, n in self._failures.items() if n >= after}
        self._rules = tuple(r for r in self._rules if r.code not in parked)
        self.parked |= parked

    def operations(self) -> set[tuple[str, str]]:
        """(service, operation) of the entries in the horizon."""
        facts = self.facts()
        if not facts.frames:
            return set()
        pairs = facts.table("entries").select("service", "entry_label").unique()
        named = {(facts.text(s), facts.text(o)) for s, o in pairs.iter_rows()}
        return named | {(service, ALL_OPERATIONS) for service, _ in named}

    @property
    def counts(self) -> Counter[str]:
        """Observed spans and traces, repairs, overflow; window counts as `window:…`."""
        window = {f"window:{k}": v for k, v in self.window.counts.items()}
        return self._observed + self._overflow + Counter(window)

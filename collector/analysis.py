"""What comes behind the decoders: windows, facts, judgements, the ledger; owned by one thread.

Other threads put spans into the `Handover` and read `view`, which is replaced as a whole and never
changed: whoever asks for findings waits for no judgement.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from collector.before_imports import give_back
from collector.detect import Detector
from collector.expose import ratios, telemetry
from collector.handover import Handover
from collector.ledger import Case, Ledger
from collector.pace import Pace
from collector.settings import Settings
from collector.store import STAGE_RUNS, STAGE_SECONDS, Counters, Labels, Store
from detectors.kit.contract import Visibility
from detectors.kit.engine import Facts, lasting
from detectors.kit.texts import Texts
from detectors.kit.wire import Push, WireError, from_bytes, to_bytes

log = logging.getLogger(__name__)

_PARKED_AFTER = 3
"""A rule that raises so many times in a row is left out until the next start."""
_SAVED_EVERY_S = 300.0
"""So much of what instances remember is lost when the process is killed."""
_COUNTED = {
    "spans": ("spanlint_spans_observed_total", ()),
    "traces": ("spanlint_traces_observed_total", ()),
    "window:late": ("spanlint_spans_late_total", ()),
    "window:clamped": ("spanlint_spans_clamped_total", ()),
    "window:huge": ("spanlint_traces_closed_early_total", ("huge",)),
    "window:aged": ("spanlint_traces_closed_early_total", ("aged",)),
}


@dataclass(frozen=True, slots=True)
class View:
    """What may be shown: the findings of the last judgement, sizes as of the last look.

    judged_at: s since the Unix epoch; 0 before the first judgement.
    """

    cases: tuple[Case, ...] = ()
    visibility: tuple[Visibility, ...] = ()
    judged_at: float = 0.0
    open_traces: int = 0
    facts_rows: Mapping[str, int] = field(default_factory=dict)
    parked: AbstractSet[str] = frozenset()


class Analysis:
    """Takes what was handed over, closes, observes, judges. All methods from one thread at a time.

    cpu: seconds of CPU that the process has used, to pace judgements by.
    """

    def __init__(  # noqa: PLR0913 - what it stands between
        self,
        settings: Settings,
        texts: Texts,
        store: Store,
        counters: Counters,
        handover: Handover,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._counters = counters
        self._handover = handover
        self._cpu = cpu
        horizon_ns = int(settings.horizon_s * 1e9)
        self._ledger = Ledger(store, counters, settings.mutes(), horizon_ns)
        self._detector = Detector(settings, texts, self._add_telemetry)
        self._remember()
        self._pace = Pace(settings.judge_interval_s)
        self._counted: dict[str, float] = {}
        self._saved_at: float | None = None
        self.view = View(cases=tuple(self._ledger.cases()))

    def _remember(self) -> None:
        """Takes up the facts of instances that served before a restart of our own."""
        saved = self._store.facts()
        if saved is None:
            return
        try:
            self._detector.remember(from_bytes(saved).facts)
        except WireError as error:
            log.warning(
                "facts in %s are not read, as if it was empty: %s", self._settings.state, error
            )

    def step(self, now_s: float, clock_s: float) -> None:
        """Closes what is due, and judges when it is time.

        now_s: s since the Unix epoch. clock_s: s of a clock that nobody sets, which paces.
        """
        self._take()
        detector = self._detector
        detector.tick(now_s)
        self._settle()
        news = detector.has_news
        if self._pace.due(clock_s, news=news):
            detector.observe()  # goes with the spans, not with the facts: paced by nobody
            if not news:
                give_back()
            began = self._cpu()
            try:
                self._judge(now_s)
            finally:
                self._pace.judged(clock_s, self._cpu() - began)

    def idle(self, clock_s: float) -> bool:
        """Whether `step` would find nothing to do."""
        due = self._pace.due(clock_s, news=self._detector.has_news)
        return not (self._handover.held or due)

    @property
    def blank(self) -> bool:
        """Whether there are neither spans nor facts."""
        detector = self._detector
        return not (self._handover.held or detector.has_news or detector.facts_rows)

    def finish(self, now_s: float) -> None:
        """Closes, observes and judges everything that was handed over."""
        self._take()
        self._detector.drain(now_s)
        self._judge(now_s)

    def look(self) -> None:
        """Observes what is closed, and brings the view and the counters up to date."""
        self._take()
        self._detector.observe()
        self._settle()
        self._show(self.view.cases, self.view.visibility, self.view.judged_at)

    def save(self, now_s: float) -> None:
        """Saves what instances remember, and the counters."""
        self._save_facts(now_s)
        self._count()
        self._counters.commit()

    def _take(self) -> None:
        for spans, arrival_s in self._handover.take():
            self._detector.accept(spans, arrival_s)

    def _settle(self) -> None:
        self._handover.analysed = self._detector.spans_done

    def _judge(self, now_s: float) -> None:
        judgement = self._detector.judge(now_s)
        self._settle()
        for code in judgement.failed:
            self._counters.add("spanlint_rule_failures_total", (code,), 1)
        self._detector.park(judgement, _PARKED_AFTER)
        detector = self._detector
        now_ns = int(now_s * 1e9)
        changed = self._ledger.update(judgement, now_ns, detector.operations(), detector.parked)
        for case in changed:
            log.info(
                "%s: %s %s %s %s",
                case.state,
                case.finding.code,
                case.finding.service,
                case.finding.operation,
                case.finding.subject,
            )
        self._show(tuple(self._ledger.cases()), judgement.visibility, now_s)
        if self._saved_at is None:
            self._saved_at = now_s
        if now_s - self._saved_at >= _SAVED_EVERY_S:
            self._save_facts(now_s)

    def _show(
        self, cases: tuple[Case, ...], visibility: tuple[Visibility, ...], judged_at: float
    ) -> None:
        self._count()
        detector = self._detector
        self.view = View(
            cases,
            visibility,
            judged_at,
            detector.window.open_traces,
            detector.facts_rows,
            frozenset(detector.parked),
        )

    def _save_facts(self, now_s: float) -> None:
        self._saved_at = now_s
        if self._store.lasts:
            push = Push("spanlint", int(now_s * 1e9), 1, lasting(self._detector.facts()))
            self._store.save_facts(to_bytes(push))

    def _add_telemetry(self, facts: Facts) -> None:
        if self._settings.service_graph:
            telemetry.add_service_graph(facts, self._counters)
        if self._settings.red_metrics:
            telemetry.add_red(facts, self._counters)
            ratios.add_ratios(facts, self._counters)

    def _count(self) -> None:
        """Carries the detector's own counts over to the counters."""
        detector = self._detector
        present: dict[str, float] = dict(detector.counts)
        present |= {f"seconds:{k}": v for k, v in detector.stage_seconds.items()}
        present |= {f"runs:{k}": v for k, v in detector.stage_runs.items()}
        for key, value in present.items():
            name, labels = _counter_of(key)
            self._counters.add(name, labels, value - self._counted.get(key, 0))
            self._counted[key] = value


def _counter_of(key: str) -> tuple[str, Labels]:
    """The counter that one of the detector's counts goes to."""
    kind, _, rest = key.partition(":")
    if key in _COUNTED:
        return _COUNTED[key]
    match kind:
        case "repaired":
            return "spanlint_spans_repaired_total", (rest,)
        case "overflow":
            return "spanlint_facts_overflow_total", (rest,)
        case "seconds":
            return STAGE_SECONDS, (rest,)
        case "runs":
            return STAGE_RUNS, (rest,)
        case _:
            return f"spanlint_internal_{key.replace(':', '_')}_total", ()

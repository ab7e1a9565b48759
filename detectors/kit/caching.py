"""The cache link: whether a cache stands in front of a database read, told from facts `links`.

Spans do not say hit or miss. Of an operation's entries that read a cache, D contain the read and N
do not. Where the read mostly stands between a cache read and a value write, and where D write
values and N do not (the *fill lift*), D are misses, N are hits and the writes are fills. Without
the lift the write is something else: a session that every request saves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from detectors.kit.bins import duration_bin_bounds_ns
from detectors.kit.contract import (
    Context,
    Evidence,
    FactsView,
    Finding,
    Rule,
    Severity,
    State,
    Visibility,
)
from detectors.kit.derived import once
from detectors.kit.knobs import knob
from detectors.kit.pricing import (
    as_exemplars,
    fingerprint,
    subject_of,
    waterfall,
    weighted_median,
    worst_exemplars,
)
from detectors.kit.shapes.url import template_path
from detectors.kit.sightlines import Looking, blind_spots
from detectors.kit.traits import Trait

LinkState = Literal["linked", "blind", "none"]
TOLD_BEFORE = 5
"""Explicit hits and misses before a read from which on they decide instead of structure."""

CACHE_READS = Looking(
    "cache reads",
    categories=("cache",),
    works=("cache_read",),
    statement="the command (db.query.text, db.statement or the span name)",
    reveal_statement="record commands and let no processor delete db.query.text or db.statement",
)
REVEAL_HITS = (
    "let spans say hit or miss: an attribute cache.hit on cache reads "
    "(RedisInstrumentor().instrument(response_hook=…); lettuce.command.results.count in Java)"
)
REVEAL_PATHS = (
    "record url.path and http.route on SERVER spans, or the parameters of statements: they tell "
    "one read from another"
)


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Knobs that all rules of the family share: when a read counts as cached."""

    min_sandwiches: int = knob(
        5, "reads between a cache read and a value write from which on it may be cached", low=1
    )
    min_sandwich_share: float = knob(0.5, "… and their share of the reads after one", high=1)
    min_hits: int = knob(
        10, "entries with a cache read and without the read that are needed to tell a fill", low=1
    )
    min_fill_lift: float = knob(
        0.7, "value writes on misses less those on hits, from which on the writes are fills"
    )


@dataclass(frozen=True, slots=True)
class Link:
    """A database read of an operation, and the operation. Counts are those of facts `links`."""

    service: int
    entry_label: int
    shape: int
    read: Mapping[str, Any]
    own: Mapping[str, int]
    durations: tuple[tuple[int, int], ...]
    panes: Mapping[int, tuple[int, int]]
    environments: tuple[int | None, ...]
    kinds: tuple[str, ...]
    exemplars: tuple[Mapping[str, Any], ...] = field(repr=False)

    def __getitem__(self, count: str) -> int:
        """A count of the read."""
        return int(self.read[count])

    def has(self, trait: Trait) -> bool:
        """Whether the statement has `trait`."""
        return bool(self.read["form"] & int(trait))

    @property
    def explicit(self) -> bool:
        """Spans say hit or miss before most of its executions."""
        told = self["missed"] + self["found"]
        return told >= TOLD_BEFORE and told * 2 >= self["behind"]

    @property
    def misses(self) -> int:
        """Entries that looked up and read."""
        return min(self["missed"], self["looked"]) if self.explicit else self["looked"]

    @property
    def hits(self) -> int:
        """Entries that looked up and did not read."""
        return max(self.own["looked"] - self["looked"], 0)

    @property
    def lift(self) -> float:
        """Value writes per miss less those per hit."""
        if not self["looked"] or not self.hits:
            return 0.0
        elsewhere = self.own["value_writes"] - self["value_writes"]
        return self["value_writes"] / self["looked"] - elsewhere / self.hits

    @property
    def median_ns(self) -> int:
        """Median duration, to the middle of its half octave."""
        bounds = duration_bin_bounds_ns(weighted_median(self.durations))
        return sum(bounds) // 2

    def state(self, settings: LinkSettings) -> LinkState:
        """Whether the read is cached by its operation."""
        if self.explicit:
            return "linked" if self["found"] * 10 <= self["missed"] else "none"
        enough = self["filled"] >= settings.min_sandwiches
        if not enough or self["filled"] < settings.min_sandwich_share * self["behind"]:
            return "none"
        if self.hits < settings.min_hits:
            return "blind"
        return "linked" if self.lift >= settings.min_fill_lift else "none"


_READ = ("service", "entry_label", "system", "operation", "target", "predicate", "shape", "form")
_SUMS = (
    "entries",
    "ok",
    "looked",
    "value_writes",
    "traces",
    "executions",
    "behind",
    "filled",
    "lasting",
    "unknown_expiry",
    "keyed",
    "missed",
    "found",
    "duration_ns",
    "entry_ns",
)
_OWN = ("entries", "ok", "looked", "value_writes", "fills", "evictions")


@once
def operations(facts: FactsView) -> dict[tuple[int, int], Mapping[str, int]]:
    """(service, operation) -> the counts of the operation itself."""
    own = facts.table("links").filter(pl.col("shape").is_null())
    summed = own.group_by("service", "entry_label").agg(pl.col(*_OWN).sum())
    return {(r["service"], r["entry_label"]): r for r in summed.iter_rows(named=True)}


@once
def links(facts: FactsView) -> list[Link]:
    """Every database read of every operation, in the order of their codes."""
    owns = operations(facts)
    rows = facts.table("links").filter(pl.col("shape").is_not_null())
    bins = _summed_over(rows, "bin", "executions")
    panes = _summed_over(rows, "pane", "executions", "duration_ns")
    reads = rows.group_by(_READ).agg(
        pl.col(*_SUMS).sum(),
        pl.col("first_ns").min(),
        pl.col("last_ns").max(),
        pl.col("environment", "entry_kind").unique().sort(),
        pl.col("exemplars"),
    )
    found = []
    for read in reads.sort(_READ).iter_rows(named=True):
        key = tuple(read[name] for name in _READ)
        service, label = read["service"], read["entry_label"]
        found.append(
            Link(
                service,
                label,
                read["shape"],
                {name: read[name] for name in (*_READ, *_SUMS, "first_ns", "last_ns")},
                owns.get((service, label), dict.fromkeys(_OWN, 0)),
                tuple(bins[key]),
                {pane: (n, ns) for pane, n, ns in panes[key]},
                tuple(read["environment"]),
                tuple(sorted(read["entry_kind"])),
                tuple(worst_exemplars(read["exemplars"])),
            )
        )
    return found


def _summed_over(rows: pl.DataFrame, by: str, *sums: str) -> dict[tuple[Any, ...], list[Any]]:
    """Of each read: (`by`, its sums), in the order of `by`."""
    summed = rows.group_by(*_READ, by).agg(pl.col(*sums).sum()).sort(by)
    found: dict[tuple[Any, ...], list[Any]] = {}
    for row in summed.iter_rows():
        found.setdefault(row[: len(_READ)], []).append(row[len(_READ) :])
    return found


@dataclass(frozen=True, slots=True)
class Fault:
    """What a rule found of one read; `as_finding` adds the identity."""

    severity: Severity
    evidence: Evidence
    reason: str
    occurrences: int
    wasted_ns: int
    details: Mapping[str, Any]
    traces: int | None = None


def as_finding(rule: Rule, facts: FactsView, link: Link, fault: Fault) -> Finding:
    """The finding of a fault of a read, drawn from the read's own exemplars."""
    service, operation = facts.text(link.service), facts.text(link.entry_label)
    subject = named(facts, link)
    chosen = [{**e, "n": 1} for e in link.exemplars]
    drawn = waterfall(facts, chosen[0], service, operation) if chosen else ()
    only = link.environments[0] if len(link.environments) == 1 else None
    return Finding(
        code=rule.code,
        rule=rule.name,
        severity=fault.severity,
        scope=rule.scope,
        evidence=fault.evidence,
        evidence_reason=fault.reason,
        service=service,
        environment=facts.text(only) or None,
        operation=operation,
        subject=subject,
        occurrences=fault.occurrences,
        traces=link["traces"] if fault.traces is None else fault.traces,
        wasted_ns=fault.wasted_ns,
        first_seen_ns=link["first_ns"],
        last_seen_ns=link["last_ns"],
        fingerprint=fingerprint(rule.code, service, operation, subject),
        exemplars=as_exemplars(chosen),
        waterfall=drawn,
        details={
            "system": facts.text(link.read["system"]),
            "statement": facts.text(link.shape),
            "entries": link.own["entries"],
            "median_ms": round(link.median_ns / 1e6, 3),
            **fault.details,
        },
        panes=_dealt(link.panes, fault.occurrences, fault.wasted_ns),
    )


def named(facts: FactsView, link: Link) -> str:
    """`SELECT products by id`."""
    read = link.read
    return subject_of(
        facts.text(read["operation"]), facts.text(read["target"]), facts.text(read["predicate"])
    )


def _dealt(
    panes: Mapping[int, tuple[int, int]], occurrences: int, wasted_ns: int
) -> dict[int, tuple[int, int]]:
    """Occurrences and cost dealt to panes as executions are: sums stay what they are."""
    total = sum(n for n, _ in panes.values())
    dealt, seen, counted, priced = {}, 0, 0, 0
    for pane, (n, _) in sorted(panes.items()):
        seen += n
        upto, cost = occurrences * seen // total, wasted_ns * seen // total
        dealt[pane] = (upto - counted, cost - priced)
        counted, priced = upto, cost
    return dealt


def one_per_fingerprint(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Statements that read the same subject are one finding: the one that occurs most."""
    kept: dict[str, Finding] = {}
    for finding in findings:
        known = kept.get(finding.fingerprint)
        if known is None or finding.occurrences > known.occurrences:
            kept[finding.fingerprint] = finding
    return tuple(kept[f] for f in sorted(kept))


@dataclass(slots=True)
class Silence:
    """Why a rule did not speak of what it looked at, by service."""

    said: dict[int, list[tuple[State, str, str]]] = field(default_factory=dict)

    def say(self, service: int, state: State, reason: str, reveal: str = "") -> None:
        """One read (or write) was left alone."""
        told = self.said.setdefault(service, [])
        if (state, reason, reveal) not in told:
            told.append((state, reason, reveal))


_ORDER: tuple[State, ...] = ("below_threshold", "blind", "exempt", "seen")
_REASONS = 3


def visibility(
    rule: Rule,
    facts: FactsView,
    looking: Looking,
    findings: Sequence[Finding],
    silence: Silence,
) -> tuple[Visibility, ...]:
    """One row per service: what cannot be seen at all, then fired, then why it was silent."""
    said = {facts.text(service): told for service, told in silence.said.items()}
    fired = {f.service for f in findings}
    rows = []
    for service, (state, reason, reveal) in blind_spots(facts, looking).items():
        shown = (state, reason, reveal)
        if state == "seen" and service not in fired and service in said:
            shown = _most_telling(said[service])
        rows.append(Visibility(rule.code, service, *shown))
    return tuple(rows)


def _most_telling(told: Sequence[tuple[State, str, str]]) -> tuple[State, str, str]:
    state = min((s for s, _, _ in told), key=_ORDER.index)
    reasons = sorted({r for s, r, _ in told if s == state})
    reveals = sorted({r for s, _, r in told if s == state and r})
    return state, "; ".join(reasons[:_REASONS]), "; ".join(reveals)


def is_health(operation: str) -> bool:
    """Whether an operation is a health check, by its path."""
    return template_path(operation.rpartition(" ")[2]).health


def settings_of(rule: Rule, facts: FactsView, context: Context, link: Link) -> Any:
    """The rule's knobs for the operation of a link."""
    return context.settings(rule, facts.text(link.service), facts.text(link.entry_label))

"""The one contract: observe -> mergeable facts -> judge.

A *facts table* turns whole traces into a small frame of mergeable aggregates. A *rule* turns merged
facts into findings, and says for each service whether it could see. Neither keeps state, does I/O
or knows how spans arrive or where findings go.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

import polars as pl

Severity = Literal["info", "warning", "critical"]
Scope = Literal["local", "trace", "fleet"]
Evidence = Literal["observed", "inferred"]
State = Literal["seen", "blind", "below_threshold", "exempt"]
Merge = Literal["key", "sum", "min", "max", "worst"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
EXEMPLARS_KEPT = 3
"""Worst exemplars kept per facts row, and per finding."""


@dataclass(frozen=True, slots=True)
class FactColumn:
    """One column of a facts table: how it merges is all that the engine needs to know.

    `text` marks a key (or a `worst` field, by name in `texts`) that holds text codes, whose texts
    travel with the facts. `sampled` marks the one key whose values are sampled when there are too
    many (`sampling.py`). Sums are integers: float addition is not associative.
    """

    name: str
    merge: Merge
    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    text: bool = False
    texts: tuple[str, ...] = ()
    sampled: bool = False


def key(
    name: str, dtype: pl.DataType | type[pl.DataType], meaning: str, *, text: bool = False
) -> FactColumn:
    """A column that facts are grouped by."""
    return FactColumn(name, "key", dtype, meaning, text=text)


def sampled(name: str, meaning: str) -> FactColumn:
    """The key (UInt64, a stable hash) that a table is sampled by; it needs `sampling.LEVEL` too."""
    return FactColumn(name, "key", pl.UInt64, meaning, sampled=True)


def total(name: str, meaning: str) -> FactColumn:
    """A column that is added up (Int64)."""
    return FactColumn(name, "sum", pl.Int64, meaning)


def least(name: str, meaning: str) -> FactColumn:
    """A column of which the smallest is kept (Int64)."""
    return FactColumn(name, "min", pl.Int64, meaning)


def most(name: str, meaning: str) -> FactColumn:
    """A column of which the largest is kept (Int64)."""
    return FactColumn(name, "max", pl.Int64, meaning)


def worst(
    name: str, fields: Mapping[str, pl.DataType | type[pl.DataType]], meaning: str, *texts: str
) -> FactColumn:
    """A list of at most `EXEMPLARS_KEPT` structs, the highest `score` first.

    `fields` must begin with `score` (Int64), `trace_hi` and `trace_lo` (UInt64): ties are broken by
    trace id and then by the remaining fields, so that a merge gives the same list in any order.
    """
    struct = pl.Struct({"score": pl.Int64, "trace_hi": pl.UInt64, "trace_lo": pl.UInt64, **fields})
    return FactColumn(name, "worst", pl.List(struct), meaning, texts=texts)


@cache
def fields_of(column: FactColumn) -> Mapping[str, pl.DataType]:
    """Names and dtypes of the fields of a `worst` column, `score` first."""
    return MappingProxyType(column.dtype.inner.to_schema())  # type: ignore[union-attr]


@runtime_checkable
class FactsTable(Protocol):
    """Spans of whole traces -> mergeable aggregates about one subject.

    MUST be pure and MUST NOT know thresholds: what a rule might want to tune is a bin in the key.
    MUST group by `pane` (Int64, ns since the Unix epoch; the start of a pane of `pane_seconds`).
    MUST give the same rows for the same traces whatever the order of rows in the frame, and rows
    that add up when traces are split over frames. Several rows may have one key; lists of a `worst`
    column are as merging leaves them: at most `EXEMPLARS_KEPT`, the worst first, null without any.
    SHOULD select the columns that it reads before it filters: the frame has ninety.
    """

    @property
    def name(self) -> str:
        """What rules name it by."""
        ...

    @property
    def pane_seconds(self) -> int:
        """Width of a pane."""
        ...

    @property
    def columns(self) -> tuple[FactColumn, ...]:
        """The columns beside `pane`."""
        ...

    @property
    def max_rows(self) -> int:
        """Rows kept; what is over is counted."""
        ...

    def observe(self, spans: pl.DataFrame) -> pl.DataFrame:
        """Repaired spans (`SPAN_COLUMNS`, `STRUCTURE`, `WORKED`, `ASIDE`) -> pane + `columns`."""
        ...

    def __hash__(self) -> int:
        """What is made of its columns is made once for each table."""
        ...


@runtime_checkable
class SampledTable(FactsTable, Protocol):
    """A facts table with a `sampled` key: it can leave out at once what a sample will not keep."""

    def observe(self, spans: pl.DataFrame, level: int = 0) -> pl.DataFrame:
        """As `FactsTable.observe`, of the subjects in the sample of `level` (`sampling.py`)."""
        ...


@dataclass(frozen=True, slots=True)
class Life:
    """How long the rows of a facts table are kept when that is not the horizon.

    Rows live as long as `table` has rows of the same `subject` (key columns of both) within the
    horizon. Those older than the horizon are added up in the pane FOLDED.
    """

    table: str
    subject: tuple[str, ...]


FOLDED = 0
"""The pane of facts that outlived the horizon: when they were observed is not known any more."""


@runtime_checkable
class LastingTable(FactsTable, Protocol):
    """A facts table whose rows outlive the horizon; other tables lose panes that leave it."""

    @property
    def life(self) -> Life:
        """What keeps rows alive."""
        ...


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A trace that shows the fault: hex trace id, hex span ids, the worst first."""

    trace_id: str
    span_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a waterfall: what ran when, relative to the entry's start."""

    depth: int
    service: str
    label: str
    start_ns: int
    duration_ns: int
    count: int = 1
    mark: bool = False
    """Whether this line is the fault itself."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of one subject, with its evidence and price. Wording is elsewhere (`Rule.explain`).

    `panes` gives occurrences and wasted time (ns) per pane start, from which counters that never
    decrease are made; their sums are `occurrences` and `wasted_ns`, less what lasting facts
    (`LastingTable`) know from before the judged range.
    """

    code: str
    rule: str
    severity: Severity
    scope: Scope
    evidence: Evidence
    evidence_reason: str
    service: str
    environment: str | None
    operation: str
    subject: str
    occurrences: int
    traces: int
    wasted_ns: int
    first_seen_ns: int
    last_seen_ns: int
    fingerprint: str
    exemplars: tuple[Exemplar, ...]
    waterfall: tuple[Bar, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    panes: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Visibility:
    """What a rule could see of one service, and what would let it see more."""

    code: str
    service: str
    state: State
    reason: str
    reveal: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that a rule has to say about the facts given to it."""

    findings: tuple[Finding, ...] = ()
    visibility: tuple[Visibility, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """A finding in words: one line, the evidence in a sentence or two, the fix in one paragraph."""

    headline: str
    evidence: str
    fix: str


class Lookup(Protocol):
    """Knobs of a rule, overridable per service and per operation."""

    def __call__(self, rule: Rule, service: str, operation: str) -> Any:
        """The rule's `Settings` in force for this service and operation."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """When, and with which settings, facts are judged.

    now_ns: the watermark. start_ns: the earlier end of the judged range. settings: see `Lookup`.
    """

    now_ns: int
    start_ns: int
    settings: Lookup


class FactsView(Protocol):
    """Merged facts of the judged range, as a rule sees them."""

    @property
    def derived(self) -> MutableMapping[Hashable, Any]:
        """What rules derived of these facts and share (`derived.once`)."""
        ...

    def table(self, name: str) -> pl.DataFrame:
        """pane + the columns of that facts table; no rows when nothing was observed."""
        ...

    def text(self, value: int | None) -> str:
        """The text behind a code; `?` when it is not known any more, empty for None."""
        ...


@runtime_checkable
class Rule(Protocol):
    """Merged facts -> findings.

    MUST only judge: thresholds are fields of `Settings`, and stand nowhere else. The docstring is
    the rule's page; its sections are named in RULES (`tests/detectors/test_catalogue.py` checks).
    """

    @property
    def code(self) -> str:
        """`N101`: stable for ever."""
        ...

    @property
    def name(self) -> str:
        """`n-plus-one-query`: the fault, as a noun."""
        ...

    @property
    def scope(self) -> Scope:
        """Whose spans it takes to judge."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the facts tables that it reads."""
        ...

    @property
    def Settings(self) -> type[Any]:  # noqa: N802 - a class
        """The dataclass of its knobs."""
        ...

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Findings, and for every service seen one row of visibility."""
        ...

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        ...

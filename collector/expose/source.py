"""What the admin port shows, and where it gets that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from collector.ledger import Case
from collector.store import Labels
from detectors.kit.contract import Rule, Visibility


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that may be shown at a moment.

    counters: committed values. gauges: values of `metrics.PLAIN_GAUGES`. facts_rows: rows by table.
    parked: codes of rules. limits: settings by name.
    """

    version: str
    counters: Mapping[tuple[str, Labels], float]
    cases: Iterable[Case]
    visibility: Iterable[Visibility]
    gauges: Mapping[str, float]
    facts_rows: Mapping[str, int] = field(default_factory=dict)
    parked: AbstractSet[str] = frozenset()
    limits: Mapping[str, float] = field(default_factory=dict)
    max_series: int = 5_000
    decoder: str = "reference"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the admin port gets what it shows."""

    snapshot: Callable[[], Awaitable[Snapshot]]
    ready: Callable[[], bool]
    rules: tuple[Rule, ...]

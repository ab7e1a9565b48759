"""Outages of edges: when a callee was down for a caller, and whether the caller went on calling.

A circuit breaker shows by its absence only: calls that entries want are not made. What entries
want is known from better times: entries of an operation × its calls per entry while all was well.

::

    calls per entry    1.0  1.0 | 1.0  1.0  1.0  1.0 |   no breaker
                       1.0  1.0 | 0.4  0.0  0.0  0.1 |   a breaker opened
                       healthy  | outage             |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.contract import FactsView
from detectors.kit.derived import once
from detectors.kit.edges import resolved_edges

_SILENCE_NS = 60_000_000_000
"""After so long without a call an outage is over, or another one."""
_ENOUGH_ENTRIES = 10
"""Entries in healthy panes from which on their calls per entry are a baseline."""
_BAD_RATIO = 0.5
_NEVER_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Outage:
    """One caller, one callee, one stretch of time in which at least half of the calls were lost.

    Codes of texts: caller, environment, callee. calls, lost: spans. wanted: calls that the entries
    would have made in better times. baseline: whether better times were seen. panes: pane start ->
    (lost calls, ns waited for them). entries, failed: of the calling operations until calls begin
    again.
    until_ns: when calls were seen to be fine again, far in the future when they were not.
    wanted_after, after_ns: calls wanted in the silence after the last call, and how long it was, a
    minute at most: an open breaker makes none.
    """

    caller: int
    environment: int | None
    callee: int
    labels: tuple[int, ...]
    operations: tuple[int, ...]
    calls: int
    lost: int
    waited_ns: int
    first_ns: int
    last_ns: int
    wanted: float
    baseline: bool
    entries: int
    failed: int
    until_ns: int
    wanted_after: float
    after_ns: int
    panes: dict[int, tuple[int, int]]

    @property
    def seconds(self) -> float:
        """From the first lost call to the end of the last."""
        return (self.last_ns - self.first_ns) / 1e9

    @property
    def call_ratio(self) -> float:
        """Calls made ÷ calls wanted: about 1 without a breaker."""
        return self.calls / self.wanted if self.wanted else 0.0

    @property
    def held_ratio(self) -> float:
        """As `call_ratio`, the silence afterwards included."""
        wanted = self.wanted + self.wanted_after
        return self.calls / wanted if wanted else 0.0

    @property
    def felt_seconds(self) -> float:
        """As `seconds`, the silence afterwards included."""
        return self.seconds + self.after_ns / 1e9

    @property
    def error_ratio(self) -> float:
        """Lost calls ÷ calls."""
        return self.lost / self.calls


@once
def outages(facts: FactsView) -> list[Outage]:
    """All stretches in which an edge lost at least half of its calls, however short."""
    edges = resolved_edges(facts).filter(pl.col("callee") != pl.col("caller"))
    segments = (
        facts.table("segments")
        .group_by("service", "entry_label", "pane")
        .agg(pl.col("entries", "failed").sum())
    )
    found: list[Outage] = []
    lossy = edges.filter("lost").select("caller", "callee").unique(maintain_order=True)
    for caller, callee in lossy.iter_rows():
        own = edges.filter((pl.col("caller") == caller) & (pl.col("callee") == callee))
        served = segments.filter(pl.col("service") == caller)
        found.extend(_outages_of(own, served))
    return found


def passed_on(outage: Outage, others: list[Outage]) -> Outage | None:
    """The outage further down that explains this one: its callee fails for want of another.

    It began no later than this one was half over and lasted at least half of it.
    """
    span = outage.last_ns - outage.first_ns
    for other in others:
        if other.caller == outage.callee and other.callee != outage.caller:
            shared = min(outage.last_ns, other.until_ns) - max(outage.first_ns, other.first_ns)
            if shared * 2 >= span and other.first_ns <= outage.last_ns:
                return other
    return None


def _outages_of(edge: pl.DataFrame, segments: pl.DataFrame) -> Iterator[Outage]:
    by_pane = (
        edge.group_by("pane")
        .agg(
            pl.col("spans").sum(),
            pl.col("spans").filter("lost").sum().alias("lost"),
            pl.col("client_ns").filter("lost").sum(),
        )
        .sort("pane")
    )
    fine = by_pane.filter(pl.col("lost") < pl.col("spans") * _BAD_RATIO)["pane"].to_list()
    for run in _runs(by_pane):
        yield _outage(edge, segments, by_pane.filter(pl.col("pane").is_in(run)), fine)


def _runs(by_pane: pl.DataFrame) -> Iterator[list[int]]:
    """Panes in which at least half of the calls are lost, in stretches."""
    run: list[int] = []
    for pane, spans, lost, _ in by_pane.iter_rows():
        over = run and pane - run[-1] > _SILENCE_NS
        if run and (over or lost < spans * _BAD_RATIO):
            yield run
            run = []
        if lost >= spans * _BAD_RATIO:
            run.append(pane)
    if run:
        yield run


def _outage(
    edge: pl.DataFrame, segments: pl.DataFrame, run: pl.DataFrame, fine: list[int]
) -> Outage:
    first, last = int(run["pane"].min()), int(run["pane"].max())  # type: ignore[arg-type]
    during = edge.filter(pl.col("pane").is_between(first, last))
    lost = during.filter("lost")
    again = min((p for p in edge["pane"] if p > last), default=_NEVER_NS)
    silent = (last + 1, min(again - 1, last + _SILENCE_NS))
    demand = _demand(edge, segments, fine, (first, last), silent)
    environments = during["environment"].unique().to_list()
    return Outage(
        caller=int(edge["caller"][0]),
        environment=environments[0] if len(environments) == 1 else None,
        callee=int(edge["callee"][0]),
        labels=tuple(lost["label"].unique().sort()),
        operations=tuple(_busiest(lost)),
        calls=int(during["spans"].sum()),
        lost=int(lost["spans"].sum()),
        waited_ns=int(lost["client_ns"].sum()),
        first_ns=int(lost["first_ns"].min()),  # type: ignore[arg-type]
        last_ns=int(lost["last_ns"].max()),  # type: ignore[arg-type]
        until_ns=min((p for p in fine if p > last), default=_NEVER_NS),
        panes={p: (n, ns) for p, _, n, ns in run.iter_rows()},
        **demand,
    )


def _demand(
    edge: pl.DataFrame,
    segments: pl.DataFrame,
    fine: list[int],
    during: tuple[int, int],
    silent: tuple[int, int],
) -> dict[str, Any]:
    """What entries wanted during an outage and in the silence after it; fields of `Outage`."""
    # an operation that is the call itself says nothing of what was wanted
    calling = edge.filter(pl.col("entry_label") != pl.col("label"))
    calls_then = calling.filter(pl.col("pane").is_between(*during))
    known: list[bool] = []
    wanted = after = 0.0
    entries = failed = last_pane = 0
    for operation in calling["entry_label"].unique().sort().to_list():
        own = segments.filter(pl.col("entry_label") == operation)
        rate = _healthy_rate(calling.filter(pl.col("entry_label") == operation), own, fine)
        if rate is None and operation not in calls_then["entry_label"]:
            continue
        known.append(rate is not None)
        meanwhile = own.filter(pl.col("pane").is_between(*during))
        silence = own.filter(pl.col("pane").is_between(*silent))
        wanted += int(meanwhile["entries"].sum()) * (rate or 1.0)
        after += int(silence["entries"].sum()) * (rate or 1.0)
        entries += int(meanwhile["entries"].sum()) + int(silence["entries"].sum())
        failed += int(meanwhile["failed"].sum()) + int(silence["failed"].sum())
        last_pane = max(last_pane, int(silence["pane"].max() or 0))  # type: ignore[arg-type]
    return {
        "wanted": wanted,
        "wanted_after": after,
        "after_ns": max(last_pane - during[1], 0),
        "baseline": bool(known) and all(known),
        "entries": entries,
        "failed": failed,
    }


def _healthy_rate(calls: pl.DataFrame, entries: pl.DataFrame, fine: list[int]) -> float | None:
    """Calls per entry in panes in which most calls were fine; None when there are too few entries.

    Panes without any call are left out: an open breaker makes them, and they are not healthy.
    """
    count = int(entries.filter(pl.col("pane").is_in(fine))["entries"].sum())
    if count < _ENOUGH_ENTRIES:
        return None
    made = int(calls.filter(pl.col("pane").is_in(fine))["spans"].sum())
    return made / count if made else None


def _busiest(lost: pl.DataFrame) -> list[int]:
    counted = lost.group_by("entry_label").agg(pl.col("spans").sum())
    return counted.sort("spans", "entry_label", descending=[True, False])["entry_label"].to_list()

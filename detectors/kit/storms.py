"""Facts `attempts` as amplified edges, and amplified edges as chains over services.

Amplification is attempts per logical call while most calls fail, held against what the same
operation does per (entry, URL) while all is well. Over layers it multiplies: three services with
three attempts each send 27 calls to the last for one request to the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.contract import FactsView
from detectors.kit.derived import once
from detectors.kit.edges import names_of_calls
from detectors.kit.sampling import Sample, sample_of

EDGE = ("service", "entry_label", "category", "label")
_BUCKET_CALLS = 5
"""Logical calls in a pane from which on the share that fails says something."""
_LOST_MESSAGES = 3
"""Messages that are lost in a pane from which on it is not a matter of one of them (M101)."""
_HEALTHY_GROUPS = 10
"""Groups without a failure from which on they are a baseline."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Calls of one operation to one other, in the panes in which most of them failed.

    Codes of texts: service, operation, label, callee, callee_operation (null where unknown).
    calls: logical ones, but deliveries where a queue repeats what few consumers hold at a time.
    healthy: attempts per group while all is well, None without a baseline. rows: facts `attempts`
    of the failing panes. growing: tries grow while success falls.
    """

    service: int
    operation: int
    category: str
    label: int
    callee: int | None
    callee_operation: int | None
    groups: int
    calls: int
    logical: int
    lost: int
    attempts: int
    hidden: int
    unseen: int
    traces: int
    healthy: float | None
    growing: bool
    rows: pl.DataFrame

    @property
    def reaches(self) -> tuple[int | None, int | None]:
        """Service and operation that the calls arrive at; deliveries arrive at the consumer."""
        if self.category == "messaging" and self.label == self.operation:
            return self.service, self.operation
        return self.callee, self.callee_operation

    @property
    def amplification(self) -> float:
        """Attempts, as a multiple of the calls that the same groups make while all is well."""
        return self.attempts / max(self.logical, self.groups * (self.healthy or 1.0))


@dataclass(frozen=True, slots=True)
class Storm:
    """Edges from the first caller to the last callee; each sends what the one before it does."""

    layers: tuple[Edge, ...]

    @property
    def last(self) -> Edge:
        """The edge that the whole storm arrives by."""
        return self.layers[-1]

    @property
    def amplification(self) -> float:
        """Product over all layers."""
        product = 1.0
        for edge in self.layers:
            product *= max(edge.amplification, 1.0)
        return product


@once
def failing_edges(facts: FactsView, min_lost_ratio: float) -> list[Edge]:
    """Edges with a pane in which at least `min_lost_ratio` of the logical calls failed."""
    rows = facts.table("attempts").filter(pl.col("gap_bin").is_null())
    by_pane = pl.col("logical").sum().over("pane", *EDGE)
    lost = pl.col("lost").sum().over("pane", *EDGE)
    failing = (lost >= by_pane * min_lost_ratio) & (by_pane >= _BUCKET_CALLS) & (lost > 0)
    marked = rows.with_columns(failing.alias("_failing"))
    known = names_of_calls(facts.table("edges"))
    found = []
    for _, group in marked.filter("_failing").group_by(*EDGE, maintain_order=True):
        same = pl.all_horizontal(pl.col(c) == group[c][0] for c in EDGE)
        healthy = baseline(rows.filter(same))
        found.append(_edge(group.sort("pane", "healthy", "peer", "callee"), healthy, known))
    again = redelivered(facts, min_lost_ratio)
    kept = {(e.service, e.operation, e.label): e for e in found}
    for edge in again:
        other = kept.get((edge.service, edge.operation, edge.label))
        if other is None or other.amplification < edge.amplification:
            kept[edge.service, edge.operation, edge.label] = edge
    return [kept[k] for k in sorted(kept)]


@once
def redelivered(facts: FactsView, min_lost_ratio: float) -> list[Edge]:
    """Consumers as edges from their queue: a message is a logical call, a delivery an attempt.

    In panes in which at least `min_lost_ratio` of the deliveries were of messages on which all work
    failed, whatever came later; a message that was lost in several panes is one. Deliveries count,
    not messages: where one comes a hundred times, those of before the outage are no majority.
    """
    sample = sample_of(facts.table("deliveries"), "message")
    again = sample.rows.with_columns(
        (pl.col("failed") == pl.col("deliveries")).alias("_lost"),
        pl.col("failed").sum().over("service", "entry_label", "message").alias("_ever"),
    )
    pane = ("pane", "service", "entry_label")
    deliveries = pl.col("deliveries").sum().over(pane)
    lost = (pl.col("deliveries") * pl.col("_lost")).sum().over(pane)
    enough = deliveries * (1 << sample.level) >= _BUCKET_CALLS
    failing = (lost >= deliveries * min_lost_ratio) & enough & (lost > 0)
    found = []
    for _, group in again.with_columns(failing.alias("_failing")).group_by(
        "service", "entry_label", maintain_order=True
    ):
        rows = group.filter(pl.col("_failing") & (pl.col("_ever") > 0))
        if rows.filter("_lost")["message"].n_unique() >= _LOST_MESSAGES:
            found.append(_from_queue(rows.sort("pane", "message"), group, sample))
    return found


def _from_queue(rows: pl.DataFrame, group: pl.DataFrame, sample: Sample) -> Edge:
    fine = group.filter(pl.col("_ever") == 0)
    known = fine["message"].n_unique()
    usual = int(fine["deliveries"].sum()) / known if known >= _HEALTHY_GROUPS else None
    messages = sample.scaled(rows["message"].n_unique())
    attempts = sample.scaled(int(rows["deliveries"].sum()))
    return Edge(
        service=rows["service"][0],
        operation=rows["entry_label"][0],
        category="messaging",
        label=rows["entry_label"][0],
        callee=None,
        callee_operation=None,
        groups=messages,
        calls=attempts,
        logical=messages,
        lost=sample.scaled(rows.filter("_lost")["message"].n_unique()),
        attempts=attempts,
        hidden=0,
        unseen=0,
        traces=messages,
        healthy=usual,
        growing=False,
        rows=rows.with_columns(
            pl.col("deliveries").alias("attempts"), pl.col("spent_ns").alias("extra_ns")
        ),
    )


def baseline(groups: pl.DataFrame, *, hidden: bool = True) -> float | None:
    """Attempts (with those inside spans or without) per healthy group; None when there are few."""
    fine = groups.filter("healthy")
    count = int(fine["groups"].sum())
    made = int(fine["attempts"].sum()) - (0 if hidden else int(fine["hidden"].sum()))
    return made / count if count >= _HEALTHY_GROUPS else None


def _edge(rows: pl.DataFrame, healthy: float | None, known: pl.DataFrame) -> Edge:
    first = rows.row(0, named=True)
    name = known.filter(
        (pl.col("caller") == first["service"]) & (pl.col("label") == first["label"])
    )
    callee = operation = None
    if name.height:
        callee, operation = name.select("known_callee", "known_operation").row(0)
    else:
        peers = rows["peer"].drop_nulls().sort()
        callee = peers[0] if len(peers) else None

    def summed(column: str) -> int:
        return int(rows[column].sum())

    return Edge(
        service=first["service"],
        operation=first["entry_label"],
        category=first["category"],
        label=first["label"],
        callee=callee,
        callee_operation=operation,
        groups=summed("groups"),
        calls=summed("logical"),
        logical=summed("logical"),
        lost=summed("lost"),
        attempts=summed("attempts"),
        hidden=summed("hidden"),
        unseen=summed("unseen"),
        traces=summed("traces"),
        healthy=healthy,
        growing=_growing(rows),
        rows=rows,
    )


def _growing(rows: pl.DataFrame) -> bool:
    """Whether attempts per group grow from the first to the last half of panes as success falls."""
    panes = (
        rows.group_by("pane")
        .agg(pl.col("groups", "logical", "lost", "attempts").sum())
        .sort("pane")
    )
    half = panes.height // 2
    if not half:
        return False
    early, late = panes.head(half).sum(), panes.tail(half).sum()

    def ratio(part: pl.DataFrame, over: str, under: str) -> float:
        return float(part[over][0] / part[under][0])

    return ratio(late, "attempts", "groups") > 1.2 * ratio(early, "attempts", "groups") and ratio(
        late, "lost", "logical"
    ) > ratio(early, "lost", "logical")


def storms(edges: Iterable[Edge], min_amplification: float) -> list[Storm]:
    """Chains of failing edges that end in an amplified one, each the strongest to its end.

    An amplified edge in the middle of a chain is a layer of the storm, not one of its own.
    """
    edges = list(edges)
    above: dict[tuple[Any, Any], list[Edge]] = {}
    for edge in edges:
        above.setdefault(edge.reaches, []).append(edge)
    amplified = [e for e in edges if e.amplification >= min_amplification]
    covered: set[int] = set()
    found = []
    for edge in amplified:
        chain = _strongest(edge, above, ())
        found.append(Storm(chain))
        covered.update(id(e) for e in _ancestors(edge, above))
    return [s for s in found if id(s.last) not in covered]


def _strongest(
    edge: Edge, above: dict[tuple[Any, Any], list[Edge]], below: tuple[Edge, ...]
) -> tuple[Edge, ...]:
    """The chain down to `edge` with the largest product; no edge twice."""
    callers = [
        e for e in above.get((edge.service, edge.operation), []) if e is not edge and e not in below
    ]
    best: tuple[Edge, ...] = ()
    for caller in callers:
        chain = _strongest(caller, above, (*below, edge))
        if not best or Storm(chain).amplification > Storm(best).amplification:
            best = chain
    return (*best, edge)


def _ancestors(edge: Edge, above: dict[tuple[Any, Any], list[Edge]]) -> list[Edge]:
    found: list[Edge] = []
    waiting = list(above.get((edge.service, edge.operation), []))
    while waiting:
        caller = waiting.pop()
        if caller is edge or any(caller is f for f in found):
            continue
        found.append(caller)
        waiting.extend(above.get((caller.service, caller.operation), []))
    return found

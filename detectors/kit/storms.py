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
from detectors.kit.edges import names_of_calls

EDGE = ("service", "entry_label", "category", "label")
_BUCKET_CALLS = 5
"""Logical calls in a pane from which on the share that fails says something."""
_HEALTHY_GROUPS = 10
"""Groups without a failure from which on they are a baseline."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Calls of one operation to one other, in the panes in which most of them failed.

    Codes of texts: service, operation, label, callee, callee_operation (null where unknown).
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
    return sorted(found, key=lambda e: (e.service, e.operation, e.label))


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
        above.setdefault((edge.callee, edge.callee_operation), []).append(edge)
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

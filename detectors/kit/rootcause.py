"""Root cause: where what changed between a normal and an abnormal window began.

All from facts, so it works live, on a file and on merged facts of a fleet, and needs neither status
nor attributes. Four kinds of clue point at a service:

own     its own time (entry less the union of its calls) rose;
edge    what callers wait beyond its answer rose: the wire, the queue before it, or, without
        spans of its own, the callee itself. Delay on one edge differs from delay on all edges of
        a caller: what the caller's other edges show is taken off, and the lower median over
        callers is taken, or a single edge where that median shows nothing;
cut     operations end early: fewer steps, and more of them end on a call to it;
error   errors that originate there reach more entries.

Differences are of mean logarithms, each less two standard errors, so that noise scores nothing and
services that only wait score nothing either: their waiting is no own time and no gap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from detectors.kit.cascades import cascades
from detectors.kit.contract import FactsView
from detectors.kit.edges import resolved_edges
from detectors.kit.shifts import Window, log_shifts, low_median, shifts

Kind = Literal["own", "edge", "cut", "error"]
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class Clue:
    """One piece of evidence. weight: natural log units (0.69 is a factor of 2 after the margin).

    where: the operation, the edge (`shop → payment`) or the error. factor: mean after ÷ before of
    (ms + 1). excess_ns: time in the abnormal window beyond the normal mean. samples: after.
    caller, operation: of an edge, its caller and the caller's busiest operation.
    """

    kind: Kind
    where: str
    weight: float
    z: float
    factor: float
    excess_ns: int
    samples: int
    caller: str = ""
    operation: str = ""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A service (or system, or peer) with what speaks against it, the heaviest clue first.

    rank: 1 is first; equal ranks could not be told apart. impact_ns: excess time of its clues.
    """

    service: str
    score: float
    rank: int
    clues: tuple[Clue, ...]

    @property
    def impact_ns(self) -> int:
        """Excess time of own work and edges, the larger: they are different views of one delay."""
        return max((c.excess_ns for c in self.clues), default=0)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Suspects by rank, and what stands behind them; `undecided` says what the data cannot tell."""

    suspects: tuple[Suspect, ...]
    entries_before: int
    entries_after: int
    undecided: tuple[str, ...] = ()


@dataclass(slots=True)
class _Case:
    """Clues by service, while they are gathered."""

    clues: dict[str, list[Clue]] = field(default_factory=dict)

    def add(self, service: str, clue: Clue) -> None:
        if clue.weight > 0:
            self.clues.setdefault(service, []).append(clue)


def diagnose(facts: FactsView, normal: Window, abnormal: Window) -> Diagnosis:
    """Services ranked by how much of what changed from `normal` to `abnormal` began there."""
    segments = facts.table("segments")
    before, after = normal.of(segments), abnormal.of(segments)
    edges = resolved_edges(facts)
    case = _Case()
    _own_time(facts, case, before, after)
    _edges(facts, case, normal.of(edges), abnormal.of(edges))
    _cuts(facts, case, before, after)
    _errors(facts, case, normal, abnormal)
    counts = int(before["entries"].sum()), int(after["entries"].sum())
    return Diagnosis(_ranked(case), *counts, _undecided(facts, before, after))


def _own_time(facts: FactsView, case: _Case, before: pl.DataFrame, after: pl.DataFrame) -> None:
    """The operation of each service whose own time rose most."""
    by = ["service", "entry_label"]
    risen = log_shifts(before, after, by, "entries", "own_log", "own_log2")
    spent = excess(before, after, by, "entries", "own_ns")
    risen = risen.join(spent, on=by, nulls_equal=True).filter(pl.col("low") > 0)
    worst = risen.sort("low", "z", *by, descending=[True, True, False, False])
    for row in worst.unique("service", keep="first", maintain_order=True).iter_rows(named=True):
        clue = Clue("own", facts.text(row["entry_label"]), *_numbers(row))
        case.add(facts.text(row["service"]), clue)


def _numbers(row: dict[str, Any]) -> tuple[float, float, float, int, int]:
    factor = math.exp(row["mean1"] - row["mean0"])
    return row["low"], row["z"], factor, int(row["excess_ns"]), int(row["n1"])


def excess(
    before: pl.DataFrame, after: pl.DataFrame, by: list[str], n: str, ns: str
) -> pl.DataFrame:
    """`by` -> excess_ns: time after beyond what as many would have taken before."""
    one = before.group_by(by).agg((pl.col(ns).sum() / pl.col(n).sum()).alias("_mean"))
    two = after.group_by(by).agg(pl.col(ns).sum().alias("_ns"), pl.col(n).sum().alias("_n"))
    excess = (pl.col("_ns") - pl.col("_n") * pl.col("_mean")).clip(lower_bound=0)
    joined = two.join(one, on=by, nulls_equal=True)
    return joined.select(*by, excess.round().cast(pl.Int64).alias("excess_ns"))


def edge_shifts(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """`resolved_edges` of two windows -> caller, callee, low, z, mean0, mean1, n1, excess_ns.

    Weighted by calls over the operations of the callee. Whoever sends a message does not wait for
    the work on it: no gap is between the two.
    """
    by = ["caller", "callee", "operation"]
    waits = ~((pl.col("category") == "messaging") & pl.col("instrumented"))
    before, after = before.filter(waits), after.filter(waits)
    risen = log_shifts(before, after, by, "spans", "gap_log", "gap_log2")
    risen = risen.join(excess(before, after, by, "spans", "gap_ns"), on=by, nulls_equal=True)
    weight = pl.col("n1") / pl.col("n1").sum()
    return (
        risen.group_by("caller", "callee")
        .agg(
            *((pl.col(c) * weight).sum().alias(c) for c in ("low", "mean0", "mean1")),
            pl.col("z").max(),
            pl.col("excess_ns").sum(),
            pl.col("n1").sum().alias("_n"),
        )
        .rename({"_n": "n1"})
        .sort("caller", "callee")
    )


def _edges(facts: FactsView, case: _Case, before: pl.DataFrame, after: pl.DataFrame) -> None:
    """In: how slow edges into a service are, beyond their callers' other edges. Out mirrors it."""
    rows = edge_shifts(before, after).to_dicts()
    low = {(r["caller"], r["callee"]): r["low"] for r in rows}
    busiest = _busiest(facts, after)
    for end in sorted({r["callee"] for r in rows}):
        into = [r for r in rows if r["callee"] == end]
        beyond = [r["low"] - low_median(_others(low, r, "caller")) for r in into]
        common = max(low_median(beyond), 0.0)
        _blame(facts, case, end, common, into, busiest)
        single = [b - common for b in beyond]
        if len(into) > 1 and not common and max(single) > 0:  # one slow edge of several
            _blame(facts, case, end, max(single), [into[single.index(max(single))]], busiest)
    for start in sorted({r["caller"] for r in rows}):
        out = [r for r in rows if r["caller"] == start]
        if len(out) > 1:
            beyond = [r["low"] - low_median(_others(low, r, "callee")) for r in out]
            _blame(facts, case, start, low_median(beyond), out, busiest)


def _others(low: dict[tuple[int, int], float], row: dict[str, Any], same: str) -> list[float]:
    """Shifts of the other edges of the same caller (or callee)."""
    place, other = (0, 1) if same == "caller" else (1, 0)
    ends = (row["caller"], row["callee"])
    return [x for e, x in low.items() if e[place] == ends[place] and e[other] != ends[other]]


def _blame(  # noqa: PLR0913 - what of whom
    facts: FactsView,
    case: _Case,
    service: int,
    weight: float,
    rows: list[dict[str, Any]],
    busiest: dict[tuple[int, int], str],
) -> None:
    worst = max(rows, key=lambda r: (r["low"], r["z"], -r["caller"], -r["callee"]))
    caller, callee = facts.text(worst["caller"]), facts.text(worst["callee"])
    numbers = _numbers({**worst, "low": weight})
    operation = busiest.get((worst["caller"], worst["callee"]), "")
    case.add(
        facts.text(service),
        Clue("edge", f"{caller} → {callee}", *numbers, caller=caller, operation=operation),
    )


def _busiest(facts: FactsView, edges: pl.DataFrame) -> dict[tuple[int, int], str]:
    """The caller's operation with most calls on each edge."""
    by = ["caller", "callee", "entry_label"]
    counted = edges.group_by(by).agg(pl.col("spans").sum())
    ordered = counted.sort("spans", "entry_label", descending=[True, False])
    first = ordered.unique(["caller", "callee"], keep="first", maintain_order=True)
    return {(c, e): facts.text(o) for c, e, o, _ in first.iter_rows()}


def _cuts(facts: FactsView, case: _Case, before: pl.DataFrame, after: pl.DataFrame) -> None:
    """Operations that end early, more often than before on one call."""
    by = ["service", "entry_label"]
    fewer = shifts(before, after, by, "entries", "steps", "steps2")
    fewer = fewer.filter((pl.col("high") > 0) & (pl.col("mean0") > 0)).select(
        *by, "z", "n1", (pl.col("high") / pl.col("mean0")).alias("drop")
    )
    rises = _ending_rises(before, after).join(fewer, on=by, nulls_equal=True)
    best: dict[tuple[str, str], Clue] = {}
    for row in rises.iter_rows(named=True):
        evidence = -math.log1p(-min(row["drop"], row["rise"], 1 - _EQUAL))
        own = facts.text(row["service"])
        blamed = facts.text(row["ending_service"]) or own
        where = f"{own} {facts.text(row['entry_label'])} ends on {facts.text(row['ending'])}"
        clue = Clue("cut", where, evidence, abs(row["z"]), 1.0, 0, int(row["n1"]))
        known = best.get((own, blamed))
        if known is None or (clue.weight, clue.where) > (known.weight, known.where):
            best[own, blamed] = clue
    for (_, blamed), clue in sorted(best.items(), key=lambda kv: kv[0]):
        case.add(blamed, clue)


def _ending_rises(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Keys of an operation and its last step -> rise: lower bound of the rise of its share."""
    by = ["service", "entry_label"]
    full = [*by, "ending", "ending_service"]

    def counted(rows: pl.DataFrame, side: int) -> pl.DataFrame:
        whole = rows.group_by(by).agg(pl.col("entries").sum().alias(f"n{side}"))
        ended = rows.group_by(full).agg(pl.col("entries").sum().alias(f"c{side}"))
        return ended.join(whole, on=by, nulls_equal=True)

    whole = before.group_by(by).agg(pl.col("entries").sum().alias("n0"))
    first = counted(before, 0).drop("n0")
    joined = (
        counted(after, 1)
        .join(first, on=full, how="left", nulls_equal=True)
        .join(whole, on=by, nulls_equal=True)
        .with_columns(pl.col("c0").fill_null(0))
    )
    share0, share1 = pl.col("c0") / pl.col("n0"), pl.col("c1") / pl.col("n1")
    pooled = (pl.col("c0") + pl.col("c1")) / (pl.col("n0") + pl.col("n1"))
    error = (pooled * (1 - pooled) * (1 / pl.col("n0") + 1 / pl.col("n1"))).sqrt()
    rise = (share1 - share0 - 2 * error).clip(lower_bound=0)
    return joined.select(*full, rise.alias("rise")).filter(pl.col("rise") > 0).sort(full)


def _errors(facts: FactsView, case: _Case, normal: Window, abnormal: Window) -> None:
    """Origins whose errors reach a larger share of an operation than before."""
    segments = facts.table("segments")
    minute = 60_000_000_000
    for cascade in cascades(facts):
        rows = cascade.rows.filter(~pl.col("absorbed"))
        worst = 0.0
        reached = 0
        for (service, label), group in rows.group_by("service", "entry_label", maintain_order=True):
            here = (pl.col("service") == service) & (pl.col("entry_label") == label)
            shares, counts = [], []
            for window in (normal, abnormal):
                # origins have panes of a minute: one belongs to the window that holds its errors
                inside = group.filter(
                    (pl.col("first_ns") < window.end_ns + minute)
                    & pl.col("last_ns").is_between(window.start_ns, window.end_ns)
                )
                whole = int(window.of(segments.filter(here))["entries"].sum())
                counts.append(whole)
                shares.append(min(int(inside["entries"].sum()) / whole, 1.0) if whole else 0.0)
            if min(counts) < 2:
                continue
            error = math.sqrt(sum(s * (1 - s) / n for s, n in zip(shares, counts, strict=True)))
            rise = shares[1] - shares[0] - 2 * error
            if rise > worst:
                worst, reached = rise, counts[1]
        weight = -math.log1p(-min(max(worst, 0.0), 1 - 1e-6))
        where = f"{cascade.error_type or 'error'} of {cascade.operation}"
        case.add(cascade.origin, Clue("error", where, weight, weight, 1.0, 0, reached))


def _ranked(case: _Case) -> tuple[Suspect, ...]:
    """By score, then by the largest z; what is equal in both shares a rank."""
    scored = []
    for service, clues in case.clues.items():
        ordered = sorted(clues, key=lambda c: (-c.weight, -c.z, c.kind, c.where))
        scored.append((sum(c.weight for c in ordered), max(c.z for c in ordered), service, ordered))
    scored.sort(key=lambda s: (-s[0], -s[1], s[2]))
    found: list[Suspect] = []
    for place, (score, z, service, clues) in enumerate(scored, 1):
        tied = place > 1 and _same(scored[place - 2][:2], (score, z))
        rank = found[-1].rank if tied else place
        found.append(Suspect(service, score, rank, tuple(clues)))
    return tuple(found)


def _same(one: Iterable[float], two: Iterable[float]) -> bool:
    return all(math.isclose(a, b, rel_tol=_EQUAL) for a, b in zip(one, two, strict=True))


def _undecided(facts: FactsView, before: pl.DataFrame, after: pl.DataFrame) -> tuple[str, ...]:
    """What the data cannot tell, in sentences."""
    told = []
    pairs = [set(w.select("service", "entry_label").iter_rows()) for w in (before, after)]
    for title, missing in (("new", pairs[1] - pairs[0]), ("gone", pairs[0] - pairs[1])):
        if missing:
            names = sorted(f"{facts.text(s)} {facts.text(o)}" for s, o in missing)
            told.append(f"{len(names)} operations are {title} and were not compared: {names[0]}")
    bare = facts.table("edges").filter(~pl.col("instrumented"))["callee"].unique()
    if len(bare):
        names = sorted(facts.text(c) for c in bare)
        told.append(
            f"{', '.join(names[:3])} have no spans: their work and the wire cannot be told apart"
        )
    few = min(int(before["entries"].sum()), int(after["entries"].sum()))
    if few < 20:
        told.append(f"only {few} entries stand behind one of the windows")
    return tuple(told)

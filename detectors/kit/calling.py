"""What the F rules share: what they look at, and how findings about calls are put together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from detectors.kit.contract import Bar, Exemplar, FactsView, State
from detectors.kit.derived import once
from detectors.kit.pricing import worst_exemplars
from detectors.kit.sightlines import Looking, blind_spots

CALLS = Looking(
    "outgoing calls",
    categories=("http", "rpc", "db", "cache", "messaging"),
    works=("call", "query", "write", "cache_read", "publish"),
    kinds=("client", "producer"),
    statement="the URL, method or statement",
    reveal_statement="record url.full (http.url), rpc.method and db.query.text on CLIENT spans",
)

Spots = dict[str, tuple[State, str, str]]
Held = dict[str, tuple[State, str]]


def spots(facts: FactsView, blind: Mapping[str, tuple[str, str]] | None = None) -> Spots:
    """service -> (state, reason, reveal); `blind` gives (reason, reveal) of services that are."""
    found = blind_spots(facts, CALLS)
    for service, (reason, reveal) in (blind or {}).items():
        if found.get(service, ("",))[0] == "seen":
            found[service] = ("blind", reason, reveal)
    return found


def hold(held: Held, service: str, state: State, reason: str) -> None:
    """Note why nothing is said of a service; exempt is told before below_threshold."""
    known = held.get(service)
    if known is None or (known[0] == "below_threshold" and state == "exempt"):
        held[service] = (state, reason)


def hold_samples(facts: FactsView, held: Held, needed: int) -> None:
    """Note services that make so few calls in a sample that `needed` bad ones would not show.

    Where one trace in four is kept, 20 bad calls are 80 of which the others were not seen.
    """
    for service, (calls, kept) in _samples(facts).items():
        if calls * kept < needed:
            least = math.ceil(needed / kept)
            seen = f"{calls} {CALLS.what} in a sample of {100 * kept:.3g} % of the traces"
            hold(held, service, "below_threshold", f"{seen}; {least} are needed")


@once
def _samples(facts: FactsView) -> dict[str, tuple[int, float]]:
    """service -> (outgoing calls, lowest probability of keeping a trace), of those sampled."""
    summed = (
        facts.table("sight")
        .filter(pl.col("category").is_in(CALLS.categories), pl.col("kind").is_in(CALLS.kinds))
        .group_by("service")
        .agg(pl.col("spans", "sampled").sum(), pl.col("sample_ppm").min())
        .filter(pl.col("sampled") > 0, pl.col("sample_ppm") > 0)
    )
    by = ("service", "spans", "sample_ppm")
    return {facts.text(s): (n, ppm / 1e6) for s, n, ppm in summed.select(by).iter_rows()}


def sampled_note(facts: FactsView) -> str:
    """A sentence when spans say that they are a sample, else empty: it thins every count."""
    sampled = int(facts.table("sight")["sampled"].sum())
    return " The spans are a sample, so counts are thinned." if sampled else ""


def environment_of(facts: FactsView, codes: Iterable[int | None]) -> str | None:
    """The one environment, None when there are several or none."""
    different = set(codes)
    return facts.text(different.pop()) or None if len(different) == 1 else None


def worst_calls(rows: pl.DataFrame) -> list[Mapping[str, Any]]:
    """The worst exemplars of facts rows that have some."""
    return worst_exemplars(rows["exemplars"].drop_nulls().to_list())


def panes_of(rows: pl.DataFrame, occurrences: str, wasted: str) -> dict[int, tuple[int, int]]:
    """pane -> (occurrences, wasted ns), from sums of two columns."""
    summed = rows.group_by("pane").agg(
        pl.col(occurrences).sum().alias("_n"), pl.col(wasted).sum().alias("_ns")
    )
    return {p: (n, ns) for p, n, ns in summed.sort("pane").iter_rows()}


def chain_bars(facts: FactsView, exemplar: Mapping[str, Any]) -> tuple[Bar, ...]:
    """The chain of an exemplar of facts `origins`: entry first, the origin marked."""
    zero = exemplar["starts_ns"][0]
    last = len(exemplar["services"]) - 1
    columns = ("services", "labels", "starts_ns", "durations_ns")
    return tuple(
        Bar(depth, facts.text(service), facts.text(label), start - zero, ns, mark=depth == last)
        for depth, (service, label, start, ns) in enumerate(
            zip(*(exemplar[c] for c in columns), strict=True)
        )
    )


def call_bars(
    facts: FactsView,
    service: str,
    callee: str,
    chosen: Sequence[Mapping[str, Any]],
    *,
    answer_marked: bool = False,
) -> tuple[Bar, ...]:
    """Entry, call and answer of the worst exemplar of facts `failures`."""
    if not chosen:
        return ()
    worst = chosen[0]
    zero = worst["entry_start_ns"] if worst["entry_start_ns"] is not None else worst["first_ns"]
    start, extent = worst["first_ns"] - zero, worst["last_ns"] - worst["first_ns"]
    label = facts.text(worst["label"])
    bars = [
        Bar(0, service, facts.text(worst["entry_label"]), 0, worst["entry_duration_ns"]),
        Bar(1, service, label, start, extent, mark=not answer_marked),
    ]
    if worst["answer_span"] is not None:
        ran = worst["answer_end_ns"] - worst["answer_start_ns"]
        answer = facts.text(worst["answer"])
        begun = worst["answer_start_ns"] - zero
        bars.append(Bar(2, callee, answer, begun, ran, mark=answer_marked))
    return tuple(bars)


def span_exemplars(chosen: Sequence[Mapping[str, Any]], *names: str) -> tuple[Exemplar, ...]:
    """Exemplars whose span ids stand in fields of their own; those that are null are left out."""
    return tuple(
        Exemplar(
            f"{e['trace_hi']:016x}{e['trace_lo']:016x}",
            tuple(f"{e[n]:016x}" for n in names if e[n] is not None),
        )
        for e in chosen
    )

"""cache-stampede: a hot key expires, and everybody loads it at once.

What it does
    Finds cached reads that many requests load from the database at the same time, again and again.

        GET /products/1   |==========|       GET product:1 misses, SELECT products |======|
        GET /products/1    |==========|      GET product:1 misses, SELECT products  |======|
        GET /products/1     |==========|     GET product:1 misses, SELECT products   |======|

Why is this bad?
    The load falls on the database at the moment when it is slowest: each request waits for a value
    that another one is already fetching. With a slow load and a hot key one expiry is an outage.

Example
    Bad, whoever misses loads:

        if (value := redis.get(key)) is None:
            value = slow_load(key)
            redis.set(key, value, ex=60)

    Better, one loads and the others wait for it or take the old value:

        with redis.lock(f"lock:{key}", timeout=5):
            if (value := redis.get(key)) is None:
                value = slow_load(key)
                redis.set(key, value, ex=60)

How it decides
    A cache must be linked to the read. Loads of one identity (the statement with the path of the
    request, or with its values) are counted by start in quanta as long as the median load; two
    neighbouring quanta count together. `min_loads` in one such window are a burst, a run of such
    windows is one as well, `min_bursts` of them are a fault. Loads of all instances count: it is a
    fault of the fleet. Wasted is the time of all loads of a burst but one.

Not flagged
    Loads of different identities at once; single flight, locks and early refresh, whose loads come
    one at a time. Blind where nothing tells identities apart.

References
    https://en.wikipedia.org/wiki/Cache_stampede
    Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from detectors.kit.caching import (
    CACHE_READS,
    REVEAL_HITS,
    REVEAL_PATHS,
    Fault,
    Link,
    LinkSettings,
    Silence,
    as_finding,
    links,
    one_per_fingerprint,
    settings_of,
    visibility,
)
from detectors.kit.contract import (
    EXEMPLARS_KEPT,
    Bar,
    Context,
    Exemplar,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    Verdict,
)
from detectors.kit.knobs import knob
from detectors.kit.sampling import Sample, sample_of

_DRAWN = 5


class CacheStampede:
    """C104: bursts of loads of one identity."""

    code = "C104"
    name = "cache-stampede"
    scope: Scope = "fleet"
    needs = ("links", "touches", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(LinkSettings):
        """Knobs of C104."""

        min_loads: int = knob(5, "loads of one identity that start together", low=2)
        min_bursts: int = knob(3, "such bursts", low=1)

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Linked reads that are loaded in bursts."""
        silence, found = Silence(), []
        touches = sample_of(facts.table("touches"), "thing")
        for link in links(facts):
            settings = settings_of(self, facts, context, link)
            state = link.state(settings)
            if state == "none":
                silence.say(link.service, "exempt", "no cache is linked to a database read")
                continue
            if state == "blind":
                reason = "too few hits tell whether a cache is filled"
                silence.say(link.service, "blind", reason, REVEAL_HITS)
                continue
            loads = _loads(touches, link)
            if not loads.height:
                reason = "neither values nor the route tell one load from another"
                silence.say(link.service, "blind", reason, REVEAL_PATHS)
                continue
            bursts = _bursts(loads, link.median_ns, settings.min_loads)
            if bursts.height < settings.min_bursts:
                reason = f"{bursts.height} bursts of {settings.min_loads} loads of one identity"
                needed = f"{settings.min_bursts} are needed"
                silence.say(link.service, "below_threshold", f"{reason}; {needed}")
                continue
            found.append(_finding(self, facts, link, touches, loads, bursts))
        findings = one_per_fingerprint(found)
        return Verdict(findings, visibility(self, facts, CACHE_READS, findings, silence))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        return Explanation(
            f"{d['most']} requests load {finding.subject} at once when its cache expires",
            f"{d['bursts']} bursts of up to {d['most']} loads of one identity within "
            f"{d['window_ms']} ms in {finding.operation}; "
            f"{finding.evidence}: {finding.evidence_reason}.",
            "Let one request load and the others wait or take the old value: single flight within "
            "a process, a short lock (SET NX EX) across the fleet, refresh before the expiry, or "
            "stale-while-revalidate. Jitter on the expiry keeps keys from expiring together.",
        )


def _loads(touches: Sample, link: Link) -> pl.DataFrame:
    """The loads of a read, by identity and start."""
    return touches.rows.filter(
        (pl.col("kind") == "load")
        & (pl.col("service") == link.service)
        & (pl.col("entry_label") == link.entry_label)
        & (pl.col("shape") == link.shape)
    ).sort("identity", "at_ns", "trace_hi", "trace_lo", "span_id")


def _bursts(loads: pl.DataFrame, quantum_ns: int, min_loads: int) -> pl.DataFrame:
    """identity, start and end of a burst (ns; two quanta or a run of them), loads in it."""
    width = max(quantum_ns, 1)
    quanta = (
        loads.group_by("identity", (pl.col("at_ns") // width).alias("quantum"))
        .agg(pl.len().cast(pl.Int64).alias("here"), pl.col("duration_ns").sum())
        .sort("identity", "quantum")
    )
    same = (pl.col("identity").shift(-1) == pl.col("identity")) & (
        pl.col("quantum").shift(-1) == pl.col("quantum") + 1
    )
    together = pl.col("here") + pl.when(same.fill_null(False)).then(
        pl.col("here").shift(-1)
    ).otherwise(0)
    crowded = quanta.with_columns(together.alias("loads")).filter(pl.col("loads") >= min_loads)
    # A run of crowded quanta is one burst: a slow first fill is not several stampedes.
    follows = (pl.col("identity").shift(1) == pl.col("identity")) & (
        pl.col("quantum").shift(1) == pl.col("quantum") - 1
    )
    run = (~follows.fill_null(False)).cast(pl.Int64).cum_sum().alias("run")
    return (
        crowded.with_columns(run)
        .group_by("identity", "run", maintain_order=True)
        .agg(
            (pl.col("quantum").first() * width).alias("start_ns"),
            ((pl.col("quantum").last() + 2) * width).alias("end_ns"),
            # the last quantum's neighbour is in no row of its own
            (pl.col("here").sum() + pl.col("loads").last() - pl.col("here").last()).alias("loads"),
        )
        .drop("run")
    )


def _finding(  # noqa: PLR0913 - what it is made of
    rule: Rule,
    facts: FactsView,
    link: Link,
    touches: Sample,
    loads: pl.DataFrame,
    bursts: pl.DataFrame,
) -> Finding:
    seen = (loads["told"] == "values").all()
    extra = touches.scaled(int((bursts["loads"] - 1).sum()))
    fault = Fault(
        severity="warning",
        evidence="observed" if seen else "inferred",
        reason="values tell the loads" if seen else "the path of the request tells the loads",
        occurrences=touches.scaled(bursts.height),
        wasted_ns=extra * link.median_ns,
        traces=touches.scaled(int(bursts["loads"].sum())),
        details={
            "bursts": bursts.height,
            "most": int(bursts["loads"].max()),  # type: ignore[arg-type]
            "window_ms": round(2 * link.median_ns / 1e6, 1),
            "hits": link.hits,
            "misses": link.misses,
            "sampled_share": touches.share,
        },
    )
    worst = bursts.sort(["loads", "start_ns", "identity"], descending=[True, False, False])
    crowd = _crowd(loads, worst.row(0, named=True))
    exemplars = tuple(
        Exemplar(f"{e['trace_hi']:016x}{e['trace_lo']:016x}", (f"{e['span_id']:016x}",))
        for e in crowd.head(EXEMPLARS_KEPT).iter_rows(named=True)
    )
    return replace(
        as_finding(rule, facts, link, fault),
        exemplars=exemplars,
        waterfall=_drawn(facts, link, crowd),
    )


def _crowd(loads: pl.DataFrame, burst: dict[str, Any]) -> pl.DataFrame:
    return loads.filter(
        (pl.col("identity") == burst["identity"])
        & pl.col("at_ns").is_between(burst["start_ns"], burst["end_ns"], closed="left")
    )


def _drawn(facts: FactsView, link: Link, crowd: pl.DataFrame) -> tuple[Bar, ...]:
    """The first loads of a burst, times relative to the first."""
    service, operation = facts.text(link.service), facts.text(link.entry_label)
    zero = int(crowd["at_ns"].min())  # type: ignore[arg-type]
    read, target = link.read["operation"], link.read["target"]
    label = " ".join(t for t in (facts.text(read), facts.text(target)) if t)
    extent = int((crowd["at_ns"] + crowd["duration_ns"]).max()) - zero  # type: ignore[arg-type]
    bars = [Bar(0, service, operation, 0, extent, crowd.height)]
    bars += [
        Bar(1, service, label, row["at_ns"] - zero, row["duration_ns"], mark=True)
        for row in crowd.head(_DRAWN).iter_rows(named=True)
    ]
    return tuple(bars)


RULE: Rule = CacheStampede()

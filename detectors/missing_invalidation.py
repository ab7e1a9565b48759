"""missing-invalidation: what was written is not what is read.

What it does
    Finds cached reads that keep answering from the cache after the row was written.

        PUT /products/5   |====|   UPDATE products
        GET /products/5             |==|   GET product:5 hits: the old value

Why is this bad?
    Users see what they changed come back unchanged, and two pages disagree, until the value
    expires. Such faults are reported as "sometimes", and nothing in logs or error rates shows them.

Example
    Bad, the write forgets that there is a cache:

        db.execute("UPDATE products SET price = %s WHERE id = %s", (price, pid))

    Better, delete the key when the write is committed:

        db.execute("UPDATE products SET price = %s WHERE id = %s", (price, pid))
        redis.delete(f"product:{pid}")

How it decides
    By the outcome first. A thing is the path of a request, cut after its last parameter, so that
    PUT /products/5 meets GET /products/5. Looked at is the first lookup of a thing `settle_ms` or
    more after a write to the table that a linked read loads it from: of at least `min_cases`, fewer
    than `min_reload_ratio` saw the database asked again since the write. Where loads are as
    frequent without a write before (values expire quickly, or traces are sampled and writes are
    missing) the outcome proves nothing: blind. With too few cases by structure, and `info` only: of
    at least `min_write_traces` traces that write the table, `min_silent_share` neither delete nor
    set anything in a cache afterwards.

Not flagged
    Writes that set the value (write-through); deletes before or after the write or in a trace of
    their own, when the next read loads again. By structure it is blind where a message is
    published, a version is counted up, or a cache delete is seen before the write or anywhere else.

References
    https://learn.microsoft.com/azure/architecture/patterns/cache-aside
    Nishtala et al.: Scaling Memcache at Facebook, NSDI 2013
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import comb
from typing import Any

import polars as pl

from detectors.kit.caching import (
    CACHE_READS,
    REVEAL_HITS,
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
    State,
    Verdict,
)
from detectors.kit.knobs import knob
from detectors.kit.sampling import Sample, sample_of

_CHANCE = 0.01
_WHOLE_TRACES = "send all traces, unsampled: a write that is not seen looks like an expiry"


class MissingInvalidation:
    """C105: lookups after a write still hit."""

    code = "C105"
    name = "missing-invalidation"
    scope: Scope = "local"
    needs = ("links", "touches", "writes", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(LinkSettings):
        """Knobs of C105."""

        settle_ms: float = knob(200.0, "time a write is given to be seen", unit="ms")
        min_cases: int = knob(10, "first lookups after a write", low=1)
        min_reload_ratio: float = knob(0.5, "of these, loads below which it is a fault", high=1)
        max_other_reload_ratio: float = knob(
            0.1, "loads among other lookups up to which the outcome proves anything", high=1
        )
        min_write_traces: int = knob(10, "traces with a write, to judge by structure", low=1)
        min_silent_share: float = knob(
            0.95, "of these, writes that no delete or set of a cache follows", high=1
        )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Linked reads that are stale after writes."""
        silence, found = Silence(), []
        touches = sample_of(facts.table("touches"), "thing")
        for link in links(facts):
            settings = settings_of(self, facts, context, link)
            state = link.state(settings)
            written = _written(facts, link)
            if state == "none" and 0 < link["filled"] < settings.min_sandwiches:
                reason = f"{link['filled']} reads stand between a cache read and a fill; "
                reason += f"{settings.min_sandwiches} are needed"
                silence.say(link.service, "below_threshold", reason)
            elif state == "none":
                silence.say(link.service, "exempt", "no cache is linked to a database read")
            elif state == "blind":
                reason = "too few hits tell whether a cache is filled"
                silence.say(link.service, "blind", reason, REVEAL_HITS)
            elif not written["writes"]:
                silence.say(link.service, "exempt", "nobody writes the table of a cached read")
            elif written["refreshed"] * 2 >= written["writes"]:
                silence.say(link.service, "exempt", "writes set the value: write-through")
            else:
                outcome = _Outcome.of(touches, link, settings)
                finding = _finding(self, facts, link, settings, outcome, written, touches)
                if finding is None:
                    silence.say(link.service, *_why_silent(facts, link, settings, outcome, written))
                else:
                    found.append(finding)
        findings = one_per_fingerprint(found)
        return Verdict(findings, visibility(self, facts, CACHE_READS, findings, silence))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        seen = (
            f"Of {d['cases']} first lookups after a write {d['reloads']} loaded from the database"
            if d["by"] == "outcome"
            else f"{d['write_traces']} traces write the table, and no cache is touched afterwards"
        )
        return Explanation(
            f"{finding.subject} is answered from the cache after its row was written",
            f"{seen} ({finding.operation}); {finding.evidence}: {finding.evidence_reason}.",
            "Delete the key after the write is committed, in the same operation, and keep a short "
            "expiry as a second line. Where others write the table too, delete on the event of the "
            "write (an outbox, change data capture) or put a version into the key.",
        )


def _written(facts: FactsView, link: Link) -> Mapping[str, int]:
    """How the service writes the table of a read, and what it does to caches around that."""
    target = pl.lit(link.read["target"], dtype=pl.UInt64)  # null where no table is known: no rows
    rows = facts.table("writes").filter(
        (pl.col("service") == link.service) & (pl.col("target") == target)
    )
    names = ("writes", "traces", "refreshed", "cleared", "cleared_before", "bumped")
    return {name: int(rows[name].sum()) for name in names}


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Lookups after a write and what they saw; other lookups of things seen, and their loads."""

    cases: pl.DataFrame
    reloads: int
    others: int
    other_reloads: int

    @classmethod
    def of(cls, touches: Sample, link: Link, settings: Any) -> _Outcome:
        rows = touches.rows.filter(pl.col("service") == link.service)
        writes = rows.filter(
            (pl.col("kind") == "write")
            & (pl.col("target") == pl.lit(link.read["target"], dtype=pl.UInt64))
        ).select("thing", pl.col("at_ns").alias("written_ns"), *_renamed("write"))
        looks = _looks(rows, link)
        settle_ns = int(settings.settle_ms * 1e6)
        placed = looks.join_asof(
            writes.sort("written_ns", "write_span"),
            left_on="at_ns",
            right_on="written_ns",
            by="thing",
            strategy="backward",
            check_sortedness=False,
        )
        since = ["thing", "written_ns"]
        place = pl.int_range(pl.len()).over(since)
        settled = pl.col("at_ns") - pl.col("written_ns") >= settle_ns
        placed = placed.with_columns(
            pl.col("loaded").cast(pl.Int8).cum_max().over(since).cast(pl.Boolean).alias("fresh"),
            (settled & (settled.cast(pl.Int64).cum_sum().over(since) == 1)).alias("case"),
            (pl.col("at_ns").min().over("thing") < pl.col("written_ns")).alias("known"),
            ((place > 0) | pl.col("written_ns").is_null()).alias("later"),
            (pl.int_range(pl.len()).over("thing") > 0).alias("seen"),
        )
        cases = placed.filter(pl.col("case") & pl.col("known"))
        others = placed.filter(pl.col("later") & pl.col("seen"))
        return cls(cases, int(cases["fresh"].sum()), others.height, int(others["loaded"].sum()))


def _renamed(prefix: str) -> list[pl.Expr]:
    return [
        pl.col("trace_hi").alias(f"{prefix}_hi"),
        pl.col("trace_lo").alias(f"{prefix}_lo"),
        pl.col("span_id").alias(f"{prefix}_span"),
        pl.col("duration_ns").alias(f"{prefix}_duration_ns"),
        pl.col("entry_label").alias(f"{prefix}_label"),
    ]


def _looks(rows: pl.DataFrame, link: Link) -> pl.DataFrame:
    """Lookups of the link's operation in order of time, with `loaded`: the read followed."""
    entry = ["trace_hi", "trace_lo", "entry_span"]
    here = rows.filter(pl.col("entry_label") == link.entry_label)
    loads = here.filter(
        (pl.col("kind") == "load")
        & (pl.col("target") == pl.lit(link.read["target"], dtype=pl.UInt64))
    )
    return (
        here.filter(pl.col("kind") == "look")
        .join(
            loads.select(entry).unique().with_columns(loaded=pl.lit(True)),
            on=entry,
            how="left",
        )
        .with_columns(pl.col("loaded").fill_null(False))
        .sort("at_ns", *entry)
    )


def _finding(  # noqa: PLR0913 - what it is made of
    rule: Rule,
    facts: FactsView,
    link: Link,
    settings: Any,
    outcome: _Outcome,
    written: Mapping[str, int],
    touches: Sample,
) -> Finding | None:
    """By the outcome when there are enough cases, else by structure; None when it is no fault."""
    if outcome.cases.height >= settings.min_cases:
        if _proves(outcome, settings) is not None:
            return None
        stale = outcome.cases.height - outcome.reloads
        fault = Fault(
            severity="warning",
            evidence="inferred",
            reason="hits and misses are told by the order of commands",
            occurrences=touches.scaled(stale),
            wasted_ns=0,
            traces=touches.scaled(stale),
            details={
                "by": "outcome",
                "cases": outcome.cases.height,
                "reloads": outcome.reloads,
                "reload_ratio": round(outcome.reloads / outcome.cases.height, 3),
                "write_traces": written["traces"],
                "sampled_share": touches.share,
            },
        )
        return _drawn(facts, link, as_finding(rule, facts, link, fault), outcome)
    if _structure(facts, settings, written) is not None:
        return None
    fault = Fault(
        severity="info",
        evidence="inferred",
        reason="too few lookups after a write; judged by what writes do",
        occurrences=written["traces"],
        wasted_ns=0,
        details={
            "by": "structure",
            "cases": outcome.cases.height,
            "reloads": outcome.reloads,
            "write_traces": written["traces"],
            "sampled_share": touches.share,
        },
    )
    return as_finding(rule, facts, link, fault)


def _proves(outcome: _Outcome, settings: Any) -> tuple[State, str, str] | None:
    """Why enough cases are no proof of staleness; None when they are one."""
    cases, reloads = outcome.cases.height, outcome.reloads
    if reloads >= settings.min_reload_ratio * cases:
        return "seen", f"{reloads} of {cases} first lookups after a write load again", ""
    base = outcome.other_reloads / outcome.others if outcome.others else 0.0
    if base > settings.max_other_reload_ratio:
        reason = f"{base:.0%} of the lookups without a write before load, too"
        return "blind", reason, _WHOLE_TRACES
    if reloads and _tail(cases, reloads, base) < _CHANCE:
        reason = f"{reloads} of {cases} lookups after a write load again, more than elsewhere"
        return "blind", reason, _WHOLE_TRACES
    return None


def _tail(n: int, k: int, p: float) -> float:
    """P(at least k of n) of a binomial distribution."""
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def _structure(
    facts: FactsView, settings: Any, written: Mapping[str, int]
) -> tuple[State, str, str] | None:
    """Why writes prove no fault by what they do; None when they do."""
    touched = written["refreshed"] + written["cleared"]
    if written["traces"] < settings.min_write_traces:
        reason = f"{written['traces']} traces with a write; {settings.min_write_traces} are needed"
        return "below_threshold", reason, ""
    if touched > (1 - settings.min_silent_share) * written["writes"]:
        return "below_threshold", "too few lookups after a write; writes clear the cache", ""
    elsewhere = int(facts.table("links")["evictions"].sum()) > touched
    if written["cleared_before"] or written["bumped"] or elsewhere:
        reason = "caches are cleared before the write, by message or version, or elsewhere"
        return "blind", reason, "lookups of the same path as the write, soon after it"
    return None


def _why_silent(
    facts: FactsView, link: Link, settings: Any, outcome: _Outcome, written: Mapping[str, int]
) -> tuple[State, str, str]:
    told = (
        _proves(outcome, settings)
        if outcome.cases.height >= settings.min_cases
        else _structure(facts, settings, written)
    )
    return told or ("seen", f"{link.misses} loads", "")


def _drawn(facts: FactsView, link: Link, finding: Finding, outcome: _Outcome) -> Finding:
    """The finding with its stale lookups, and the write before, as exemplars."""
    stale = outcome.cases.filter(~pl.col("fresh")).sort("at_ns", "trace_hi", "trace_lo")
    exemplars = tuple(
        Exemplar(f"{e['trace_hi']:016x}{e['trace_lo']:016x}", (f"{e['span_id']:016x}",))
        for e in stale.head(EXEMPLARS_KEPT).iter_rows(named=True)
    )
    worst = stale.row(0, named=True)
    service = facts.text(link.service)
    zero = worst["written_ns"] - worst["write_duration_ns"]
    target = facts.text(link.read["target"])
    bars = (
        Bar(0, service, facts.text(worst["write_label"]), 0, worst["write_duration_ns"]),
        Bar(1, service, f"write {target}", 0, worst["write_duration_ns"]),
        Bar(
            0,
            service,
            f"{facts.text(worst['entry_label'])} (hit)",
            worst["at_ns"] - zero,
            worst["duration_ns"],
            mark=True,
        ),
    )
    return replace(finding, exemplars=exemplars, waterfall=bars)


RULE: Rule = MissingInvalidation()

"""low-hit-ratio: a cache that seldom knows the answer.

What it does
    Finds caches in front of a database read that miss more often than they hit.

        GET /search?q=a7   |==============|     GET /search?q=b2   |==============|
          GET q:a7          |=|  miss             GET q:b2          |=|  miss
          SELECT products       |====|            SELECT products       |====|
          SET q:a7                     |=|        SET q:b2                     |=|

Why is this bad?
    A miss costs two round trips more than no cache at all, and the values that nobody asks for
    again push out those that somebody does.

Example
    Bad, every request has a key of its own:

        key = f"price:{product_id}:{datetime.now().isoformat()}"

    Better, a key of what the answer depends on:

        key = f"price:{product_id}"

How it decides
    A cache must be linked to the read: entries that look up and read are misses, those that look up
    and do not are hits (`cache.hit` decides where spans carry it). The first miss of each identity
    is left out, a cold start is no fault. Of at least `min_reads` others less than `min_ratio` are
    hits. The reason is named where it shows: keys that
    never come back although what is read does, values that expire before they are asked for again,
    or writes that invalidate them.

Not flagged
    Caches that are warming up; too few lookups. Blind where neither the route nor values tell one
    read from another, for then a cold start cannot be told.

References
    https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Strategies.html
"""

from __future__ import annotations

from dataclasses import dataclass
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
    Context,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    Verdict,
)
from detectors.kit.identities import Reads, reads_by_link
from detectors.kit.knobs import knob

_EVEN = 1.5
"""Refetch intervals whose upper quartile is at most so many times the lower are a time to live."""
_ENOUGH_INTERVALS = 5
_DISTINCT = 0.8
"""Visible keys per miss from which on they never come back."""


class LowHitRatio:
    """C103: most lookups of a linked read miss, cold start left out."""

    code = "C103"
    name = "low-hit-ratio"
    scope: Scope = "local"
    needs = ("links", "reads", "writes", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(LinkSettings):
        """Knobs of C103."""

        min_ratio: float = knob(0.5, "hits per lookup below which it is a fault", high=1)
        min_reads: int = knob(50, "lookups, each identity's first miss left out", low=1)

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Linked reads whose lookups mostly miss."""
        silence, found = Silence(), []
        reads = reads_by_link(facts)
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
            counted = _Counted.of(reads, link)
            if not counted.told:
                reason = "neither values nor the route tell a cold start from misses"
                silence.say(link.service, "blind", reason, REVEAL_PATHS)
            elif (cause := _cause(facts, link, counted, settings)) is not None:
                fault = _fault(link, counted, cause)
                found.append(as_finding(self, facts, link, fault))
            else:
                silence.say(link.service, *_why_silent(counted, settings))
        findings = one_per_fingerprint(found)
        return Verdict(findings, visibility(self, facts, CACHE_READS, findings, silence))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        return Explanation(
            f"The cache of {finding.subject} hits {d['hit_ratio']:.0%} of its lookups",
            f"{d['hits']} hits and {d['misses']} misses in {finding.operation}, of which "
            f"{d['identities']} were the first of their identity; {d['cause']}; "
            f"{finding.evidence}: {finding.evidence_reason}.",
            "Build keys from what the answer depends on and nothing else (no timestamps, no "
            "request ids, sorted parameters); let values live longer than the time after which "
            "they are asked for again; update the value on a write instead of deleting it. Where "
            "keys really never come back, take the cache out: it only costs.",
        )


@dataclass(frozen=True, slots=True)
class _Counted:
    """Lookups of a linked read: hits, misses, and how many misses were an identity's first."""

    hits: int
    misses: int
    firsts: int
    told: bool
    keys: int
    rows: pl.DataFrame
    share: float

    @classmethod
    def of(cls, reads: Reads, link: Link) -> _Counted:
        missed = "missed" if link.explicit else "behind"
        here, sample = reads.of(link).filter(pl.col(missed) > 0), reads.sample
        rows = here.group_by("told", "identity").agg(
            pl.col(missed).sum().alias("misses"),
            pl.col("first_ns").min(),
            pl.col("last_ns").max(),
        )
        keys = sample.scaled(here["key"].drop_nulls().n_unique())
        known = rows.filter(pl.col("told") != "nothing")
        firsts = min(sample.scaled(known.height), link.misses)
        told = int(known["misses"].sum()) * 2 >= int(rows["misses"].sum())
        return cls(link.hits, link.misses, firsts, told, keys, known, sample.share)

    @property
    def lookups(self) -> int:
        """All of them."""
        return self.hits + self.misses

    @property
    def warm(self) -> int:
        """All but each identity's first miss."""
        return self.lookups - self.firsts


def _cause(facts: FactsView, link: Link, counted: _Counted, settings: Any) -> str | None:
    """Why the ratio is low, in words; None when it is not, or too little was seen."""
    if counted.warm < settings.min_reads or counted.hits >= settings.min_ratio * counted.warm:
        return None
    if counted.keys >= _DISTINCT * counted.misses:
        return "each lookup has a key of its own, though what is read comes back"
    written = facts.table("writes").filter(
        (pl.col("system") == pl.lit(link.read["system"], dtype=pl.UInt64))
        & (pl.col("target") == pl.lit(link.read["target"], dtype=pl.UInt64))
    )
    if int((written["cleared"] + written["cleared_before"]).sum()) * 2 >= counted.misses:
        return "writes delete the values before they are asked for again"
    interval_ns = _even_interval_ns(counted.rows)
    if interval_ns is not None:
        return f"values are fetched again every {interval_ns / 1e9:.3g} s: they expire by then"
    return "values are not there any more when they are asked for again, or their keys differ"


def _even_interval_ns(rows: pl.DataFrame) -> int | None:
    """The usual time between misses of one identity, when it is about the same for all."""
    per = rows.filter(pl.col("misses") >= 3).select(
        (pl.col("last_ns") - pl.col("first_ns")) // (pl.col("misses") - 1)
    )
    if per.height < _ENOUGH_INTERVALS:
        return None
    low, middle, high = (per.to_series().quantile(q, "nearest") for q in (0.25, 0.5, 0.75))
    if not low or not middle or not high or high > _EVEN * low:
        return None
    return int(middle)


def _fault(link: Link, counted: _Counted, cause: str) -> Fault:
    ratio = counted.hits / counted.warm
    return Fault(
        severity="warning",
        evidence="observed" if link.explicit else "inferred",
        reason="spans say hit or miss"
        if link.explicit
        else "hits and misses are told by the order of commands",
        occurrences=counted.misses,
        wasted_ns=0,
        details={
            "hits": counted.hits,
            "misses": counted.misses,
            "identities": counted.firsts,
            "hit_ratio": round(ratio, 3),
            "cause": cause,
            "sampled_share": counted.share,
        },
    )


def _why_silent(counted: _Counted, settings: Any) -> tuple[Any, str]:
    if counted.warm < settings.min_reads:
        reason = f"{counted.warm} lookups beside first misses; {settings.min_reads} are needed"
        return "below_threshold", reason
    return "seen", f"{counted.hits} hits of {counted.lookups} lookups"


RULE: Rule = LowHitRatio()

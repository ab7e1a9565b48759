"""cache-never-filled: every request asks the cache in vain, then the database, and fills nothing.

What it does
    Finds operations that read a cache, then the database, and never write the value back.

        GET /products/5                  |==============|
          GET product:5                   |=|                 miss, as always
          SELECT products                     |====|
                                                     … and no SET

Why is this bad?
    It is a cache that costs a round trip on each request and never saves one. It looks right in the
    code, and on the dashboard of the cache nothing is wrong: it is small and fast.

Example
    Bad, the fill was lost in a refactoring:

        value = cache.get(key)
        if value is None:
            value = load(key)
        return value

    Better:

        value = cache.get(key)
        if value is None:
            value = load(key)
            cache.set(key, value, ttl=300)
        return value

How it decides
    Where spans say miss (`cache.hit`), or where keys are visible and each key goes with one
    identity of the read and the other way round: at least `min_misses` reads after a miss, of which
    `min_unfilled_share` see no fill. Nobody else may be seen filling that cache, nor hits.
    Where keys are masked it cannot be proven, for a session check before a read has the same
    spans: it is `info` and says `link_ambiguous`, and only when the read always follows the cache
    read, the service writes no cache at all, and another operation of it (`min_other_entries`
    entries) reads no cache, so that the cache read is no middleware's.

Not flagged
    A session or a feature flag that is looked up before a read; caches that another operation or
    service fills; reads that are skipped now and then, which are hits.

References
    https://learn.microsoft.com/azure/architecture/patterns/cache-aside
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.caching import (
    CACHE_READS,
    Fault,
    Link,
    LinkSettings,
    Silence,
    as_finding,
    is_health,
    links,
    one_per_fingerprint,
    operations,
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
from detectors.kit.knobs import knob
from detectors.kit.sampling import ALWAYS, Sample, sample_of

_PAIRED = 1.1
"""Pairs of key and identity per key, and per identity, up to which they go together."""
_ENOUGH_IDENTITIES = 5
_FEW_HITS = 0.05


class CacheNeverFilled:
    """C102: a cache read, the database read, and never a fill."""

    code = "C102"
    name = "cache-never-filled"
    scope: Scope = "local"
    needs = ("links", "lookups", "reads", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(LinkSettings):
        """Knobs of C102."""

        min_misses: int = knob(20, "reads after a miss", low=1)
        min_unfilled_share: float = knob(0.95, "of these, reads that no fill follows", high=1)
        min_always_share: float = knob(
            0.95, "of the entries that look up, those in which the read follows", high=1
        )
        min_other_entries: int = knob(
            20, "entries of another operation of the service that reads no cache", low=1
        )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Reads after a cache read that nobody fills."""
        silence, found = Silence(), []
        reads = sample_of(facts.table("reads"), "identity")
        owns = operations(facts)
        for link in links(facts):
            settings = settings_of(self, facts, context, link)
            if not link["behind"] or link["filled"] > _unfilled_slack(link, settings):
                silence.say(link.service, "exempt", "cache reads without a read, or with a fill")
                continue
            fault = _proven(facts, reads, link, settings) or _masked(facts, owns, link, settings)
            if fault is not None:
                found.append(as_finding(self, facts, link, fault))
            else:
                silence.say(link.service, *_why_silent(link, settings))
        findings = one_per_fingerprint(found)
        return Verdict(findings, visibility(self, facts, CACHE_READS, findings, silence))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        doubt = (
            " The keys are masked: if the cache read is a session or a flag, this is no fault."
            if d["link_ambiguous"]
            else ""
        )
        return Explanation(
            f"{finding.operation} looks into a cache that is never filled, then runs "
            f"{finding.subject}",
            f"{d['unfilled']} of {d['misses']} reads after a cache read are followed by no fill; "
            f"{finding.evidence}: {finding.evidence_reason}.{doubt}",
            "Write the value back after a miss, with an expiry (SET … EX), and check that the key "
            "that is written is the key that is read. If the cache is filled elsewhere, see that "
            "whoever fills it still runs; if nobody means to, take the lookup out.",
        )


def _unfilled_slack(link: Link, settings: Any) -> float:
    """Fills that may be seen of a cache that is never filled."""
    return float((1 - settings.min_unfilled_share) * link["behind"])


def _proven(facts: FactsView, reads: Sample, link: Link, settings: Any) -> Fault | None:
    """Misses that are told by spans, or by visible keys that go with what is read."""
    caches = facts.table("lookups").filter(pl.col("service") == link.service)
    here = caches.filter((pl.col("entry_label") == link.entry_label) & (pl.col("role") == "read"))
    said_hit, said_miss = int(here["hits"].sum()), int(here["misses"].sum())
    if link.explicit and link["missed"] >= settings.min_misses:
        if said_hit > _FEW_HITS * (said_hit + said_miss):
            return None
        return _fault(link, link["missed"], "spans say that the cache misses")
    if link["keyed"] < settings.min_misses or _filled_by_somebody(facts, here):
        return None
    looked = int(here["commands"].sum())
    always = link["looked"] >= settings.min_always_share * max(looked, link.own["looked"])
    if not always or not _go_together(reads, link):
        return None
    return _fault(link, link["keyed"], "each cache key goes with one identity of the read")


def _filled_by_somebody(facts: FactsView, here: pl.DataFrame) -> bool:
    """Whether a cache of the same kind of keys is written by any operation of any service."""
    fills = facts.table("lookups").filter(pl.col("role").is_in(["fill", "other"]))
    names = here["cache"].drop_nulls().unique().to_list()
    return bool((fills["cache"].is_in(names) | fills["cache"].is_null()).any())


def _go_together(reads: Sample, link: Link) -> bool:
    """Whether cache keys and identities of the read are one to one: keys of what is read."""
    pairs = (
        reads.rows.filter(
            (pl.col("service") == link.service)
            & (pl.col("entry_label") == link.entry_label)
            & (pl.col("shape") == link.shape)
            & pl.col("key").is_not_null()
            & pl.col("told").is_in(["values", "path"])
            & (pl.col("identity") != ALWAYS)
        )
        .select("key", "identity")
        .unique()
    )
    keys, identities = pairs["key"].n_unique(), pairs["identity"].n_unique()
    return min(keys, identities) >= _ENOUGH_IDENTITIES and pairs.height <= _PAIRED * min(
        keys, identities
    )


def _masked(
    facts: FactsView,
    owns: Mapping[tuple[int, int], Mapping[str, int]],
    link: Link,
    settings: Any,
) -> Fault | None:
    """What can be said where keys are masked: nothing is sure."""
    others = [o for (service, _), o in owns.items() if service == link.service]
    if link["filled"] or any(o["fills"] for o in others):
        return None
    enough = link["looked"] >= settings.min_misses
    always = link["looked"] >= settings.min_always_share * link.own["looked"]
    without = any(
        own["entries"] >= settings.min_other_entries
        and not own["looked"]
        and not is_health(facts.text(label))
        for (service, label), own in owns.items()
        if service == link.service and label != link.entry_label
    )
    if not (enough and always and without):
        return None
    return _fault(link, link["behind"], "keys are masked: the cache read may be another's", True)


def _fault(link: Link, misses: int, reason: str, ambiguous: bool = False) -> Fault:  # noqa: FBT001, FBT002
    return Fault(
        severity="info" if ambiguous else "warning",
        evidence="inferred" if ambiguous else "observed",
        reason=reason,
        occurrences=misses,
        wasted_ns=0,
        details={
            "misses": misses,
            "unfilled": misses - min(link["filled"], misses),
            "link_ambiguous": ambiguous,
        },
    )


def _why_silent(link: Link, settings: Any) -> tuple[Any, str, str]:
    if link["behind"] < settings.min_misses:
        reason = f"{link['behind']} reads after a cache read; {settings.min_misses} are needed"
        return "below_threshold", reason, ""
    return (
        "exempt",
        "nothing shows that the cache read is for the read that follows",
        "make keys or hits visible: attributes cache.key and cache.hit on cache reads",
    )


RULE: Rule = CacheNeverFilled()

"""cache-without-expiry: cached values stay until somebody deletes them.

What it does
    Finds caches of database reads whose values are written without a time to live.

        GET /products/5                  |==================|
          GET product:5                   |=|                        miss
          SELECT products                     |====|
          SET product:5                              |=|             for ever

Why is this bad?
    A value that never expires is wrong for ever once one invalidation is missed, and keys of things
    nobody asks for any more fill the memory until the server evicts by its own policy, or refuses
    writes (`noeviction` is Redis' default).

Example
    Bad:

        redis.set(f"product:{pid}", json.dumps(row))

    Better, with some jitter, so that not all keys expire at once:

        redis.set(f"product:{pid}", json.dumps(row), ex=300 + random.randrange(60))

How it decides
    Only fills of reads that a cache is linked to are counted: of at least `min_fills` that follow a
    miss, `min_share` carry no expiry. A fill has one when its command does (SETEX, PSETEX, SET with
    EX, PX, EXAT or PXAT; where arguments are masked, a SET of four or more), or when the request
    sends EXPIRE afterwards. SET with three arguments is NX, XX, KEEPTTL or GET: none.

Not flagged
    Redis as the system of record: nothing is read from a database in front of it. Blind where the
    arguments of commands are not shown, and for memcached, whose spans do not show the expiry.

References
    https://redis.io/docs/latest/commands/set/
    https://redis.io/docs/latest/develop/reference/eviction/
"""

from __future__ import annotations

from dataclasses import dataclass

from detectors.kit.caching import (
    CACHE_READS,
    REVEAL_HITS,
    Fault,
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
from detectors.kit.knobs import knob

_REVEAL = "record the arguments of cache commands, at least masked (`SET ? ? ? ?`)"


class CacheWithoutExpiry:
    """C106: fills of a linked read carry no time to live."""

    code = "C106"
    name = "cache-without-expiry"
    scope: Scope = "local"
    needs = ("links", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(LinkSettings):
        """Knobs of C106."""

        min_fills: int = knob(20, "fills whose expiry is known", low=1)
        min_share: float = knob(0.95, "of these, fills without expiry", high=1)

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Linked reads whose fills never expire."""
        silence, found = Silence(), []
        for link in links(facts):
            settings = settings_of(self, facts, context, link)
            state = link.state(settings)
            known = link["filled"] - link["unknown_expiry"]
            lasting = link["lasting"]
            if state == "none":
                silence.say(link.service, "exempt", "no cache is linked to a database read")
            elif state == "blind":
                reason = "too few hits tell whether a cache is filled"
                silence.say(link.service, "blind", reason, REVEAL_HITS)
            elif known < settings.min_fills <= link["filled"]:
                silence.say(link.service, "blind", "the arguments of fills are hidden", _REVEAL)
            elif known < settings.min_fills:
                reason = f"{known} fills of a cached read; {settings.min_fills} are needed"
                silence.say(link.service, "below_threshold", reason)
            elif lasting < settings.min_share * known:
                silence.say(link.service, "seen", f"{known - lasting} of {known} fills expire")
            else:
                fault = Fault(
                    severity="warning",
                    evidence="inferred",
                    reason="fills are told by the order of commands",
                    occurrences=lasting,
                    wasted_ns=0,
                    details={"fills": known, "lasting": lasting},
                )
                found.append(as_finding(self, facts, link, fault))
        findings = one_per_fingerprint(found)
        return Verdict(findings, visibility(self, facts, CACHE_READS, findings, silence))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        return Explanation(
            f"The cache of {finding.subject} is filled without an expiry",
            f"{d['lasting']} of {d['fills']} fills in {finding.operation} carry no time to live; "
            f"{finding.evidence}: {finding.evidence_reason}.",
            "Give each value a time to live that is as long as staleness can be borne (SET … EX, "
            "SETEX), with some jitter, even where writes delete the key: it bounds the harm of an "
            "invalidation that was missed, and the memory.",
        )


RULE: Rule = CacheWithoutExpiry()

"""uncached-hot-read: the same question asked of the database by request after request.

What it does
    Finds reads whose answer many requests ask for again, with no cache in front of them.

        GET /products/5   |=====|            GET /products/5   |=====|
          SELECT products  |===|               SELECT products  |===|      … 50 times a minute

Why is this bad?
    Every repeat costs a round trip, a connection and the database's time for an answer that was
    known a moment ago. The database is the part that scales worst, and hot reads are what it is
    busy with when it falls over.

Example
    Bad, each request asks the database:

        def product(pid):
            return db.execute("SELECT * FROM products WHERE id = %s", (pid,)).fetchone()

    Better, look aside first, and let the value expire:

        def product(pid):
            if (known := redis.get(f"product:{pid}")) is not None:
                return json.loads(known)
            row = db.execute("SELECT * FROM products WHERE id = %s", (pid,)).fetchone()
            redis.set(f"product:{pid}", json.dumps(row), ex=60)
            return row

How it decides
    An identity of a read is its statement with its values; a statement without parameters is one
    identity; where values are hidden, the statement with the path of the request. The read must
    run `min_executions` times over `min_traces` traces, and `min_repeat_share` of these must be
    repeats of an identity that was read before. It must be in `min_entry_share` of the operation's
    successful requests: a read that is skipped now and then has a cache that spans do not show
    (S101), or a branch. No cache may be linked to it: a cache read in front of it is none by itself
    (a session check is one), only if values are written on misses more than on hits. Wasted is the
    time of the repeats, times the share of them that writes to the table would leave cached.

Not flagged
    Reads behind a cache; locking reads (FOR UPDATE); reads whose answer changes by itself (now(),
    random(), nextval()); reads that are keyed by who asks (sessions, the own account); reads of a
    table that the same request then writes; tables that are written so often that a cache would
    hold less than `min_achievable_ratio`; health checks, and timers that look for work; cache reads
    that fail; reads of which C102 says that their cache is never filled. Workers are one severity
    lower. Blind where neither values nor a route with a parameter or query tell one read from
    another.

References
    https://learn.microsoft.com/azure/architecture/patterns/cache-aside
    https://aws.amazon.com/caching/best-practices/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.caching import (
    REVEAL_HITS,
    REVEAL_PATHS,
    Fault,
    Link,
    LinkSettings,
    Silence,
    as_finding,
    is_health,
    links,
    named,
    one_per_fingerprint,
    operations,
    settings_of,
    visibility,
)
from detectors.kit.contract import (
    Context,
    Evidence,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    Verdict,
)
from detectors.kit.derived import once
from detectors.kit.identities import Told, reads_by_link, told_by_link
from detectors.kit.knobs import knob
from detectors.kit.pricing import share, stepped
from detectors.kit.sightlines import Looking
from detectors.kit.traits import Trait
from detectors.kit.yielding import findings_of

_LOOKING = Looking(
    "database reads",
    categories=("db",),
    works=("query", "cache_read"),
    statement="the statement (db.query.text, db.statement)",
    reveal_statement="record statements and let no processor delete db.query.text or db.statement",
)
_SESSION = re.compile(r"session|token|api_?key|csrf|permission", re.IGNORECASE)
"""Tables and columns of who asks, whatever the route is about."""
_PERSON = re.compile(r"user|account|customer|member|owner|tenant", re.IGNORECASE)
"""Tables and columns of a person: of who asks, unless the route is about persons itself."""
_SHARE_OF_ANOTHER = 0.9


class UncachedHotRead:
    """C101: one identity read again and again, nothing in front of it."""

    code = "C101"
    name = "uncached-hot-read"
    scope: Scope = "local"
    needs = ("links", "reads", "writes", "lookups", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(LinkSettings):
        """Knobs of C101."""

        min_executions: int = knob(20, "executions in the horizon", low=2)
        min_traces: int = knob(5, "traces over which they are spread", low=1)
        min_repeat_share: float = knob(
            0.5, "of all executions, those of an identity seen before", high=1
        )
        min_achievable_ratio: float = knob(
            0.2, "hits per read that writes to the table would allow a cache", high=1
        )
        min_entry_share: float = knob(
            0.9, "of the operation's successful entries, those with the read", high=1
        )
        critical_share: float = knob(
            0.5, "critical when it wastes this share of the requests' time …", high=1
        )
        critical_wasted_ms: float = knob(1000.0, "… and this much per minute", unit="ms/min")

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Reads that repeat, are always there and have no cache."""
        silence, found = Silence(), []
        known = told_by_link(facts)
        yielding = _unfilled(facts, context)
        everywhere = _by_who_asks(facts)
        for link in links(facts):
            settings = settings_of(self, facts, context, link)
            if _out_of_question(facts, link, settings, silence):
                continue
            told = known.get((link.service, link.entry_label, link.shape), Told())
            if _left_alone(facts, link, settings, told, silence, everywhere):
                continue
            if (link.service, None) in yielding or (link.service, named(facts, link)) in yielding:
                silence.say(link.service, "exempt", "C102 speaks of a cache that is never filled")
                continue
            found.append(
                as_finding(self, facts, link, _fault(facts, context, settings, link, told))
            )
        findings = one_per_fingerprint(found)
        return Verdict(findings, visibility(self, facts, _LOOKING, findings, silence))

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        writes = (
            f" {d['writes']} writes to the table would leave {d['achievable_hit_ratio']:.0%} hits."
            if d["writes"]
            else " Nobody was seen writing to the table."
        )
        return Explanation(
            f"{finding.subject} ran {d['executions']} times for {d['identities']} different "
            f"answers in {finding.operation}",
            f"{d['repeat_share']:.0%} repeat an earlier read, the hottest "
            f"{d['hottest']} times; {finding.evidence}: {finding.evidence_reason}.{writes}",
            "Put a cache in front of it: look aside, fill on a miss with an expiry (SET … EX), and "
            "delete the key where the row is written. One process-local dictionary is not enough "
            "for several instances (S101); for a small table that rarely changes a refresh every "
            "few seconds will do.",
        )


def _out_of_question(facts: FactsView, link: Link, settings: Any, silence: Silence) -> bool:
    """Whether a clause exempts the read, whatever it repeats, or it is too seldom."""
    say = silence.say
    state = link.state(settings)
    clause = _clause(facts, link)
    if clause is not None:
        say(link.service, "exempt", clause)
    elif state == "linked":
        say(link.service, "exempt", "a cache stands in front of the read")
    elif state == "blind":
        say(link.service, "blind", "too few hits tell whether a cache is filled", REVEAL_HITS)
    elif link["executions"] < settings.min_executions or link["traces"] < settings.min_traces:
        reason = f"{link['executions']} executions in {link['traces']} traces"
        needed = f"{settings.min_executions} in {settings.min_traces} are needed"
        say(link.service, "below_threshold", f"{reason}; {needed}")
    else:
        return False
    return True


def _left_alone(  # noqa: PLR0913 - what there is to look at
    facts: FactsView,
    link: Link,
    settings: Any,
    told: Told,
    silence: Silence,
    everywhere: set[tuple[int, int]],
) -> bool:
    """Whether nobody can tell, it is about who asks, or too little of it repeats."""
    say = silence.say
    in_successful = link["ok"] / link.own["ok"] if link.own["ok"] else 0.0
    known = sum(told.told.values())
    if told.told.get("nothing", 0) * 2 > known:
        reason = "neither values nor the route tell one read from another"
        say(link.service, "blind", reason, REVEAL_PATHS)
    elif told.told.get("actor", 0) * 2 > known or _about_who_asks(facts, link, told, everywhere):
        say(link.service, "exempt", "keyed by who asks")
    elif in_successful < settings.min_entry_share:
        reason = f"in {in_successful:.0%} of the requests only: a hidden cache or a branch"
        say(link.service, "below_threshold", reason)
    elif told.repeat_share < settings.min_repeat_share:
        reason = f"{told.repeat_share:.0%} of the executions repeat an earlier one"
        say(link.service, "below_threshold", reason)
    elif (ratio := told.repeat_share * _allowed(facts, link)) < settings.min_achievable_ratio:
        reason = f"writes to the table would leave a cache {ratio:.0%} hits"
        say(link.service, "below_threshold", reason)
    else:
        return False
    return True


def _clause(facts: FactsView, link: Link) -> str | None:
    """Why a read is no work for a cache, whatever its numbers are."""
    if link.has(Trait.LOCKING):
        return "locking reads"
    if link.has(Trait.VOLATILE):
        return "the answer changes by itself"
    if link.kinds == ("internal",):
        return "a script or timer that looks for work"
    if is_health(facts.text(link.entry_label)):
        return "health checks"
    here = (link.service, link.entry_label, link.read["target"])
    if _writing_traces(facts).get(here, 0) * 2 >= link["traces"]:
        return "read to be written"
    if not link["behind"] and link.service in _where_caches_fail(facts):
        return "the cache reads in front of it fail: an outage first"
    return None


@once
def _writing_traces(facts: FactsView) -> dict[tuple[int, int, int], int]:
    """(service, operation, table) -> traces with a write."""
    by = ("service", "entry_label", "target")
    rows = facts.table("writes").filter(pl.col("target").is_not_null())
    return {tuple(key): n for *key, n in rows.group_by(by).agg(pl.col("traces").sum()).iter_rows()}


@once
def _where_caches_fail(facts: FactsView) -> set[int]:
    """Services most of whose cache reads fail."""
    rows = facts.table("sight").filter(pl.col("category") == "cache")
    summed = rows.group_by("service").agg(pl.col("failed", "spans").sum())
    return set(summed.filter(pl.col("failed") * 2 > pl.col("spans"))["service"])


def _allowed(facts: FactsView, link: Link) -> float:
    """Of the repeats, the share that would hit: the last event before them is no write."""
    return link["executions"] / (link["executions"] + _writes(facts, link))


def _by_who_asks(facts: FactsView) -> set[tuple[int, int]]:
    """(service, shape) of reads that some operation always makes without a path that tells them.

    What runs in every request of `GET /me` is about who asks, in other operations too.
    """
    owns = operations(facts)
    loads = facts.table("links").filter(pl.col("shape").is_not_null())
    known = facts.table("reads").filter(pl.col("told").is_in(["nothing", "actor"]))
    by = ["service", "entry_label", "shape"]
    counted = (
        loads.group_by(by)
        .agg(pl.col("ok").sum())
        .join(known.select(by).unique(), on=by, how="semi", nulls_equal=True)
    )
    return {
        (service, shape)
        for service, label, shape, ok in counted.select(*by, "ok").iter_rows()
        if ok and ok >= _SHARE_OF_ANOTHER * owns.get((service, label), {}).get("ok", 0)
    }


def _about_who_asks(
    facts: FactsView, link: Link, told: Told, everywhere: set[tuple[int, int]]
) -> bool:
    """Whether a read that only a path tells apart is about the person who asks."""
    if told.told.get("values", 0) * 2 > sum(told.told.values()):
        return False
    if (link.service, link.shape) in everywhere:
        return True
    words = f"{facts.text(link.read['target'])} {facts.text(link.read['predicate'])}"
    if _SESSION.search(words):
        return True
    person = _PERSON.search(words)
    return bool(person and person[0].lower() not in facts.text(link.entry_label).lower())


def _unfilled(facts: FactsView, context: Context) -> set[tuple[int, str | None]]:
    """What C102 speaks of: (service, subject); (service, None) where it cannot tell which read."""
    codes = {facts.text(s): s for s in facts.table("links")["service"].unique()}
    return {
        (codes[f.service], None if f.details.get("link_ambiguous") else f.subject)
        for f in findings_of("C102", facts, context)
    }


def _writes(facts: FactsView, link: Link) -> int:
    """Writes to the table, by whoever shares the database."""
    return _written(facts).get((link.read["system"], link.read["target"]), 0)


@once
def _written(facts: FactsView) -> dict[tuple[int, int], int]:
    """(system, table) -> writes."""
    by = ("system", "target")
    rows = facts.table("writes").filter(pl.all_horizontal(pl.col(by).is_not_null()))
    return {tuple(key): n for *key, n in rows.group_by(by).agg(pl.col("writes").sum()).iter_rows()}


def _fault(facts: FactsView, context: Context, settings: Any, link: Link, told: Told) -> Fault:
    sample, allowed = reads_by_link(facts).sample, _allowed(facts, link)
    repeats = round(told.repeat_share * link["executions"])
    wasted_ns = int(repeats * link.median_ns * allowed)
    wasted_share = share(wasted_ns, link["entry_ns"])
    minutes = max((context.now_ns - context.start_ns) / 60e9, 1.0)
    costly = (
        wasted_share >= settings.critical_share
        and wasted_ns / 1e6 / minutes >= settings.critical_wasted_ms
    )
    seen = told.told.get("values", 0) * 2 > sum(told.told.values())
    evidence: Evidence = "observed" if seen else "inferred"
    reason = (
        "values or a statement without parameters tell the reads"
        if seen
        else "values are hidden; the path of the request tells the reads"
    )
    return Fault(
        severity=stepped("warning", int(costly) - (link.kinds == ("consumer",))),
        evidence=evidence,
        reason=reason,
        occurrences=repeats,
        wasted_ns=wasted_ns,
        details={
            "executions": link["executions"],
            "identities": sample.scaled(told.identities),
            "hottest": told.hottest,
            "repeat_share": round(told.repeat_share, 3),
            "writes": _writes(facts, link),
            "achievable_hit_ratio": round(told.repeat_share * allowed, 3),
            "behind_cache_read": link["behind"],
            "wasted_share": wasted_share,
            "sampled_share": sample.share,
        },
    )


RULE: Rule = UncachedHotRead()

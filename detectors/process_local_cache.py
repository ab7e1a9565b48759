"""process-local-cache: every instance fills a cache of its own.

What it does
    Finds operations that remember what they read in the memory of one process, so that each
    instance reads it anew.

        instance a   GET /products/5   |=SELECT=====|   GET /products/5  |=|
        instance b            GET /products/5   |=SELECT=====|   GET /products/5  |=|

Why is this bad?
    The database pays for every entry once per instance, and once more for all of them after each
    deploy: with ten replicas the hit ratio falls when the load rises. Worse, the copies differ:
    what one instance has written, the others go on serving as it was.

Example
    Bad, a dictionary of the process:

        if pid not in CACHE:
            CACHE[pid] = db.execute("SELECT … WHERE id = %s", (pid,)).fetchone()
        return CACHE[pid]

    Better, a cache that the instances share, with an end:

        found = redis.get(f"product:{pid}")
        if found is None:
            found = load(pid)
            redis.set(f"product:{pid}", found, ex=300)
        return found

How it decides
    Of requests with success to one operation, those are compared in which an instance is asked for
    an entity for the first time although another had answered for it before, with the repeats on
    the same instance. At least `min_requests` of each; the first kind reads the backend in at least
    `min_first_ratio` of the cases, the repeats at least `min_difference` less often (also in the
    minutes in which the first ones came), by Fisher's exact test with p < `max_chance`; at most
    `max_cached_ratio` of the requests read a shared cache. An entity is who asks, or the path up to
    its last parameter, or a visible cache key. Wasted are the reads that a shared cache would have
    saved. An entity is stale when it was written through one instance and later served by another
    that had not read it since.

Not flagged
    One instance; a cache in front of which a shared one is read; a shared cache that no
    instrumentation sees (its first requests do not read). Not decidable, and said so: a recording
    that begins with warm caches, head sampling, routing that keeps an entity to one instance.
    Instances of different versions are not compared.

References
    https://12factor.net/processes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.bins import pane
from detectors.kit.coldness import READ, chances, served_pairs, stale_entities
from detectors.kit.contract import (
    Context,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    Verdict,
)
from detectors.kit.fleet import (
    OPERATION,
    SAMPLING_REVEAL,
    UNDECIDABLE,
    Fault,
    Spot,
    entities_of,
    exemplars_of,
    finding_of,
    head_sampled,
    joined_on,
    verdict,
)
from detectors.kit.knobs import knob
from detectors.kit.pricing import stepped, subject_of
from detectors.kit.sampling import Sample
from detectors.kit.statistics import fisher_greater

_IDENTITIES = ("path", "key", "actor")
"""Which identity names a cache first: what is asked for, before who asks."""
_STICKY_RATIO = 0.1
"""Entities that meet a second instance more seldom than this are kept to one."""


class ProcessLocalCache:
    """S101: a cache in the memory of each instance."""

    code = "S101"
    name = "process-local-cache"
    scope: Scope = "fleet"
    needs = ("entities", "instances", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings:
        """Knobs of S101."""

        min_requests: int = knob(20, "first requests, and repeats, that it takes", low=5)
        min_first_ratio: float = knob(
            0.95, "share of first requests on another instance that read the backend", high=1
        )
        min_difference: float = knob(0.3, "by which repeats read less often", high=1)
        max_cached_ratio: float = knob(0.05, "share of requests that read a shared cache", high=1)
        max_chance: float = knob(1e-6, "probability that it is chance", high=1)
        critical_stale: int = knob(20, "stale entities from which on it is critical", low=1)

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Operations whose first requests read on each instance, and whose repeats do not."""
        sample, requests, reads = entities_of(facts)
        pairs = served_pairs(requests)
        judged = _judged(chances(requests, reads, pairs), requests, pairs)
        stale = stale_entities(requests, reads, pairs)
        findings, held_back = [], dict[str, list[Spot]]()
        by = ["service", "environment", "entry_label"]
        for _, group in judged.group_by(by, maintain_order=True):
            service, operation = (
                facts.text(group["service"][0]),
                facts.text(group["entry_label"][0]),
            )
            settings = context.settings(self, service, operation)
            firing = [r for r in group.iter_rows(named=True) if _fires(r, settings)]
            if firing:
                chosen = _chosen(facts, firing)
                cold = _cold_reads(reads, pairs, chosen)
                fault = _fault(facts, sample, settings, chosen, cold, stale, context)
                findings.append(finding_of(self, facts, fault))
            else:
                held_back.setdefault(service, []).append(_why(facts, group, settings, operation))
        return verdict(self, facts, findings, held_back)

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        stale = (
            f" {d['stale_entities']} entities were written through one instance and served as "
            "they had been by another."
            if d["stale_entities"]
            else ""
        )
        return Explanation(
            f"{finding.operation} keeps {finding.subject} in the memory of each of "
            f"{d['instances']} instances",
            f"{d['cold']} of {d['firsts']} first requests on an instance read it although another "
            f"had served it before, {d['repeated']} of {d['repeats']} repeats did; "
            f"{finding.evidence}: {finding.evidence_reason}.{stale}",
            "Put a cache that the instances share in front (Redis, memcached) or behind it as a "
            "second level, with a time to live, and delete or overwrite the entry in whatever "
            "writes. Where the copy must stay in the process, bound its age and tell the others of "
            "writes (publish and subscribe).",
        )


def _judged(measured: pl.DataFrame, requests: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """A row per operation, identity and read; operations without any read have one without."""
    size = pairs.group_by(*OPERATION).agg(
        pl.col("ok").sum().alias("served"),
        pl.col("entity").filter("late").n_unique().cast(pl.Int64).alias("shared"),
        pl.col("entity").filter(pl.col("ok") > 1).n_unique().cast(pl.Int64).alias("repeating"),
        pl.col("instance").n_unique().cast(pl.Int64).alias("serving"),
    )
    cached = requests.group_by(*OPERATION).agg(
        (pl.col("cached").sum() / pl.col("requests").sum()).alias("cached_ratio")
    )
    whole = joined_on(joined_on(size, cached, OPERATION), measured, OPERATION)
    numbers = ("firsts", "repeats", "cold", "repeated", "reads", "read_ns", "openings", "opened")
    return whole.with_columns(pl.col(*numbers).fill_null(0)).sort(
        *OPERATION, *READ, nulls_last=True
    )


def _fires(row: Mapping[str, Any], settings: Any) -> bool:
    firsts, repeats = row["firsts"], row["repeats"]
    if min(firsts, repeats) < settings.min_requests:
        return False
    again = max(row["repeated"] / repeats, row["steady"] or 0.0)
    if row["cold"] < settings.min_first_ratio * firsts:
        return False
    return bool(
        row["cold"] / firsts - again >= settings.min_difference
        and row["cached_ratio"] <= settings.max_cached_ratio
        and fisher_greater(row["cold"], firsts, row["repeated"], repeats) < settings.max_chance
    )


def _chosen(facts: FactsView, firing: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the reads that tell the same: by identity, then the most often, then by name."""
    return min(
        firing,
        key=lambda r: (_IDENTITIES.index(r["identity"]), -r["cold"], _subject(facts, r)),
    )


def _subject(facts: FactsView, row: Mapping[str, Any]) -> str:
    parts = (facts.text(row[c]) for c in ("read_operation", "target", "predicate"))
    return subject_of(*parts) or facts.text(row["shape"])


def _cold_reads(reads: pl.DataFrame, pairs: pl.DataFrame, row: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of reads in which an instance read what another had served."""
    here = pl.all_horizontal(pl.col(c).eq_missing(row[c]) for c in (*OPERATION, "shape"))
    late = pairs.filter("late").select(
        *OPERATION, "entity", "instance", pl.col("first_ok_ns").alias("_first")
    )
    found = joined_on(reads.filter(here), late, [*OPERATION, "entity", "instance"], "inner")
    return found.filter(pl.col("first_ok_ns") == pl.col("_first"))


def _fault(  # noqa: PLR0913 - what there is to tell
    facts: FactsView,
    sample: Sample,
    settings: Any,
    row: Mapping[str, Any],
    cold: pl.DataFrame,
    stale: pl.DataFrame,
    context: Context,
) -> Fault:
    here = pl.all_horizontal(pl.col(c).eq_missing(row[c]) for c in OPERATION)
    stale_count = sample.scaled(int(stale.filter(here)["stale"].sum()))
    each_ns = row["read_ns"] // max(1, row["reads"])
    width = 60
    fresh = cold.filter(pl.col("pane") > context.start_ns - width * 1_000_000_000)
    counted = fresh.group_by(pane(pl.col("first_ok_ns"), width)).agg(pl.len()).sort("pane")
    return Fault(
        service=facts.text(row["service"]),
        environment=facts.text(row["environment"]) or None,
        operation=facts.text(row["entry_label"]),
        subject=_subject(facts, row),
        severity=stepped("warning", 1 if stale_count >= settings.critical_stale else 0),
        reason="hits of such a cache leave no span; judged by who reads for the first time",
        occurrences=sample.scaled(row["cold"]),
        traces=sample.scaled(row["cold"]),
        wasted_ns=sample.scaled(row["cold"] * each_ns),
        first_ns=int(cold["first_ok_ns"].min()),  # type: ignore[arg-type]
        last_ns=int(cold["last_ok_ns"].max()),  # type: ignore[arg-type]
        exemplars=exemplars_of(sample, cold),
        details={
            **{n: row[n] for n in ("firsts", "cold", "repeats", "repeated", "entities")},
            "instances": row["serving"],
            "first_read_ratio": round(row["cold"] / row["firsts"], 3),
            "repeat_read_ratio": round(row["repeated"] / row["repeats"], 3),
            "identity": row["identity"],
            "statements": [facts.text(row["shape"])],
            "stale_entities": stale_count,
            "read_ms": round(each_ns / 1e6, 3),
            "sampled_share": sample.share,
        },
        panes={p: (sample.scaled(n), sample.scaled(n * each_ns)) for p, n in counted.iter_rows()},
    )


def _why(facts: FactsView, group: pl.DataFrame, settings: Any, operation: str) -> Spot:
    """Why an operation is no finding: what the most telling of its rows says."""
    rows = group.filter(pl.col("identity") == group.sort("served")["identity"][-1])
    row = rows.sort("firsts", "cold", "shape", nulls_last=False).row(-1, named=True)
    needed = settings.min_requests
    if row["cached_ratio"] > settings.max_cached_ratio:
        return "exempt", f"{operation} reads a shared cache", ""
    if row["serving"] < 2:
        return "below_threshold", f"{operation} is served by one instance", ""
    if row["repeating"] >= needed and row["shared"] < _STICKY_RATIO * row["repeating"]:
        return (
            "below_threshold",
            f"{UNDECIDABLE}: entities of {operation} keep to one instance (sticky routing)",
            "",
        )
    # The first request of all is a miss of any cache: where one does not read, the beginning of
    # this cache was not seen.
    if row["opened"] < settings.min_first_ratio * row["openings"] or not row["openings"]:
        return _unseen_beginning(facts, row, operation)
    if min(row["firsts"], row["repeats"]) < needed:
        return (
            "below_threshold",
            (
                f"{operation}: {row['firsts']} first requests after another instance's and "
                f"{row['repeats']} repeats; {needed} of each are needed"
            ),
            "",
        )
    first, again = row["cold"] / row["firsts"], row["repeated"] / row["repeats"]
    told = (
        f"{operation}: {round(100 * first)} % of first requests on another instance read, "
        f"{round(100 * again)} % of repeats"
    )
    if first - again >= settings.min_difference:
        return "below_threshold", f"{told}; {settings.min_first_ratio:.0%} are needed", ""
    return "seen", told, ""


def _unseen_beginning(facts: FactsView, row: Mapping[str, Any], operation: str) -> Spot:
    if facts.text(row["service"]) in head_sampled(facts):
        return (
            "blind",
            f"{UNDECIDABLE}: head sampling hides the first requests of {operation}",
            SAMPLING_REVEAL,
        )
    if not row["openings"]:
        return "below_threshold", f"{UNDECIDABLE}: {operation} was not seen to read a backend", ""
    return (
        "below_threshold",
        (
            f"{UNDECIDABLE}: {row['opened']} of {row['openings']} first requests of {operation} "
            "read; caches were warm before the first span, or traces are missing"
        ),
        "",
    )


RULE: Rule = ProcessLocalCache()

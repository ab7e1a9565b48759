"""Counters for ratios that dashboards show: retries, spread of errors, caches, instances.

Added up as facts are observed, with `red_metrics`, so that they never go down. A table that is not
there adds nothing.
"""

from __future__ import annotations

import polars as pl

from collector.store import Counters
from detectors.kit.engine import Facts

LOGICAL = "spanlint_calls_total"
ATTEMPTS = "spanlint_call_attempts_total"
REACHED = "spanlint_errors_reached_total"
CACHE_READS = "spanlint_cache_reads_total"
INSTANCE = "spanlint_instance_requests_total"

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    LOGICAL: ("Calls that a service makes, however often each is tried.", ("service_name",)),
    ATTEMPTS: ("Attempts of those calls: equal when nothing is retried.", ("service_name",)),
    REACHED: (
        "Entries that an error from elsewhere or from within reached, by where it began.",
        ("origin", "service_name", "outcome"),
    ),
    CACHE_READS: (
        "Cache reads whose spans say whether they hit.",
        ("service_name", "result"),
    ),
    INSTANCE: ("Requests that an instance served.", ("service_name", "service_instance")),
}
"""Name -> help and labels."""


def add_ratios(facts: Facts, counters: Counters) -> None:
    """All of them, from the facts of some traces."""
    _attempts(facts, counters)
    _reached(facts, counters)
    _cache(facts, counters)
    _instances(facts, counters)


def _rows(facts: Facts, table: str) -> pl.DataFrame:
    return facts.frames.get(table, pl.DataFrame())


def _attempts(facts: Facts, counters: Counters) -> None:
    rows = _rows(facts, "attempts")
    if rows.height:
        remote = pl.col("category").is_in(["http", "rpc"])
        groups = rows.filter(pl.col("gap_bin").is_null() & remote)
        summed = groups.group_by("service").agg(pl.col("logical", "attempts").sum())
        for service, logical, attempts in summed.iter_rows():
            counters.add(LOGICAL, (facts.text(service),), logical)
            counters.add(ATTEMPTS, (facts.text(service),), attempts)


def _reached(facts: Facts, counters: Counters) -> None:
    rows = _rows(facts, "origins")
    if rows.height:
        summed = rows.group_by("origin", "service", "absorbed").agg(pl.col("entries").sum())
        for origin, service, absorbed, entries in summed.iter_rows():
            outcome = "absorbed" if absorbed else "failed"
            counters.add(REACHED, (facts.text(origin), facts.text(service), outcome), entries)


def _cache(facts: Facts, counters: Counters) -> None:
    rows = _rows(facts, "lookups")
    if rows.height:
        summed = rows.group_by("service").agg(pl.col("hits", "misses").sum())
        for service, hits, misses in summed.iter_rows():
            counters.add(CACHE_READS, (facts.text(service), "hit"), hits)
            counters.add(CACHE_READS, (facts.text(service), "miss"), misses)


def _instances(facts: Facts, counters: Counters) -> None:
    rows = _rows(facts, "instances")
    if rows.height:
        named = rows.filter(pl.col("instance").is_not_null())
        summed = named.group_by("service", "instance").agg(pl.col("requests").sum())
        for service, instance, requests in summed.iter_rows():
            counters.add(INSTANCE, (facts.text(service), facts.text(instance)), requests)

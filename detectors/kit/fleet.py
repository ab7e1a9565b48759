"""What the S family shares: facts of several instances side by side, and what can be seen of them.

Rows of facts `entities` are compared within one GROUP: a canary's instances are not replicas of the
others. All of it works on merged facts, whoever observed them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from detectors.kit.contract import (
    Bar,
    FactsView,
    Finding,
    Rule,
    Severity,
    State,
    Verdict,
    Visibility,
)
from detectors.kit.derived import once
from detectors.kit.pricing import as_exemplars, fingerprint
from detectors.kit.sampling import Sample, mix_all, sample_of

GROUP = ("service", "environment", "version")
"""Instances that ought to answer alike."""
OPERATION = (*GROUP, "identity", "entry_label")
SUBJECT = (*GROUP, "identity", "entity")
ENOUGH_RATIO = 0.5
"""The process counts as named when at least this share of the requests name it."""
ALL_OPERATIONS = "(all operations)"
"""The operation of a finding that is about a service's routing, not about one of its operations."""
INSTANCE_REVEAL = (
    "service.instance.id absent: set it (OTEL_RESOURCE_ATTRIBUTES=service.instance.id=…, one for "
    "each process; Python SDK 1.43 and the Java agent do so by themselves), or k8s.pod.uid, "
    "k8s.pod.name, container.id, or host.name with process.pid through a resource detector"
)
ENTITY_REVEAL = (
    "name who asks or what about: user.id, enduser.id or session.id on SERVER spans, a captured "
    "header (OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST, told by the setting "
    "actor_attributes), or url.path beside http.route"
)
SAMPLING_REVEAL = "send all traces to spanlint, and sample behind it"

UNDECIDABLE = "not decidable"
"""How the reason begins where neither a fault nor its absence can be shown."""

Spot = tuple[State, str, str]
_TOLD = 5
"""Operations that one row of visibility names, at most."""
_RANK = {"blind": 0, "below_threshold": 1, "seen": 2, "exempt": 3}


@once
def entities_of(facts: FactsView) -> tuple[Sample, pl.DataFrame, pl.DataFrame]:
    """The sample of facts `entities`, its rows of requests and its rows of reads.

    Both have a `place` in the sample in place of their exemplars, which few rows are asked for
    (`exemplars_of`): half of filtering would be theirs.
    """
    sample = sample_of(facts.table("entities"), "entity")
    rows = sample.rows.drop("exemplars").with_row_index("place")
    requests = rows.filter(pl.col("shape").is_null())
    return sample, requests, rows.filter(pl.col("shape").is_not_null())


def exemplars_of(sample: Sample, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The worst exemplar of each of some rows of `entities_of` that has any."""
    found = sample.rows["exemplars"].gather(rows["place"]).drop_nulls()
    return [e for exemplars in found.to_list() for e in exemplars[:1]]


def numbered(rows: pl.DataFrame, numbers: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Adds columns that are one number (UInt64) made of several, the same in every frame.

    Grouping by one takes a fifth of what grouping by seven takes.
    """
    return rows.with_columns(
        pl.Series(name, mix_all(rows, columns)) for name, columns in numbers.items()
    )


def joined_on(
    left: pl.DataFrame, right: pl.DataFrame, on: Iterable[str], how: Any = "left"
) -> pl.DataFrame:
    """A join in which absent environments and versions are equal."""
    return left.join(right, on=list(on), how=how, nulls_equal=True)


def least_of_others(rows: pl.DataFrame, value: str, over: str) -> pl.Series:
    """For each row (one per instance) the least `value` of the other rows in its group.

    over: a UInt64 column that tells groups. Null where there is no other row. One sort: a sort in
    each group took five times as long.
    """
    values, groups = rows[value].to_numpy(), rows[over].to_numpy()
    order = np.lexsort((values, groups))
    first = np.flatnonzero(np.append(True, np.diff(groups[order]) != 0))[: len(order)]
    sizes = np.diff(first, append=len(order))
    least, others = values[order[first]], sizes > 1
    next_least = values[order[np.minimum(first + 1, len(order) - 1)]] if len(order) else least
    place = np.empty(len(order), np.int64)
    place[order] = np.repeat(np.arange(len(first)), sizes)
    is_least = np.zeros(len(order), np.bool_)
    is_least[order[first]] = True
    found = pl.Series(np.where(is_least, next_least[place], least[place]))
    return found.set(pl.Series(~others[place]), None)


@once
def lives(facts: FactsView) -> pl.DataFrame:
    """Per (service, environment, instance): `born_ns`, `last_ns` of what it was seen to serve."""
    by = ["service", "environment", "instance"]
    return (
        facts.table("instances")
        .filter(pl.col("instance").is_not_null())
        .group_by(by)
        .agg(pl.col("first_ns").min().alias("born_ns"), pl.col("last_ns").max())
        .sort(by, nulls_last=True)
    )


@once
def spots(facts: FactsView) -> dict[str, Spot]:
    """service -> what a rule about several instances can see: `seen` where it can look."""
    served = facts.table("instances")
    found: dict[str, Spot] = {}
    for service in facts.table("sight")["service"].unique().sort().to_list():
        found[facts.text(service)] = _spot(served.filter(pl.col("service") == service))
    return found


def _spot(rows: pl.DataFrame) -> Spot:
    requests = int(rows["requests"].sum())
    if not requests:
        return (
            "exempt",
            "serves no requests",
            "nothing to do if it serves none; else instrument the server that takes them",
        )
    named = rows.filter(pl.col("instance").is_not_null())
    if int(named["requests"].sum()) < requests * ENOUGH_RATIO:
        return "blind", "instances cannot be told apart", INSTANCE_REVEAL
    if not (int(named["actors"].sum()) or int(named["entities"].sum())):
        return "blind", "requests name neither who asks nor what about", ENTITY_REVEAL
    instances = named["instance"].n_unique()
    if instances < 2:
        return "below_threshold", "one instance: it takes two to tell", ""
    return "seen", f"{requests} requests to {instances} instances", ""


@once
def head_sampled(facts: FactsView) -> set[str]:
    """Services some of whose spans say that they stand for others."""
    sampled = facts.table("sight").filter(pl.col("sampled") > 0)["service"].unique()
    return {facts.text(s) for s in sampled.to_list()}


def settle(
    found: Mapping[str, Spot], fired: set[str], held_back: Mapping[str, Sequence[Spot]]
) -> dict[str, Spot]:
    """The spots with what the rule itself found out: the least certain of its operations."""
    settled = dict(found)
    for service, (state, *_) in found.items():
        outcomes = held_back.get(service, ())
        if service in fired:
            settled[service] = ("seen", found[service][1], "")
        elif state == "seen" and outcomes:
            settled[service] = _least_certain(outcomes)
    return settled


def _least_certain(outcomes: Sequence[Spot]) -> Spot:
    """The first by state; what is not decidable of several operations is told together."""
    state, reason, reveal = min(outcomes, key=lambda s: (_RANK[s[0]], s[1]))
    if reason.startswith(UNDECIDABLE):
        open_ = sorted({r for s, r, _ in outcomes if s == state and r.startswith(UNDECIDABLE)})
        reason = "; ".join(open_[:_TOLD])
    return state, reason, reveal


@dataclass(frozen=True, slots=True)
class Fault:
    """What a rule of the family has to say of one operation, before it is a finding.

    counted: (time in ns, wasted ns) of each occurrence that is known singly; those before the
    judged range are left out of `panes`. exemplars: dicts as in facts `entities`.
    """

    service: str
    environment: str | None
    operation: str
    subject: str
    severity: Severity
    reason: str
    occurrences: int
    traces: int
    wasted_ns: int
    first_ns: int
    last_ns: int
    exemplars: Sequence[Mapping[str, Any]]
    details: Mapping[str, Any]
    panes: Mapping[int, tuple[int, int]]


def finding_of(rule: Rule, facts: FactsView, fault: Fault) -> Finding:
    """The finding of a fault: what hits do not show is always inferred."""
    ranked = sorted(fault.exemplars, key=lambda e: (-e["score"], e["trace_hi"], e["trace_lo"]))[:3]
    chosen = [{**e, "span_ids": [e["entry_span"]]} for e in ranked]
    return Finding(
        code=rule.code,
        rule=rule.name,
        severity=fault.severity,
        scope=rule.scope,
        evidence="inferred",
        evidence_reason=fault.reason,
        service=fault.service,
        environment=fault.environment,
        operation=fault.operation,
        subject=fault.subject,
        occurrences=fault.occurrences,
        traces=fault.traces,
        wasted_ns=fault.wasted_ns,
        first_seen_ns=fault.first_ns,
        last_seen_ns=fault.last_ns,
        fingerprint=fingerprint(rule.code, fault.service, fault.operation, fault.subject),
        exemplars=as_exemplars(chosen),
        waterfall=_drawn(facts, fault, chosen[0]) if chosen else (),
        details=fault.details,
        panes=fault.panes,
    )


def _drawn(facts: FactsView, fault: Fault, worst: Mapping[str, Any]) -> tuple[Bar, ...]:
    """The request, and under it the read that another instance had made before."""
    zero = worst["entry_start_ns"]
    label = facts.text(worst["label"])
    whole = label == fault.operation
    entry = Bar(0, fault.service, label if whole else fault.operation, 0,
                worst["entry_duration_ns"], mark=whole)  # fmt: skip
    if whole:
        return (entry,)
    start, extent = worst["first_ns"] - zero, worst["last_ns"] - worst["first_ns"]
    return (entry, Bar(1, fault.service, label, start, extent, worst["n"], mark=True))


def verdict(
    rule: Rule, facts: FactsView, faults: Iterable[Finding], held_back: Mapping[str, Sequence[Spot]]
) -> Verdict:
    """The findings, one of each, and for every service a row that says what could be seen."""
    found = one_each(faults)
    seen = settle(spots(facts), {f.service for f in found}, held_back)
    rows = (Visibility(rule.code, service, *spot) for service, spot in seen.items())
    return Verdict(found, tuple(rows))


def one_each(faults: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding per fingerprint (environments, versions and identities share it): the largest."""
    kept: dict[str, Finding] = {}
    for found in faults:
        known = kept.get(found.fingerprint)
        if known is None or found.occurrences > known.occurrences:
            kept[found.fingerprint] = found
    return tuple(kept[f] for f in sorted(kept))

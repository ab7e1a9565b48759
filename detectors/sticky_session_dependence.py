"""sticky-session-dependence: routing keeps each client to one instance.

What it does
    Finds services whose requests of one actor, or about one thing, meet the same instance far more
    often than chance has it.

        user 1   GET /me → a   GET /me → a   GET /me → a
        user 2   GET /me → b   GET /me → b   GET /me → b

Why is this bad?
    Sticky routing is what state in the memory of a process hides behind: load is uneven, scaling
    out moves nobody, and every deploy, crash or scale-in loses what its instance knew. Where no
    state depends on it, it costs balance for nothing.

Example
    Bad, the proxy repairs what the service should not do:

        SESSIONS[token] = user       # with ip_hash or sessionAffinity: ClientIP before it

    Better, state that all instances see, and routing by load:

        redis.setex(f"session:{token}", 3600, user)

How it decides
    For actors, or path entities, with at least `min_requests` requests: each request after the
    first meets the instance of the first with the chance that any request of that minute does (the
    instance's share of all requests). At least `min_excess` of what chance leaves must be met, over
    at least two instances and `min_entities` entities, with p < `max_chance` (Hoeffding's bound).
    It proves that clients are pinned, not that anything depends on it: `info`, and `warning` when
    the service also loses state (S102, S104).

Not flagged
    Round robin and random routing; consumers, whose partitions pin keys by design; minutes in which
    one instance served alone; users that a canary keeps to one version.

References
    https://12factor.net/processes
    https://kubernetes.io/docs/reference/networking/virtual-ips/#session-affinity
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.bins import pane
from detectors.kit.contract import (
    Context,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    Verdict,
)
from detectors.kit.derived import once
from detectors.kit.divergence import (
    DivergenceSettings,
    compared,
    diverges,
    placed,
    restarted,
    sides,
)
from detectors.kit.fleet import (
    ALL_OPERATIONS,
    Fault,
    Spot,
    entities_of,
    finding_of,
    lives,
    verdict,
)
from detectors.kit.knobs import knob
from detectors.kit.pricing import stepped
from detectors.kit.routing import ROUTED, chance_of, meetings, pinned
from detectors.kit.sampling import Sample

_SUBJECTS = {"actor": "actors", "path": "path entities", "key": "cache keys"}
"""Who is pinned, the most telling first."""
_PANE_S = 60


class StickySessionDependence:
    """S103: clients pinned to instances."""

    code = "S103"
    name = "sticky-session-dependence"
    scope: Scope = "fleet"
    needs = ("entities", "instances", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings:
        """Knobs of S103."""

        min_requests: int = knob(5, "requests of an entity that it takes", low=2)
        min_entities: int = knob(5, "entities with so many", low=2)
        min_excess: float = knob(0.5, "of the meetings that chance leaves", high=1)
        max_chance: float = knob(1e-6, "probability that it is chance", high=1)

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Services whose actors or path entities keep to their instance."""
        sample, requests, _ = entities_of(facts)
        settings = {
            s: context.settings(self, facts.text(s), ALL_OPERATIONS)
            for s in requests["service"].unique().sort().to_list()
        }
        findings, held_back = [], dict[str, list[Spot]]()
        for service, chosen in settings.items():
            mine = requests.filter(pl.col("service") == service)
            met = meetings(mine, facts.table("instances"), chosen.min_requests)
            name = facts.text(service)
            for row in _one_each_environment(pinned(met), chosen):
                found = met.filter(pl.all_horizontal(pl.col(c).eq_missing(row[c]) for c in ROUTED))
                fault = _fault(facts, context, sample, row, found, name in _losing(facts))
                findings.append(finding_of(self, facts, fault))
            held_back.setdefault(name, []).append(_why(met, chosen))
        return verdict(self, facts, findings, held_back)

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        depends = (
            " The service loses state with its instances: it depends on this."
            if d["loses_state"]
            else ""
        )
        return Explanation(
            f"{finding.subject} of {finding.service} keep to one of {d['homes']} instances",
            f"{d['met']} of {d['trials']} later requests met the instance of the first, where "
            f"chance has {d['expected']}; {finding.evidence}: {finding.evidence_reason}.{depends}",
            "Keep sessions and other state where all instances see it, then let the balancer "
            "distribute by load: remove ip_hash, cookie affinity or sessionAffinity. Where pinning "
            "is wanted (shards, local caches by consistent hashing), mute this with that reason.",
        )


@once
def _losing(facts: FactsView) -> set[str]:
    """Services that fail where an entity was not created, or after its instance went."""
    _, requests, _ = entities_of(facts)
    alive = lives(facts)
    settings = DivergenceSettings()
    rows = [
        row
        for outcome in (placed(requests, alive), restarted(requests, alive))
        for row in compared(sides(outcome)).iter_rows(named=True)
    ]
    return {facts.text(r["service"]) for r in rows if diverges(r, settings)}


def _one_each_environment(rows: pl.DataFrame, settings: Any) -> list[dict[str, Any]]:
    """The identities that are pinned, the most telling of each environment."""
    order = list(_SUBJECTS)
    firing = sorted(
        (r for r in rows.iter_rows(named=True) if _fires(r, settings)),
        key=lambda r: order.index(r["identity"]),
    )
    kept: dict[Any, dict[str, Any]] = {}
    for row in firing:
        kept.setdefault(row["environment"], row)
    return list(kept.values())


def _fires(row: Mapping[str, Any], settings: Any) -> bool:
    return bool(
        row["homes"] > 1
        and row["entities"] >= settings.min_entities
        and row["excess"] >= settings.min_excess
        and chance_of(dict(row)) < settings.max_chance
    )


def _fault(  # noqa: PLR0913 - what there is to tell
    facts: FactsView,
    context: Context,
    sample: Sample,
    row: Mapping[str, Any],
    met: pl.DataFrame,
    losing: bool,  # noqa: FBT001
) -> Fault:
    fresh = met.filter(pl.col("first_ns") > context.start_ns - _PANE_S * 1_000_000_000)
    counted = fresh.group_by(pane(pl.col("first_ns"), _PANE_S)).agg(pl.len()).sort("pane")
    return Fault(
        service=facts.text(row["service"]),
        environment=facts.text(row["environment"]) or None,
        operation=ALL_OPERATIONS,
        subject=_SUBJECTS[row["identity"]],
        severity=stepped("info", 1 if losing else 0),
        reason="routing is not in the spans; judged by which instance served whom",
        occurrences=sample.scaled(row["entities"]),
        traces=sample.scaled(row["trials"] + row["entities"]),
        wasted_ns=0,
        first_ns=row["first_ns"],
        last_ns=row["last_ns"],
        exemplars=(),
        details={
            **{n: row[n] for n in ("entities", "homes", "trials", "met")},
            "expected": round(row["expected"]),
            "excess": round(row["excess"], 3),
            "identity": row["identity"],
            "loses_state": losing,
            "sampled_share": sample.share,
        },
        panes={p: (sample.scaled(n), 0) for p, n in counted.iter_rows()},
    )


def _why(met: pl.DataFrame, settings: Any) -> Spot:
    rows = pinned(met).sort("trials", descending=True)
    if not rows.height or rows["entities"][0] < settings.min_entities:
        n = rows["entities"][0] if rows.height else 0
        return (
            "below_threshold",
            (
                f"{n} actors or paths with {settings.min_requests} requests while several "
                f"instances served; {settings.min_entities} are needed"
            ),
            "",
        )
    row = rows.row(0, named=True)
    return (
        "seen",
        (
            f"{row['met']} of {row['trials']} later requests met the first's instance; chance "
            f"has {round(row['expected'])}"
        ),
        "",
    )


RULE: Rule = StickySessionDependence()

"""instance-divergent-response: the answer depends on which instance is asked.

What it does
    Finds sessions, carts, jobs or uploads that live where they were created: the instance that made
    them answers, the others do not know them.

        instance a   POST /carts/5 201              GET /carts/5 200
        instance b                  GET /carts/5 404              GET /carts/5 404

Why is this bad?
    With one instance in staging everything works; with three in production two requests of three
    fail, at random as it seems, and a retry makes it worse or hides it. Scaling out, a deploy and
    the loss of a machine all lose users' state.

Example
    Bad, a dictionary of the process:

        SESSIONS[token] = user

    Better, a store that the instances share:

        redis.setex(f"session:{token}", 3600, user)

How it decides
    A request is away when its entity was created (POST, PUT or PATCH with success) on other
    instances only, and here once it was created on the instance that is asked. Failures are 401,
    403, 404, 409, 410 and errors. At least `min_requests` of each; away fails at least
    `min_difference` more often than here, in all and as the mean over the instances that have both,
    by Fisher's exact test with p < `max_chance`, in which one entity on one instance counts at most
    three times; at least `min_entities` entities fail away. Without creations in sight: of the
    entities that fail on some instances and not on others, at least `min_purity` end alike
    on each instance, by a G-test and by the exact chance of that, both below `max_chance`, and the
    instance alone explains less than `max_explained` of it.

Not flagged
    One replica that fails whatever it serves (another fault); outages and deploys, which turn all
    answers at once: only instances of one version that were alive together are compared; clients
    that ask before they have logged in; routing that keeps an entity to its instance (S103 tells).

References
    https://12factor.net/processes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.contract import (
    Context,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    Verdict,
)
from detectors.kit.divergence import DivergenceSettings, compared, diverges, placed, sides
from detectors.kit.fleet import (
    OPERATION,
    Spot,
    entities_of,
    finding_of,
    lives,
    verdict,
)
from detectors.kit.knobs import knob
from detectors.kit.losses import first_identity, loss, rows_of, side_details
from detectors.kit.purity import Purity, cells, purity

_CREATED = "no span tells where state lives; judged by where entities were created"
_UNCREATED = "creations are not in sight; judged by entities that end alike on each instance only"


class InstanceDivergentResponse:
    """S102: state that lives where it was created."""

    code = "S102"
    name = "instance-divergent-response"
    scope: Scope = "fleet"
    needs = ("entities", "instances", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(DivergenceSettings):
        """Knobs of S102."""

        min_purity: float = knob(
            0.9, "share of entities that end alike on each instance, without creations", high=1
        )
        max_explained: float = knob(
            0.9, "share that the instance alone explains: above it, a replica is bad", high=1
        )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Operations that fail where an entity was not created."""
        sample, requests, _ = entities_of(facts)
        alive = lives(facts)
        rows = sides(placed(requests, alive))
        mixed = cells(requests, alive)
        judged = _judged(requests, compared(rows))
        findings, held_back = [], dict[str, list[Spot]]()
        by = ["service", "environment", "entry_label"]
        for _, group in judged.group_by(by, maintain_order=True):
            service = facts.text(group["service"][0])
            operation = facts.text(group["entry_label"][0])
            settings = context.settings(self, service, operation)
            outcomes = [_outcome(row, mixed, settings) for row in group.iter_rows(named=True)]
            firing = [o for o in outcomes if o["lost"]]
            if firing:
                row = first_identity(firing)
                found = _lost_rows(row, rows, requests, mixed)
                fault = loss(
                    facts, context, settings, sample, row, found, row["reason"], row["details"]
                )
                findings.append(finding_of(self, facts, fault))
            elif service:
                held_back.setdefault(service, []).append(_why(outcomes, settings, operation))
        return verdict(self, facts, findings, held_back)

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        if "away" in d:
            told = (
                f"{d['away_failed']} of {d['away']} requests failed on instances on which the "
                f"entity was not created, {d['here_failed']} of {d['here']} where it was"
            )
        else:
            told = (
                f"{d['entities']} entities fail on some instances and succeed on others, "
                f"{round(100 * d['purity'])} % of them always alike on each"
            )
        return Explanation(
            f"{finding.operation} fails on instances that did not create what it is asked for",
            f"{told}; {finding.evidence}: {finding.evidence_reason}.",
            "Keep the state where all instances see it: Redis or the database for sessions and "
            "carts, object storage for uploads, a queue with a result store for jobs, or a signed "
            "token that carries it. Sticky routing only hides it until the next deploy.",
        )


def _judged(requests: pl.DataFrame, measured: pl.DataFrame) -> pl.DataFrame:
    """A row per operation and identity, those without any creation too."""
    size = requests.group_by(*OPERATION).agg(
        pl.col("requests").sum().alias("served"),
        pl.col("failed").sum(),
        pl.col("instance").n_unique().cast(pl.Int64).alias("serving"),
    )
    whole = size.join(measured, on=OPERATION, how="left", nulls_equal=True)
    counts = pl.col("away", "away_failed", "here", "here_failed", "entities").fill_null(0)
    return whole.with_columns(counts).sort(*OPERATION, nulls_last=True)


def _outcome(row: Mapping[str, Any], mixed: pl.DataFrame, settings: Any) -> dict[str, Any]:
    """The row with `lost` (failures that count; 0: no fault), its reason, details and purity."""
    if diverges(row, settings):
        return {
            **row,
            "lost": row["away_failed"],
            "reason": _CREATED,
            "details": side_details(row),
            "purity": None,
        }
    found = purity(rows_of(mixed, row)) if not row["away"] else None
    fires = found is not None and _impure(found, settings) is None
    details = {} if found is None else {"purity": round(found.pure_ratio, 3)}
    lost = found.failed if found is not None and fires else 0
    return {**row, "lost": lost, "reason": _UNCREATED, "details": details, "purity": found}


def _impure(found: Purity, settings: Any) -> str | None:
    """Why mixed entities are no fault; None when they are."""
    if found.explained >= settings.max_explained:
        return "one instance fails whatever it serves: a bad replica is another fault"
    if min(found.failed, found.requests - found.failed) < settings.min_requests:
        return f"{found.failed} failures of entities that succeed elsewhere"
    if found.entities < settings.min_entities or found.chance >= settings.max_chance:
        return f"{found.entities} entities fail on some instances only: too few to tell"
    if found.pure_ratio < settings.min_purity:
        return "entities fail and succeed on the same instance"
    return None


def _lost_rows(
    row: Mapping[str, Any], rows: pl.DataFrame, requests: pl.DataFrame, mixed: pl.DataFrame
) -> pl.DataFrame:
    """Rows of requests of the operation with `lost`."""
    if row["reason"] == _CREATED:
        return rows_of(rows, row).with_columns(pl.col("away_failed").alias("lost"))
    among = rows_of(mixed, row)["entity"].unique()
    counted = pl.when(pl.col("entity").is_in(among.implode())).then("failed").otherwise(0)
    return rows_of(requests, row).with_columns(counted.alias("lost"))


def _why(outcomes: list[dict[str, Any]], settings: Any, operation: str) -> Spot:
    """Why an operation is no finding, by the identity with the most requests."""
    row = max(outcomes, key=lambda o: (o["served"], o["identity"]))
    if row["serving"] < 2:
        return "below_threshold", f"{operation} is served by one instance", ""
    if not row["failed"]:
        return "seen", f"{operation}: {row['served']} requests, none failed", ""
    purest = row["purity"]
    if purest is not None and purest.explained >= settings.max_explained:
        return "exempt", f"{operation}: {_impure(purest, settings)}", ""
    if min(row["away"], row["here"]) >= settings.min_requests:
        return (
            "seen",
            (
                f"{operation}: {row['away_failed']} of {row['away']} requests fail where the "
                f"entity was not created, {row['here_failed']} of {row['here']} where it was"
            ),
            "",
        )
    reason = _impure(purest, settings) if purest is not None else None
    reason = reason or f"{row['away']} requests away from where entities were created"
    return "below_threshold", f"{operation}: {reason}; {settings.min_requests} are needed", ""


RULE: Rule = InstanceDivergentResponse()

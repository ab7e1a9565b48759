"""state-lost-on-restart: what an instance knew goes with it.

What it does
    Finds entities that an instance answered for, and that its successor does not know until they
    are created anew.

        instance a   GET /me 200   GET /me 200  ends
        instance b                               GET /me 401   POST /login 200   GET /me 200

Why is this bad?
    Every deploy, crash, scale-in and moved pod logs people out and empties their carts. Sticky
    routing hides it in between, so it is met at the worst time: when everything restarts.

Example
    Bad, state of the process:

        SESSIONS[token] = user

    Better, state that outlives it:

        redis.setex(f"session:{token}", 3600, user)

How it decides
    Requests for an entity are away when all instances that had answered for it with success are
    gone and the one that is asked took over from them; they are here once the entity was
    created on it, or when nobody had known it before. At least `min_requests` of each; away fails
    (401, 403, 404, 409, 410; not errors) at least `min_difference` more often, in all and as the
    mean over the successors, by Fisher's exact test with p < `max_chance`, one entity on one
    instance counting at most three times; at least `min_entities` entities fail.

Not flagged
    A new version that fails for everybody; outages, which are errors; entities that an instance
    which still lives had known (S102); state that is kept outside of the process.

References
    https://12factor.net/disposability
"""

from __future__ import annotations

from dataclasses import dataclass

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
from detectors.kit.divergence import (
    DivergenceSettings,
    compared,
    diverges,
    restarted,
    sides,
    succeeded,
)
from detectors.kit.fleet import (
    Spot,
    entities_of,
    finding_of,
    lives,
    verdict,
)
from detectors.kit.losses import first_identity, loss, rows_of, side_details


class StateLostOnRestart:
    """S104: entities that a successor does not know."""

    code = "S104"
    name = "state-lost-on-restart"
    scope: Scope = "fleet"
    needs = ("entities", "instances", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(DivergenceSettings):
        """Knobs of S104."""

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Operations that fail after an instance went, for what it had known."""
        sample, requests, _ = entities_of(facts)
        alive = lives(facts)
        rows = sides(restarted(requests, alive))
        findings, held_back = [], dict[str, list[Spot]]()
        by = ["service", "environment", "entry_label"]
        for _, group in compared(rows).group_by(by, maintain_order=True):
            service = facts.text(group["service"][0])
            operation = facts.text(group["entry_label"][0])
            settings = context.settings(self, service, operation)
            told = [{**r, "lost": r["away_failed"]} for r in group.iter_rows(named=True)]
            firing = [r for r in told if diverges(r, settings)]
            if firing:
                row = first_identity(firing)
                lost = rows_of(rows, row).with_columns(pl.col("away_failed").alias("lost"))
                reason = "no span tells where state lives; judged by what successors know"
                fault = loss(facts, context, settings, sample, row, lost, reason, side_details(row))
                findings.append(finding_of(self, facts, fault))
            else:
                row = max(told, key=lambda r: r["away"])
                held_back.setdefault(service, []).append(_why(row, settings, operation))
        took_over = {facts.text(s) for s in succeeded(alive)["service"].unique()}
        for service in {facts.text(s) for s in requests["service"].unique()} - held_back.keys():
            held_back[service] = [_unseen(service in took_over)]
        return verdict(self, facts, findings, held_back)

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        return Explanation(
            f"{finding.operation} fails after a restart for what the instance before had known",
            f"{d['away_failed']} of {d['away']} requests failed for entities that only instances "
            f"which are gone had known, {d['here_failed']} of {d['here']} for those created since; "
            f"{finding.evidence}: {finding.evidence_reason}.",
            "Keep sessions, carts, jobs and uploads outside of the process (Redis, the database, "
            "object storage), or in a signed token. Until then drain: stop taking new state, let "
            "running work end, and hand over what is left on SIGTERM.",
        )


def _unseen(succeeded: bool) -> Spot:  # noqa: FBT001
    if succeeded:
        return (
            "below_threshold",
            "instances came and went, but nothing tells what successors should know",
            "",
        )
    return "below_threshold", "no instance was seen to take over from another", ""


def _why(row: dict[str, int], settings: DivergenceSettings, operation: str) -> Spot:
    if min(row["away"], row["here"]) < settings.min_requests:
        return (
            "below_threshold",
            (
                f"{operation}: {row['away']} requests for what instances before had known; "
                f"{settings.min_requests} are needed"
            ),
            "",
        )
    return (
        "seen",
        (
            f"{operation}: {row['away_failed']} of {row['away']} requests fail for what instances "
            "before had known"
        ),
        "",
    )


RULE: Rule = StateLostOnRestart()

"""What S102 and S104 say of an operation: failures where state is elsewhere, or gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from detectors.kit.contract import Context, FactsView
from detectors.kit.divergence import DivergenceSettings
from detectors.kit.fleet import OPERATION, Fault, exemplars_of
from detectors.kit.pricing import share, stepped
from detectors.kit.sampling import Sample

SUBJECTS = {"path": "entity by path", "actor": "entity by actor", "key": "entity by cache key"}
"""What an entity is known by, the most telling first."""
_PANE_NS = 60_000_000_000


def rows_of(rows: pl.DataFrame, row: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of one operation and identity."""
    return rows.filter(pl.all_horizontal(pl.col(c).eq_missing(row[c]) for c in OPERATION))


def first_identity(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the identities that tell the same of one operation, the most telling."""
    order = list(SUBJECTS)
    return min(rows, key=lambda r: (order.index(r["identity"]), -r["lost"]))


def loss(  # noqa: PLR0913 - what there is to tell
    facts: FactsView,
    context: Context,
    settings: DivergenceSettings,
    sample: Sample,
    row: Mapping[str, Any],
    rows: pl.DataFrame,
    reason: str,
    details: Mapping[str, Any],
) -> Fault:
    """A fault from rows of requests with `lost`, the failures among them that count."""
    lost = rows.filter(pl.col("lost") > 0)
    spent = pl.col("spent_ns") * pl.col("lost") // pl.col("failed").clip(lower_bound=1)
    fresh = lost.filter(pl.col("pane") > context.start_ns - _PANE_NS)
    panes = fresh.group_by("pane").agg(pl.col("lost").sum(), spent.sum().alias("spent"))
    occurrences = int(lost["lost"].sum())
    of_all = share(occurrences, int(rows["requests"].sum()))
    return Fault(
        service=facts.text(row["service"]),
        environment=facts.text(row["environment"]) or None,
        operation=facts.text(row["entry_label"]),
        subject=SUBJECTS[row["identity"]],
        severity=stepped("warning", 1 if of_all >= settings.critical_share else 0),
        reason=reason,
        occurrences=sample.scaled(occurrences),
        traces=sample.scaled(occurrences),
        wasted_ns=sample.scaled(int(lost.select(spent.sum()).item() or 0)),
        first_ns=int(lost["first_failed_ns"].min()),  # type: ignore[arg-type]
        last_ns=int(lost["last_failed_ns"].max()),  # type: ignore[arg-type]
        exemplars=exemplars_of(sample, lost),
        details={
            "identity": row["identity"],
            "instances": rows["instance"].n_unique(),
            "entities": lost["entity"].n_unique(),
            "failed_share": of_all,
            "sampled_share": sample.share,
            **details,
        },
        panes={
            p: (sample.scaled(n), sample.scaled(w)) for p, n, w in panes.sort("pane").iter_rows()
        },
    )


def side_details(row: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of a row of `divergence.compared`."""
    return {
        "away": row["away"],
        "away_failed": row["away_failed"],
        "here": row["here"],
        "here_failed": row["here_failed"],
        "difference": round(row["difference"], 3),
    }

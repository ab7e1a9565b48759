"""Whether requests of one actor, or about one thing, meet one instance more than chance has it.

The first request of an entity goes somewhere; each later one meets that instance with the chance
that any request of that minute does, if requests are dealt without looking at who asks.
"""

from __future__ import annotations

import polars as pl

from detectors.kit.fleet import GROUP, SUBJECT, joined_on, numbered
from detectors.kit.statistics import binomial_greater

ROUTED = ("service", "environment", "identity")


def meetings(requests: pl.DataFrame, instances: pl.DataFrame, min_requests: int) -> pl.DataFrame:
    """A row per entity with at least `min_requests` later and first requests on several instances.

    Columns SUBJECT; `home`, the instance of its first request; trials, met: later requests while
    several instances served, and those that met it; expected: how many chance would have it
    meet; first_ns, last_ns.
    """
    shares = _shares(instances)
    needed = (*SUBJECT, "pane", "instance", "requests", "first_ns", "last_ns")
    numbers = {"_subject": SUBJECT, "_asked": (*SUBJECT, "pane", "instance")}
    asked = (
        numbered(requests.select(needed), numbers)
        .group_by("_asked")
        .agg(
            pl.col("_subject", *SUBJECT, "pane", "instance").first(),
            pl.col("requests").sum(),
            pl.col("first_ns").min(),
            pl.col("last_ns").max(),
        )
    )
    first = pl.col("first_ns") == pl.col("first_ns").min().over("_subject")
    asked = asked.with_columns(first.alias("_first"))
    home = asked.filter("_first").group_by("_subject").agg(pl.col("instance").min().alias("home"))
    asked = asked.join(home, on="_subject", how="left")
    at_home = pl.when(pl.col("instance") == pl.col("home")).then("requests").otherwise(0)
    opening = pl.col("_first") & (pl.col("instance") == pl.col("home"))
    minutes = asked.group_by("_subject", "pane").agg(
        pl.col(*SUBJECT, "home").first(),
        pl.col("requests").sum().alias("trials"),
        at_home.sum().alias("met"),
        opening.any().cast(pl.Int64).alias("_opening"),
        pl.col("first_ns").min(),
        pl.col("last_ns").max(),
    )
    minutes = joined_on(
        minutes, shares.rename({"instance": "home"}), [*GROUP, "pane", "home"], "inner"
    ).with_columns(pl.col("trials") - pl.col("_opening"), pl.col("met") - pl.col("_opening"))
    return (
        minutes.group_by("_subject")
        .agg(
            pl.col(*SUBJECT, "home").first(),
            pl.col("trials", "met").sum(),
            (pl.col("share") * pl.col("trials")).sum().alias("expected"),
            pl.col("first_ns").min(),
            pl.col("last_ns").max(),
        )
        .filter(pl.col("trials") >= min_requests - 1)
        .drop("_subject")
        .sort(*SUBJECT, nulls_last=True)
    )


def _shares(instances: pl.DataFrame) -> pl.DataFrame:
    """(GROUP, pane, instance, share) of the minutes in which several instances served."""
    named = instances.filter(pl.col("instance").is_not_null())
    counted = named.group_by(*GROUP, "pane", "instance").agg(pl.col("requests").sum())
    over = [*GROUP, "pane"]
    share = (pl.col("requests") / pl.col("requests").sum().over(over)).alias("share")
    return counted.filter(pl.len().over(over) > 1).select(*over, "instance", share)


def pinned(met: pl.DataFrame) -> pl.DataFrame:
    """Rows of `meetings` -> a row per (service, environment, identity).

    entities, homes; trials, met, expected; excess: share of what chance leaves that was met.
    """
    excess = (pl.col("met") - pl.col("expected")) / (pl.col("trials") - pl.col("expected"))
    return (
        met.group_by(*ROUTED)
        .agg(
            pl.len().cast(pl.Int64).alias("entities"),
            pl.col("home").n_unique().cast(pl.Int64).alias("homes"),
            pl.col("trials", "met", "expected").sum(),
            pl.col("first_ns").min(),
            pl.col("last_ns").max(),
        )
        .with_columns(excess.fill_nan(0).alias("excess"))
        .sort(*ROUTED, nulls_last=True)
    )


def chance_of(row: dict[str, float]) -> float:
    """Bound on the probability that so many later requests meet the first by chance."""
    trials = int(row["trials"])
    return binomial_greater(int(row["met"]), trials, min(1.0, row["expected"] / max(1, trials)))

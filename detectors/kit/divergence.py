"""How requests for an entity end where it was made, and where it was not.

::

    instance a   POST /carts/5 201    GET /carts/5 200                    here
    instance b                                      GET /carts/5 404      away: made elsewhere only

State that instances share ends alike on both sides; state in the memory of a process does not. A
request is `away` while its entity was created on other instances only, which were still alive, and
`here` once it was created on the instance that is asked: a client that logs in again where it was
refused makes its entity there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.fleet import OPERATION, SUBJECT, joined_on
from detectors.kit.knobs import knob
from detectors.kit.statistics import fisher_greater

HANDOVER_NS = 60_000_000_000
"""A successor starts so long before its predecessor ends, at most."""
CAPPED = 3
"""Requests that one (entity, instance) adds to a test at most: its repeats are not independent."""
_CELL = (*OPERATION, "entity", "instance")


@dataclass(frozen=True, slots=True)
class DivergenceSettings:
    """Knobs that S102 and S104 share."""

    min_requests: int = knob(20, "requests on each side that it takes", low=5)
    min_difference: float = knob(0.5, "by which the one side fails more often", high=1)
    min_entities: int = knob(5, "entities that must fail", low=2)
    max_chance: float = knob(1e-6, "probability that it is chance", high=1)
    critical_share: float = knob(0.1, "of the operation's requests, from which on it is critical")


def placed(requests: pl.DataFrame, lives: pl.DataFrame) -> pl.DataFrame:
    """Rows of requests whose entity was seen to be created, with who had created it.

    Adds own_ns (created on this instance) and other_ns (on another, alive when this row began),
    null where it was not.
    """
    creating = requests.filter(pl.col("created") > 0)
    created = joined_on(
        creating.group_by(*SUBJECT, "instance").agg(
            pl.col("created_ns").min().alias("_created_ns")
        ),
        lives.select("service", "environment", "instance", pl.col("last_ns").alias("_until_ns")),
        ("service", "environment", "instance"),
    ).rename({"instance": "_creator"})
    rows = joined_on(requests, creating, SUBJECT, "semi").with_row_index("_row")
    both = joined_on(rows, created, SUBJECT, "inner")
    own = pl.col("_creator") == pl.col("instance")
    alive = pl.col("_until_ns") >= pl.coalesce("first_failed_ns", "first_ns")
    made = both.group_by("_row").agg(
        pl.col("_created_ns").filter(own).min().alias("own_ns"),
        pl.col("_created_ns").filter(~own & alive).min().alias("other_ns"),
    )
    return rows.join(made, on="_row", how="inner").drop("_row")


def sides(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds away, away_failed, here, here_failed (requests) to rows with own_ns and other_ns.

    Within a row only earliest and latest times are known: failures that lie on both sides of a
    creation count as `here`, which speaks against a finding.
    """
    failed, ok = pl.col("failed"), pl.col("ok")
    before = pl.col("own_ns").is_null() | (pl.col("last_ns") < pl.col("own_ns"))
    refused_before = before | (pl.col("last_failed_ns") <= pl.col("own_ns")).fill_null(value=True)
    after_other = pl.col("other_ns").is_not_null() & (
        pl.col("last_failed_ns").fill_null(0) > pl.col("other_ns")
    )
    ok_away = before & (pl.col("last_ok_ns").fill_null(0) > pl.col("other_ns").fill_null(2**62))
    away_failed = pl.when(refused_before & after_other).then(failed).otherwise(0)
    here_failed = pl.when(refused_before).then(0).otherwise(failed)
    return rows.with_columns(
        away_failed.alias("away_failed"),
        here_failed.alias("here_failed"),
        (away_failed + pl.when(ok_away).then(ok).otherwise(0)).alias("away"),
        (here_failed + pl.when(before).then(0).otherwise(ok)).alias("here"),
    )


def restarted(requests: pl.DataFrame, lives: pl.DataFrame) -> pl.DataFrame:
    """Rows of requests as `placed` gives them, for state that went with its instance.

    other_ns: answered for this entity, with success, by instances that were gone when this one was
    asked, and which this one succeeded (it was born about when they went); null when anyone else
    who knew the entity was still there. own_ns: created on this instance, or never known elsewhere.
    Instances are compared over versions: most restarts are deploys. Services whose instances all
    stayed have no rows.
    """
    rows = joined_on(requests, succeeded(lives), ("service", "environment"), "semi")
    rows = rows.with_columns(pl.lit(None, dtype=pl.UInt64).alias("version"))
    rows = joined_on(
        rows.filter(pl.col("broken") == 0).with_row_index("_row"),
        lives.select("service", "environment", "instance", "born_ns"),
        ("service", "environment", "instance"),
    )
    until = pl.col("last_ns").alias("_until_ns")
    known = joined_on(
        rows.filter((pl.col("ok") > 0) | (pl.col("created") > 0))
        .group_by(*SUBJECT, "instance")
        .agg(
            pl.col("first_done_ns").min().alias("_known_ns"),
            pl.col("created_ns").min().alias("_created_ns"),
        ),
        lives.select("service", "environment", "instance", until),
        ("service", "environment", "instance"),
    ).rename({"instance": "_knower"})
    both = joined_on(rows, known, SUBJECT)
    asked = pl.coalesce("first_failed_ns", "first_ns")
    own = pl.col("_knower") == pl.col("instance")
    elsewhere = (~own & (pl.col("_known_ns") < asked)).fill_null(value=False)
    gone = elsewhere & (pl.col("_until_ns") < asked)
    gone &= pl.col("born_ns") >= pl.col("_until_ns") - HANDOVER_NS
    told = both.group_by("_row").agg(
        pl.col("_created_ns").filter(own).min().alias("_own_ns"),
        pl.col("_known_ns").filter(gone).min().alias("_other_ns"),
        elsewhere.sum().alias("_elsewhere"),
        gone.sum().alias("_gone"),
    )
    own_ns = pl.when(pl.col("_elsewhere") == 0).then(0).otherwise("_own_ns").alias("own_ns")
    other_ns = pl.when(pl.col("_gone") == pl.col("_elsewhere")).then("_other_ns").alias("other_ns")
    return rows.join(told.select("_row", own_ns, other_ns), on="_row").drop("_row", "born_ns")


def succeeded(lives: pl.DataFrame) -> pl.DataFrame:
    """(service, environment) in which an instance went, and another came then or later."""
    where = ["service", "environment"]
    pairs = joined_on(lives, lives, where, "inner")
    born_then = pl.col("born_ns") >= pl.col("last_ns_right") - HANDOVER_NS
    return pairs.filter(born_then & (pl.col("last_ns_right") < pl.col("last_ns"))).select(where)


_COUNTS = ("away", "away_failed", "here", "here_failed")


def compared(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of `sides` -> a row per operation and identity, over instances that have both sides.

    An instance without entities of its own cannot tell where state lives from what is broken.
    Beside the counts: `difference` of the failing shares, weighted over instances, so that one bad
    replica makes none; `entities` that failed away; counts capped for the test as `test_…`.
    """
    cells = rows.group_by(*_CELL).agg(pl.col(*_COUNTS).sum())
    instances = cells.group_by(*OPERATION, "instance").agg(pl.col(*_COUNTS).sum())
    able = instances.filter((pl.col("away") > 0) & (pl.col("here") > 0))
    weight = pl.col("away") * pl.col("here") / (pl.col("away") + pl.col("here"))
    gap = pl.col("away_failed") / pl.col("away") - pl.col("here_failed") / pl.col("here")
    summed = able.group_by(*OPERATION).agg(
        pl.col(*_COUNTS).sum(),
        ((gap * weight).sum() / weight.sum()).alias("difference"),
        pl.len().cast(pl.Int64).alias("instances"),
    )
    used = joined_on(cells, able.select(*OPERATION, "instance"), [*OPERATION, "instance"], "semi")
    tested = used.group_by(*OPERATION).agg(
        *_capped("away"),
        *_capped("here"),
        pl.col("entity")
        .filter(pl.col("away_failed") > 0)
        .n_unique()
        .cast(pl.Int64)
        .alias("entities"),
    )
    return joined_on(summed, tested, OPERATION).sort(*OPERATION, nulls_last=True)


def _capped(side: str) -> Sequence[pl.Expr]:
    count = pl.col(side).clip(upper_bound=CAPPED)
    failed = (pl.col(f"{side}_failed") * count / pl.col(side)).fill_nan(0).round()
    return (
        count.sum().alias(f"test_{side}"),
        failed.cast(pl.Int64).sum().alias(f"test_{side}_failed"),
    )


def diverges(row: Mapping[str, Any], settings: DivergenceSettings) -> bool:
    """Whether a row of `compared` is a fault."""
    away, here = row["away"], row["here"]
    if min(away, here) < settings.min_requests or row["entities"] < settings.min_entities:
        return False
    pooled = row["away_failed"] / away - row["here_failed"] / here
    if min(pooled, row["difference"]) < settings.min_difference:
        return False
    return (
        fisher_greater(
            row["test_away_failed"], row["test_away"], row["test_here_failed"], row["test_here"]
        )
        < settings.max_chance
    )

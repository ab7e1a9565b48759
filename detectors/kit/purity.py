"""Whether an entity always ends alike on an instance, and not alike on all of them.

Works without seeing where an entity was created. Of an entity that failed on some instances and
succeeded on others, the cells (entity × instance) are looked at: state in one process makes each
cell pure, all failures or none. What chance does is known exactly: how many ways there are to deal
the entity's failures to cells of these sizes so that all are pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from detectors.kit.fleet import OPERATION, joined_on
from detectors.kit.statistics import (
    binomial_greater,
    chi_square_greater,
    g_statistic,
    log_choose,
)

_MAX_ENTITIES = 5_000
_MAX_REQUESTS = 200
"""Counts of a cell above this tell no more: they are scaled down to it."""


@dataclass(frozen=True, slots=True)
class Purity:
    """The mixed entities of one operation, looked at together.

    chance: the larger of the G-test of entity × instance against entity and of the exact bound on
    so many entities being pure; explained: the share of G that the instance alone explains.
    """

    entities: int
    requests: int
    failed: int
    pure_ratio: float
    explained: float
    chance: float


def cells(requests: pl.DataFrame, lives: pl.DataFrame) -> pl.DataFrame:
    """(OPERATION, entity, instance, ok, failed) of entities with both outcomes, over instances.

    Only instances that were alive together are compared: a deploy replaces one by another.
    """
    by = [*OPERATION, "entity"]
    alive = lives.select("service", "environment", "instance", "born_ns", pl.col("last_ns"))
    failing = requests.filter(pl.col("failed") > 0)
    among = joined_on(requests, failing, by, "semi")
    summed = among.group_by(*by, "instance").agg(pl.col("ok", "failed").sum())
    summed = joined_on(summed, alive, ("service", "environment", "instance"))
    together = pl.col("born_ns").max().over(by) < pl.col("last_ns").min().over(by)
    counted = pl.col("ok") + pl.col("failed")
    mixed = (pl.col("ok").sum().over(by) > 0) & (pl.col("failed").sum().over(by) > 0)
    return summed.filter(together & mixed & (counted > 0) & (pl.len().over(by) > 1)).sort(
        *by, "instance", nulls_last=True
    )


def purity(rows: pl.DataFrame) -> Purity | None:
    """Rows of `cells` of one operation and identity; None when there are none."""
    if not rows.height:
        return None
    g_all, degrees, pure, odds, n = 0.0, 0, 0, 0.0, 0
    for _, cell in rows.group_by("entity", maintain_order=True):
        counts = [_scaled(ok, failed) for ok, failed in cell.select("ok", "failed").iter_rows()]
        g, df = g_statistic(counts)
        g_all, degrees = g_all + g, degrees + df
        chance = _pure_by_chance([sum(c) for c in counts], sum(f for _, f in counts))
        odds += chance
        pure += all(0 in c for c in counts)
        n += 1
        if n == _MAX_ENTITIES:
            break
    alone = rows.group_by("instance").agg(pl.col("ok", "failed").sum())
    g_instance, _ = g_statistic(list(alone.select("ok", "failed").iter_rows()))
    return Purity(
        entities=n,
        requests=int(rows["ok"].sum()) + int(rows["failed"].sum()),
        failed=int(rows["failed"].sum()),
        pure_ratio=pure / n,
        explained=g_instance / g_all if g_all else 1.0,
        chance=max(
            binomial_greater(pure, n, min(1.0, odds / n)), chi_square_greater(g_all, degrees)
        ),
    )


def _scaled(ok: int, failed: int) -> tuple[int, int]:
    whole = ok + failed
    if whole <= _MAX_REQUESTS:
        return ok, failed
    kept = min(max(1, round(failed * _MAX_REQUESTS / whole)), _MAX_REQUESTS - 1) if failed else 0
    return (_MAX_REQUESTS - kept, kept) if ok else (0, _MAX_REQUESTS)


def _pure_by_chance(sizes: list[int], failed: int) -> float:
    """Ways to fill whole cells with exactly the failures, of all ways to deal them."""
    ways = {0: 1}
    for size in sizes:
        more = dict(ways)
        for filled, count in ways.items():
            if filled + size <= failed:
                more[filled + size] = more.get(filled + size, 0) + count
        ways = more
    found = ways.get(failed, 0)
    return math.exp(math.log(found) - log_choose(sum(sizes), failed)) if found else 0.0

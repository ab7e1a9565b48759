"""However many entities are offered, those that are kept fit the cap and are the same everywhere."""

from __future__ import annotations

import numpy as np
import polars as pl

from detectors.facts.entities import TABLE
from detectors.kit import merge
from detectors.kit.answers import tell_work
from detectors.kit.engine import Facts
from detectors.kit.fleet import entities_of
from detectors.kit.sampling import sample_of
from detectors.kit.structure import assemble
from support.frames import frame, span

ROWS = 40_000
INSTANCES = 3


def offered(seed: int) -> pl.DataFrame:
    """Facts of many requests, each about an entity of its own, dealt to three instances."""
    one = tell_work(
        assemble(
            frame(
                span(
                    1,
                    kind="server",
                    category="http",
                    operation="GET",
                    http_status=200,
                    instance="a",
                    entity="x",
                )
            )
        )
    )
    ids = np.random.default_rng(seed).integers(1, 2**63, ROWS, dtype=np.uint64)
    spans = pl.concat([one] * ROWS).with_columns(
        pl.Series("entity", ids),
        pl.Series("instance", (np.arange(ROWS) % INSTANCES + 1).astype(np.uint64)),
        pl.Series("entry", np.arange(ROWS, dtype=np.uint32)),
    )
    return merge.regroup(TABLE, TABLE.observe(spans))


def test_rows_stay_below_the_cap_and_are_the_same_in_any_order() -> None:
    parts = [offered(seed) for seed in range(5)]
    kept = []
    for order in (parts, parts[::-1]):
        whole = order[0]
        for part in order[1:]:
            merged = merge.merge(TABLE, [whole, part])
            whole, lost = merge.cap(TABLE, merged, TABLE.max_rows)
            assert whole.height <= TABLE.max_rows
            assert lost == merged.height - whole.height
        kept.append(sample_of(whole, "entity"))

    assert kept[0].level == kept[1].level > 0
    assert kept[0].rows["entity"].sort().equals(kept[1].rows["entity"].sort())
    estimate = kept[0].scaled(kept[0].rows.height)
    assert 0.9 < estimate / (5 * ROWS) < 1.1


def test_rules_look_at_whole_subjects_only() -> None:
    capped, _ = merge.cap(TABLE, offered(1), 1_000)
    facts = Facts({"entities": merge.merge(TABLE, [capped, offered(2).head(10)])})

    sample, requests, reads = entities_of(facts)

    assert sample.level > 0
    assert requests.height <= 1_010
    assert not reads.height

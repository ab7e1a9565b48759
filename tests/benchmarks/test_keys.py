"""Facts of many distinct keys fit their tables, and more keys make them no larger."""

from __future__ import annotations

import pytest

from benchmarks.keys import offer
from detectors.kit.catalogue import tables
from detectors.kit.sampling import sample_key

MOST_ROWS = 2_000
SUBJECTS = ("deliveries", "entities", "reads", "touches")
"""Tables that the workload offers more subjects than they may keep."""


def test_more_keys_are_no_more_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for table in tables():
        monkeypatch.setattr(type(table), "max_rows", MOST_ROWS)
    few, offered_few = offer(20_000)
    many, offered = offer(140_000)
    assert offered >= 2 * offered_few >= 40_000
    assert [k.table for k in many] == [t.name for t in tables()]
    assert set(SUBJECTS) <= {t.name for t in tables() if sample_key(t)}

    assert all(k.rows <= MOST_ROWS for k in many)
    by_name = {k.table: k for k in many}
    for before in few:
        now = by_name[before.table]
        assert now.level >= before.level
        if now.table in SUBJECTS:
            assert now.level > 0
            assert now.overflow > 0
            assert now.rows > MOST_ROWS // 4
        else:  # patterns, in so many panes of the horizon: no keys
            assert now.overflow == 0
            assert now.rows < MOST_ROWS / 2

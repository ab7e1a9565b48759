"""Statements, paths and keys that nobody has sent before fill what is bounded, and no more."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks import soak
from collector.decode import classify
from collector.decode.classify import Classifier
from collector.settings import Settings
from detectors.kit.catalogue import tables
from detectors.kit.texts import Texts

MOST_TEXTS, MOST_ROWS, MOST_CACHED = 1_500, 300, 200
SPANS_A_SECOND = 100
QUIET_S, HORIZON_S = 2.0, 30.0


def test_what_is_kept_stays_under_its_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    for table in tables():
        monkeypatch.setattr(type(table), "max_rows", MOST_ROWS)
    settings = Settings(quiet_s=QUIET_S, max_age_s=4.0, horizon_s=HORIZON_S)

    found = list(soak.soaked(120, Texts(MOST_TEXTS), settings, SPANS_A_SECOND, 20))

    assert found[-1].spans == 120 * SPANS_A_SECOND
    for sizes in found:
        # Two generations; a generation is full before it is left.
        assert sizes.texts <= 2 * (MOST_TEXTS + 1)
        assert max(sizes.facts_rows.values()) <= MOST_ROWS
        assert sizes.open_rows <= (QUIET_S + 3) * SPANS_A_SECOND
    assert found[-1].texts > MOST_TEXTS, "the first generation was full"
    assert MOST_ROWS in found[-1].facts_rows.values(), "a table was full"


def test_facts_hold_no_text_that_no_row_mentions(monkeypatch: pytest.MonkeyPatch) -> None:
    for table in tables():
        monkeypatch.setattr(type(table), "max_rows", MOST_ROWS)
    settings = Settings(quiet_s=QUIET_S, horizon_s=HORIZON_S, judge_interval_s=5.0)

    found = list(soak.soaked(120, Texts(), settings, SPANS_A_SECOND, 5))

    texts = [sizes.facts_texts for sizes in found]
    half = len(texts) // 2
    assert max(texts[half:]) <= 1.2 * max(texts[:half])


def test_the_classifier_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "_MAX_CACHED", MOST_CACHED)
    classifier, dice = Classifier(Texts()), Random(1)
    most = 0
    for number in range(5 * MOST_CACHED):
        text = f"SELECT * FROM t{dice.randrange(10**9)} WHERE id = {number}"
        classifier("SELECT", 3, {"db.system": "postgresql", "db.statement": text})
        most = max(most, len(classifier))

    assert most == MOST_CACHED

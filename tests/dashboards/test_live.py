"""Panels, rules and alerts on a real Prometheus that scrapes a real spanlint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboards.catalogue import dashboards
from dashboards.watch.questions import Question, filled, questions
from dashboards.watch.servers import Notice, wait
from support.alerted import LATER, PATIENCE_S, drawn_alerts, played_alert
from support.watched import Watched, watched

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("watched")) as found:
        yield found


@pytest.mark.parametrize("question", list(questions()), ids=lambda q: f"{q.where}: {q.what}")
def test_each_query_returns_data(running: Watched, question: Question) -> None:
    if question.what in LATER:
        running.prometheus.instant(question.expr)
    else:
        assert running.prometheus.wait_for(question.expr, PATIENCE_S), question.expr


@pytest.mark.parametrize("board", dashboards(), ids=lambda b: b.uid)
def test_each_choice_has_values(running: Watched, board: Any) -> None:
    for variable in board.variables:
        if variable.kind == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable.query)
            assert found
            series = running.prometheus.wait_for(filled(found[1]), PATIENCE_S)
            assert all(found[2] in s["metric"] for s in series)
            assert series


def test_exemplars_come_back_with_their_traces(running: Watched) -> None:
    def found() -> list[dict[str, Any]]:
        return running.prometheus.exemplars("spanlint_occurrences_total", 600)

    assert wait(lambda: bool(found()), PATIENCE_S)
    labels = found()[0]["exemplars"][0]["labels"]
    answer = httpx.get(f"{running.served.admin}/api/v1/findings", params={"code": "N101"}).json()
    known = {e["trace_id"] for f in answer for e in f["exemplars"]}
    assert re.fullmatch(r"[0-9a-f]{32}", labels["trace_id"])
    assert known


def test_instances_behind_a_balancer_are_alerted_until_they_share_a_cache(
    running: Watched, tmp_path: Path
) -> None:
    check("S101", *played_alert(running, tmp_path))


def test_bad_forms_are_alerted_and_good_ones_resolve_them(running: Watched) -> None:
    for code, told in drawn_alerts(running).items():
        check(code, *told)
    marks = [q for q in questions() if q.what in LATER]
    assert all(running.prometheus.wait_for(q.expr, PATIENCE_S) for q in marks)


def check(code: str, fired: Notice | None, resolved: Notice | None) -> None:
    """It came, in words, and went."""
    assert fired, f"{code} did not fire"
    check_words(code, fired)
    assert resolved, f"{code} did not resolve"
    assert resolved["fingerprint"] == fired["fingerprint"]


def check_words(code: str, fired: Any) -> None:
    """Templates are filled in: values and names, and a page that is there."""
    notes = fired["annotations"]
    labels = fired["labels"]
    assert code in notes["summary"]
    assert labels["rule"] in notes["summary"]
    assert labels["operation"] in notes["summary"]
    assert "seen by 1 spanlint" in notes["description"]
    assert labels["fingerprint"] in notes["description"]
    assert notes["runbook_url"].endswith(f"/docs/rules/{code}.md")
    assert "{{" not in json.dumps(notes)


def test_the_docs_have_a_row_for_each_query_and_none_is_empty() -> None:
    page = (ROOT / "docs" / "dashboards.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (\d+) \|$", page, re.MULTILINE)

    assert [row[:2] for row in rows] == [(q.where, q.what) for q in questions()], (
        "run tests/dashboards/report.py"
    )
    assert [row for row in rows if row[2] == "0"] == []

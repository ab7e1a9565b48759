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
from dashboards.watch.servers import wait
from support.playing import playing
from support.watched import Watched, watched
from zoo.forms.caches import zipf
from zoo.forms.state import INSTANCES
from zoo.model import Form, Part
from zoo.world import Send, World, all_servers

PATIENCE_S = 90
LATER = {"Findings resolved"}
"""What has an answer only after the good form: asked at the end."""


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
    """S101, from real instances: three with a dictionary each, then three in front of Redis."""
    operation = {"code": "S101", "service_name": "stock", "operation": "GET /products/{id}"}
    otlp = running.served.otlp_http
    with all_servers(tmp_path, broker=False) as shared:
        with playing(instances("dict"), shared, tmp_path, otlp):
            fired = running.inbox.wait_for("firing", PATIENCE_S, **operation)
        with playing(instances("redis"), shared, tmp_path, otlp):
            resolved = running.inbox.wait_for("resolved", 2 * PATIENCE_S, **operation)

    assert fired
    assert fired["labels"]["alertname"].startswith("SpanlintStateInOneProcess")
    check_words("S101", fired)
    assert resolved
    assert resolved["fingerprint"] == fired["fingerprint"]


def instances(routes: str) -> Form:
    """Three instances that serve products, asked for each of them often."""
    stock = Part("stock", f"state.{routes}", INSTANCES)
    return Form(f"stock_{routes}", "bad", "", (stock,), steadily)


def steadily(world: World) -> None:
    """Each of some fifty products often enough to meet every instance, and again."""
    ids = zipf(world, 200, distinct=45, skew=0.2)
    world.send([Send("GET", f"/products/{i}") for i in ids], rate=50)


SEEN = {
    "N101": ("SpanlintRepeatedWork", "warning", "shop", "GET /books"),
    "C101": ("SpanlintCacheMisuse", "warning", "shop", "GET /start"),
    "F101": ("SpanlintFailureSpreadsCritical", "critical", "postgresql", "SELECT products"),
}
"""What is alerted while the bad forms run: alert, severity, service, operation."""


def expected(code: str) -> dict[str, str]:
    names = ("alertname", "severity", "service_name", "operation")
    return {"code": code, **dict(zip(names, SEEN[code], strict=True))}


def test_bad_forms_are_alerted_and_good_ones_resolve_them(running: Watched) -> None:
    fired = {c: running.inbox.wait_for("firing", PATIENCE_S, **expected(c)) for c in SEEN}
    running.good = True
    resolved = {c: running.inbox.wait_for("resolved", 2 * PATIENCE_S, **expected(c)) for c in SEEN}

    assert all(fired.values()), [c for c, notice in fired.items() if notice is None]
    assert all(resolved.values()), [c for c, notice in resolved.items() if notice is None]
    for code, notice in fired.items():
        check_words(code, notice)
        assert resolved[code]["fingerprint"] == notice["fingerprint"]
    marks = [q for q in questions() if q.what in LATER]
    assert all(running.prometheus.wait_for(q.expr, PATIENCE_S) for q in marks)


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

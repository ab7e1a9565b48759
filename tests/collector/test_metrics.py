"""The exposition: well-formed, documented whole, capped, and whatever spans say in its labels."""

from __future__ import annotations

import re

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from collector.docs import generated
from collector.store import Counters, Store
from support.commands import ROOT
from support.running import Running, as_if_now, running, until
from support.sketch import Case, Line, request

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PAGE = generated(ROOT)[ROOT / "docs" / "metrics.md"]
HOSTILE = 'a"b\\c\nd{e="f"} 5\r\u2028é\x1b'


def lazy(service: str) -> Case:
    entry = Line(service, "GET /books", 0, 120, [])
    entry.children = [Line(service, "SELECT * FROM authors WHERE id = %s", 8, 110, ["x12"])]
    return Case(service, [entry])


def send(service: Running, *names: str) -> None:
    for name in names:
        service.send(as_if_now(request(lazy(name))).SerializeToString())


def documented() -> dict[str, tuple[str, set[str]]]:
    """Metric -> type and labels, as docs/metrics.md has them."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| ", PAGE, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_every_metric_is_documented_and_every_documented_one_is_there() -> None:
    with running(service_graph=True, red_metrics=True) as service:
        send(service, "shop")
        until(service.findings)
        families = list(text_string_to_metric_families(service.get("/metrics").text))

    known = documented()
    found = {}
    for family in families:
        if family.name.startswith("process_"):
            continue
        total = family.name + "_total" if family.type == "counter" else family.name
        labels = {n for s in family.samples for n in s.labels} - {"le", "quantile"}
        found[total] = (family.type, labels or known.get(total, ("", set()))[1])
    assert found == known


def test_openmetrics_is_well_formed_with_exemplars() -> None:
    with running(service_graph=True, red_metrics=True) as service:
        send(service, "shop", HOSTILE)
        until(lambda: len(service.findings()) == 2)
        answer = service.get("/metrics", accept=OPENMETRICS)

    families = list(openmetrics_families(answer.text))

    samples = {s.name: s for f in families for s in f.samples}
    assert samples["spanlint_occurrences_total"].exemplar.labels["trace_id"]
    services = {s.labels.get("service_name") for f in families for s in f.samples}
    assert {"shop", HOSTILE} <= services


def test_plain_text_survives_what_spans_say() -> None:
    with running() as service:
        send(service, HOSTILE)
        until(service.findings)
        text = service.get("/metrics").text

    families = {f.name: f for f in text_string_to_metric_families(text)}
    active = families["spanlint_active_findings"].samples
    assert [s.labels["service_name"] for s in active if s.value] == [HOSTILE]


def test_series_are_capped_and_the_rest_is_counted() -> None:
    with running(max_series=3) as service:
        send(service, *(f"svc{n}" for n in range(8)))
        until(lambda: len(service.findings()) == 8)
        families = {
            f.name: f.samples for f in text_string_to_metric_families(service.get("/metrics").text)
        }

    occurrences = families["spanlint_occurrences"]
    assert len(occurrences) <= 4
    assert sum(s.value for s in occurrences) == 8
    assert any(s.labels["service_name"] == "other" for s in occurrences)
    capped = {s.labels["metric"]: s.value for s in families["spanlint_series_capped"]}
    assert capped["spanlint_occurrences_total"] == 5
    assert len(families["spanlint_finding_active"]) <= 4
    left_out = {s.labels["metric"]: s.value for s in families["spanlint_finding_series_left_out"]}
    assert left_out["spanlint_finding_active"] == 5


@pytest.mark.parametrize("restart", [False, True])
def test_a_counter_never_goes_down(restart: bool, tmp_path) -> None:
    path = str(tmp_path / "state.sqlite")
    counters = Counters(Store(path), 2)
    shown: dict = {}
    for number in range(20):
        counters.add("c_total", (f"{number % 5}",), number)
        counters.add("c_total", ("0",), -7)
        counters.add("d_total", (), 0.5)
        if number % 3 == 0:
            before, shown = shown, counters.commit()
            assert all(shown[key] >= value for key, value in before.items())
        if restart and number % 7 == 0:
            counters._store.close()
            counters = Counters(Store(path), 2)

    assert counters.commit()[("c_total", ("other",))] > 0
    assert len([key for key in counters.commit() if key[0] == "c_total"]) == 3

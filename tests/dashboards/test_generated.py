"""What is generated: up to date, as Grafana's schema and dashboard-linter want it, no broken name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.alerting import Rule
from grafana_foundation_sdk.models.dashboard import Dashboard
from grafana_foundation_sdk.models.units import __dict__ as UNITS

from dashboards.catalogue import dashboards
from dashboards.common import REPOSITORY
from dashboards.families import families
from dashboards.files import RUNBOOK, generated, runbook_page
from support.promql import grouped, matched, nodes, parse, selectors

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dashboards" / "generated"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("grafana/*.json"))}
BEYOND_THE_SCHEMA = {"titleFormat", "textFormat", "step", "useValueForTime", "definition"}
"""What Grafana reads and its published schema leaves out."""
MADE = {"id", "source", "target", "service", "mainstat", "secondarystat", "color"}
"""Labels that queries make with label_replace and count_values."""


def panels() -> list[Any]:
    return [
        pytest.param(board, panel, id=f"{name}: {panel['title']}")
        for name, board in BOARDS.items()
        for panel in board["panels"]
        if panel["type"] != "row"
    ]


def queries() -> list[Any]:
    return [
        pytest.param(target["expr"], id=f"{parameter.id} {target['refId']}")
        for parameter in panels()
        for target in parameter.values[1]["targets"]
    ]


def test_generated_files_are_up_to_date() -> None:
    there = {str(p.relative_to(FOLDER)): p.read_text() for p in FOLDER.rglob("*") if p.is_file()}

    assert there.keys() == generated().keys(), "run `./dev docs`"
    stale = [name for name, text in generated().items() if there[name] != text]
    assert not stale, "run `./dev docs`"
    assert (ROOT / RUNBOOK).read_text() == runbook_page(), "run `./dev docs`"


@pytest.mark.parametrize("name", BOARDS)
def test_nothing_is_unknown_to_the_schema_of_grafana(name: str) -> None:
    register_default_plugins()
    read = json.loads(json.dumps(Dashboard.from_json(BOARDS[name]), cls=JSONEncoder))

    assert list(differences(BOARDS[name], read)) == []


def differences(wanted: Any, got: Any, path: str = ""):
    """Where what the schema kept differs from what was written."""
    if isinstance(wanted, dict):
        for key in wanted.keys() - BEYOND_THE_SCHEMA:
            if key in got:
                yield from differences(wanted[key], got[key], f"{path}/{key}")
            else:
                yield f"{path}/{key} is lost"
    elif isinstance(wanted, list):
        for index, pair in enumerate(zip(wanted, got, strict=True)):
            yield from differences(*pair, f"{path}/{index}")
    elif wanted != got:
        yield f"{path}: {wanted!r} became {got!r}"


@pytest.mark.parametrize("name", BOARDS)
def test_each_dashboard_can_be_pointed_elsewhere(name: str) -> None:
    board = BOARDS[name]
    variables = {v["name"]: v for v in board["templating"]["list"]}
    source, job = variables["datasource"], variables["job"]

    assert (source["type"], source["query"], source["label"]) == (
        "datasource",
        "prometheus",
        "Data source",
    )
    for label in ("job", "instance"):
        found = variables[label]
        assert (found["type"], found["multi"], found["includeAll"], found["allValue"]) == (
            "query",
            True,
            True,
            ".+",
        )
        assert found["label"] == label
    assert job["datasource"]["uid"] == "${datasource}"
    assert all(v["refresh"] == 2 for v in variables.values() if v["type"] == "query")
    assert board["editable"] is False
    assert {v["name"] for v in variables.values()} >= used(board) - {"__all"}
    uids = re.findall(r'"uid": "([^"]*)"', json.dumps(board))
    assert set(uids) == {"${datasource}", board["uid"]}


def used(board: Any) -> set[str]:
    """Variables that are mentioned, Grafana's own left out."""
    text = json.dumps({k: v for k, v in board.items() if k != "templating"})
    named = re.findall(r"\$\{?([a-z_]\w*)", text)
    return {n for n in named if not n.startswith("__")}


@pytest.mark.parametrize(("board", "panel"), panels())
def test_each_panel_says_what_it_shows(board: Any, panel: Any) -> None:
    assert panel["title"]
    assert len(panel["description"]) > 60, "say what to do when it is red"
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    assert all(t["datasource"] == panel["datasource"] for t in panel["targets"])
    unit = panel["fieldConfig"]["defaults"]["unit"]
    assert unit in UNITS.values(), unit
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_overlap(name: str) -> None:
    cells = [
        (x, y)
        for p in BOARDS[name]["panels"]
        for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
        for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
    ]
    ids = [p["id"] for p in BOARDS[name]["panels"]]

    assert len(cells) == len(set(cells))
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("expr", queries())
def test_queries_are_promql_over_what_is_exported(expr: str, exported: dict[str, set[str]]) -> None:
    check_names(expr, exported)
    for selector in selectors(parse(expr)):
        labels = matched(selector)
        assert "job" in labels or selector.name == "ALERTS", "choose by job"
        if selector.name.startswith(("spanlint_", "process_")):
            assert "instance" in labels, "choose by instance"
    for range_ in re.findall(r"\[([^\]]+)\]", expr):
        assert range_ in ("$__rate_interval", "$__range")


def check_names(expr: str, exported: dict[str, set[str]]) -> None:
    """Every series is exported with the labels that are asked for; counters only inside rate()."""
    tree = parse(expr)
    known: set[str] = set(MADE)
    for selector in selectors(tree):
        assert selector.name in exported, f"{selector.name} is not exported"
        assert matched(selector).keys() <= exported[selector.name], selector.name
        known |= exported[selector.name]
    assert grouped(tree) <= known
    inside = {
        id(selector)
        for node in nodes(tree)
        if type(node).__name__ == "Call" and node.func.name in ("rate", "increase")
        for selector in selectors(node)
    }
    rated = sum(1 for s in selectors(tree) if is_counter(s.name))
    assert rated == len(inside), "a counter is read without rate() or increase()"


def is_counter(name: str) -> bool:
    return name.endswith(("_total", "_bucket", "_sum", "_count"))


@pytest.mark.parametrize("name", ["recording", "alerts"])
def test_rules_are_promql_over_what_is_exported(name: str, exported: dict[str, set[str]]) -> None:
    groups = yaml.safe_load((FOLDER / f"prometheus/{name}.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]

    for rule in rules:
        check_names(rule["expr"], exported)
    if name == "recording":
        assert all(re.fullmatch(r"[a-z_]+:\w+:[a-z0-9_]+", r["record"]) for r in rules)


def alert_rules() -> list[Any]:
    groups = yaml.safe_load((FOLDER / "prometheus/alerts.yaml").read_text())["groups"]
    return [pytest.param(r, id=r["alert"]) for group in groups for r in group["rules"]]


@pytest.mark.parametrize("rule", alert_rules())
def test_alerts_say_what_and_what_to_do(rule: Any, exported: dict[str, set[str]]) -> None:
    notes = rule["annotations"]

    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["for"] != "0s"
    assert rule["keep_firing_for"]
    assert len(notes["description"]) > 80
    assert (
        "$value" in notes["description"]
        or rule["expr"].startswith("absent")
        or ("== bool" in rule["expr"] or "parked" in rule["expr"])
    )
    asked = set(re.findall(r"\$labels\.(\w+)", "".join(notes.values())))
    series = {label for s in selectors(parse(rule["expr"])) for label in exported[s.name]}
    assert asked <= (grouped(parse(rule["expr"])) or series)
    check_runbook(notes["runbook_url"])


def check_runbook(url: str) -> None:
    """The page is there, and the heading on it."""
    assert url.startswith(REPOSITORY)
    path, _, anchor = url.removeprefix(f"{REPOSITORY}/").partition("#")
    if "{{" in path:
        for family in families():
            for rule in family.rules:
                page = path.replace("{{ $labels.code }}", rule.code)
                assert (ROOT / page).exists(), page
    else:
        headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(), re.MULTILINE)
        assert anchor in {h.lower().replace(" ", "-") for h in headings}


def test_grafana_has_the_same_alerts() -> None:
    text = (FOLDER / "grafana/provisioning/alerting/spanlint.yaml").read_text()
    managed = [r for group in yaml.safe_load(text)["groups"] for r in group["rules"]]

    assert [r["title"] for r in managed] == [p.id for p in alert_rules()]
    assert len({r["uid"] for r in managed}) == len(managed)
    for rule in managed:
        expr, threshold = rule["data"]
        assert expr["datasourceUid"] == "$SPANLINT_DATASOURCE_UID"
        assert threshold["model"]["expression"] == expr["refId"]
        assert rule["condition"] == threshold["refId"]
        notes = " ".join(rule["annotations"].values())
        assert not re.search(r"(?<!\$)\$(?!\$)", notes), "a single $ is a variable of Grafana's"
        assert "$value " not in notes
        read = json.loads(json.dumps(Rule.from_json(rule), cls=JSONEncoder))
        assert {k for k in rule if k not in read} <= {"keepFiringFor"}


def test_there_is_a_row_and_an_alert_for_each_family_of_the_catalogue() -> None:
    rows = [p["title"] for p in BOARDS["spanlint-findings"]["panels"] if p["type"] == "row"]
    alerts = "".join(p.values[0]["expr"] for p in alert_rules())

    for family in families():
        assert f"{family.words.title} ({family.letter})" in rows
        assert f'code=~"{family.letter}.+"' in alerts


def test_marks_are_set_at_the_time_that_a_finding_changed(exported: dict[str, set[str]]) -> None:
    for board in dashboards():
        for mark in board.annotations:
            check_names(mark.expr, exported)
            assert "timestamp_seconds" in mark.expr
            assert mark.expr.endswith("* 1000")


def test_another_base_for_runbooks_is_everywhere() -> None:
    for name, text in generated("https://docs.example/spanlint").items():
        assert REPOSITORY not in text, name

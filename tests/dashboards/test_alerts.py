"""Every alert fires on what it is for and is silent on what it is not: promtool plays the series."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from _jsonnet import evaluate_file

from dashboards import alerts
from dashboards.families import families
from dashboards.files import generated
from dashboards.model import Alert

FOLDER = Path(__file__).parents[2] / "dashboards" / "generated"
AT = 'job="spanlint", instance="a:9777"'
SPANS = f"spanlint_spans_received_total{{{AT}}}"


@dataclass(frozen=True)
class Play:
    """Series (promtool's notation, a sample a minute) and whether the alert fires at that minute."""

    alert: str
    says: str
    minute: int
    series: dict[str, str]
    fires: bool


def finding(code: str, severity: str, instance: str = "a:9777") -> str:
    return (
        f'spanlint_finding_active{{job="spanlint", instance="{instance}", code="{code}", '
        f'rule="r", service_name="shop", operation="GET /books", fingerprint="f1", '
        f'severity="{severity}"}}'
    )


def plays_of_families() -> list[Play]:
    found = []
    for family in families():
        code, other = family.rules[0].code, "N101" if family.letter != "N" else "F101"
        for alert in alerts.by_family()[families().index(family)]:
            grave = "critical" if alert.severity == "critical" else "warning"
            there = finding(code, grave)
            found += [
                Play(alert.name, "there for long", 20, {there: "1x60"}, fires=True),
                Play(alert.name, "only information", 20, {finding(code, "info"): "1x60"}, False),
                Play(alert.name, "of another family", 20, {finding(other, grave): "1x60"}, False),
                Play(alert.name, "there before its time", 20, {there: "_x20 1x40"}, False),
                Play(alert.name, "no scrape for 3 minutes", 33, {there: "1x29 _x2 1x30"}, True),
                Play(alert.name, "gone for long", 59, {there: "1x20 _x60"}, False),
            ]
    return found


def health(alert: str, *, fires: dict[str, str], silent: dict[str, str], minute: int = 60):
    return [
        Play(alert, "wrong", minute, fires, fires=True),
        Play(alert, "right", minute, silent, fires=False),
    ]


def refused(reason: str) -> str:
    return f'spanlint_requests_refused_total{{{AT}, signal="traces", reason="{reason}"}}'


BLIND = f'spanlint_rule_blind{{{AT}, code="S101", service_name="shop"}}'
LAST = f"spanlint_last_judgement_timestamp_seconds{{{AT}}}"
DROPPED = f'spanlint_forward_dropped_total{{{AT}, signal="traces", reason="queue_full"}}'
LATE = f"spanlint_spans_late_total{{{AT}}}"
LEFT_OUT = f'spanlint_spans_refused_total{{{AT}, reason="bad_id"}}'
FAILING = f'spanlint_rule_failures_total{{{AT}, code="N101"}}'
PARKED = f'spanlint_rule_parked{{{AT}, code="N101"}}'
OPEN = f"spanlint_open_spans{{{AT}}}"
LIMIT = f'spanlint_limit{{{AT}, setting="max_rows"}}'
OVERFLOW = f'spanlint_facts_overflow_total{{{AT}, table="repeats"}}'
BUILD = f'spanlint_build_info{{{AT}, version="1"}}'

PLAYS = [
    *plays_of_families(),
    *health("SpanlintAbsent", fires={"up": "1x60"}, silent={BUILD: "1x60"}),
    *health(
        "SpanlintRefusing",
        fires={refused("overloaded"): "0+5x60"},
        silent={refused("overloaded"): "5x60"},
    ),
    Play("SpanlintRefusing", "a burst", 35, {refused("malformed"): "0x30 90x30"}, fires=False),
    *health("SpanlintNoSpans", fires={SPANS: "9x60"}, silent={SPANS: "0+9x60"}),
    Play("SpanlintNoSpans", "a short pause", 40, {SPANS: "0+9x20 180x30"}, fires=False),
    Play(
        "SpanlintNoSpans",
        "another replica gets them",
        60,
        {SPANS: "9x60", SPANS.replace("a:", "b:"): "0+9x60"},
        fires=False,
    ),
    *health("SpanlintNotJudging", fires={LAST: "0.1x60"}, silent={LAST: "1+60x60"}),
    *health("SpanlintRuleParked", fires={PARKED: "1x60"}, silent={PARKED: "0x60"}),
    *health("SpanlintRuleFailing", fires={FAILING: "0+1x60"}, silent={FAILING: "3x60"}),
    *health("SpanlintBlind", fires={BLIND: "1x120"}, silent={BLIND: "0x120"}, minute=100),
    Play("SpanlintBlind", "blind until warm", 59, {BLIND: "1x50 0x60"}, fires=False),
    *health(
        "SpanlintSpansLate",
        fires={LATE: "0+10x60", SPANS: "0+100x60"},
        silent={LATE: "0+1x60", SPANS: "0+100x60"},
    ),
    *health(
        "SpanlintSpansLeftOut",
        fires={LEFT_OUT: "0+10x60", SPANS: "0+100x60"},
        silent={LEFT_OUT: "0+1x60", SPANS: "0+1000x60"},
    ),
    *health("SpanlintForwardDropping", fires={DROPPED: "0+1x60"}, silent={DROPPED: "7x60"}),
    *health(
        "SpanlintNearLimit",
        fires={OPEN: "900x60", LIMIT: "1000x60"},
        silent={OPEN: "500x60", LIMIT: "1000x60"},
    ),
    *health("SpanlintIncomplete", fires={OVERFLOW: "0+9x90"}, silent={OVERFLOW: "9x90"}, minute=90),
]


def every_alert() -> list[str]:
    return [r.name for group in alerts.groups() for r in group.rules if isinstance(r, Alert)]


@pytest.mark.parametrize("name", every_alert())
def test_each_alert_is_played_firing_and_silent(name: str) -> None:
    assert {p.fires for p in PLAYS if p.alert == name} == {True, False}


@pytest.mark.parametrize("play", PLAYS, ids=lambda p: f"{p.alert}: {p.says}")
def test_alert(play: Play, tmp_path: Path) -> None:
    told = promtool(tmp_path, play)

    assert told == "", told


def promtool(folder: Path, play: Play) -> str:
    """What promtool finds wrong when the play is played; nothing when all is as expected."""
    program = shutil.which("promtool")
    assert program, "promtool is not there: `./dev servers` (Debian package prometheus)"
    firing = f'count(ALERTS{{alertname="{play.alert}", alertstate="firing"}})'
    question: dict[str, Any] = {"expr": firing, "eval_time": f"{play.minute}m"}
    if play.fires:
        question["exp_samples"] = [{"labels": "{}", "value": 1}]
    tests = {
        "rule_files": [str(FOLDER / "prometheus/alerts.yaml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": s, "values": v} for s, v in play.series.items()],
                "promql_expr_test": [question],
            }
        ],
    }
    path = folder / "play.yaml"
    path.write_text(yaml.safe_dump(tests))
    done = subprocess.run(
        [program, "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_three_replicas_that_see_a_finding_are_one_alert(tmp_path: Path) -> None:
    family = families()[0]
    name = alerts.by_family()[0][0].name
    series = {
        finding(family.rules[0].code, "warning", f"{r}:9777"): "1x60" for r in ("a", "b", "c")
    }

    assert promtool(tmp_path, Play(name, "three", 30, series, fires=True)) == ""


@pytest.mark.parametrize("name", ["recording", "alerts"])
def test_promtool_takes_the_rules(name: str) -> None:
    done = run("promtool", "check", "rules", str(FOLDER / f"prometheus/{name}.yaml"))

    assert done.returncode == 0, done.stderr


def test_amtool_takes_the_example() -> None:
    done = run("amtool", "check-config", str(FOLDER / "alertmanager/example.yaml"))

    assert done.returncode == 0, done.stderr


def test_the_operators_resource_has_the_same_rules() -> None:
    resource = yaml.safe_load((FOLDER / "prometheus/prometheusrule.yaml").read_text())

    assert resource["kind"] == "PrometheusRule"
    assert resource["spec"]["groups"] == [*groups("recording"), *groups("alerts")]


def test_the_mixin_gives_dashboards_rules_and_alerts_of_a_configuration(tmp_path: Path) -> None:
    wrapper = tmp_path / "mine.jsonnet"
    wrapper.write_text(
        f"(import '{FOLDER}/mixin/mixin.libsonnet')"
        " { _config+:: { docs: 'https://docs.example', labels: { team: 'shop' } } }"
        " + { all: { d: $.grafanaDashboards, r: $.prometheusRules, a: $.prometheusAlerts } }"
    )

    made = json.loads(evaluate_file(str(wrapper)))["all"]

    assert made["r"]["groups"] == groups("recording")
    assert {f"grafana/{n}" for n in made["d"]} == {
        n for n in generated() if n.startswith("grafana/") and n.endswith(".json")
    }
    rules = [r for g in made["a"]["groups"] for r in g["rules"]]
    assert [r["alert"] for r in rules] == every_alert()
    assert all(r["labels"]["team"] == "shop" for r in rules)
    assert all(r["annotations"]["runbook_url"].startswith("https://docs.example/") for r in rules)
    assert all(r["labels"]["severity"] for r in rules)


def groups(name: str) -> list[Any]:
    return list(yaml.safe_load((FOLDER / f"prometheus/{name}.yaml").read_text())["groups"])


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)

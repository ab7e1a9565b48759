"""The example for Alertmanager, at work: what is worse silences what follows from it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from dashboards.alertmanager import EXAMPLE
from dashboards.watch.servers import alertmanager_with, wait

PATIENCE_S = 60


@pytest.fixture(scope="module")
def alerts_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with alertmanager_with(tmp_path_factory.mktemp("alertmanager"), EXAMPLE) as at:
        yield f"http://{at}/api/v2/alerts"


def finding(name: str, family: str, severity: str, service: str, operation: str) -> dict[str, str]:
    return {
        "alertname": name,
        "family": family,
        "severity": severity,
        "service_name": service,
        "operation": operation,
    }


CRITICAL = finding("SpanlintFailureSpreadsCritical", "F", "critical", "shop", "GET /basket")
CALM = {"alertname": "SpanlintNotJudging", "severity": "critical", "job": "spanlint"}
CASES = {
    "the same operation, less severe": (
        CRITICAL,
        finding("SpanlintFailureSpreads", "F", "warning", "shop", "GET /basket"),
        True,
    ),
    "what a failing service repeats": (
        CRITICAL,
        finding("SpanlintRepeatedWork", "N", "warning", "shop", "GET /books"),
        True,
    ),
    "another service": (
        CRITICAL,
        finding("SpanlintRepeatedWork", "N", "warning", "search", "GET /books"),
        False,
    ),
    "another operation of the same family": (
        CRITICAL,
        finding("SpanlintFailureSpreads", "F", "warning", "shop", "GET /front"),
        False,
    ),
    "what is old when nothing is judged": (
        CALM,
        {"alertname": "SpanlintBlind", "severity": "info", "job": "spanlint"},
        True,
    ),
    "another spanlint": (
        CALM,
        {"alertname": "SpanlintBlind", "severity": "info", "job": "other"},
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_worse_silences_what_follows_from_it(name: str, alerts_at: str) -> None:
    source, target, silent = CASES[name]
    sent = [{"labels": {**labels, "case": name}} for labels in (source, target)]
    httpx.post(alerts_at, json=sent).raise_for_status()

    def inhibited() -> dict[str, bool]:
        found = httpx.get(alerts_at, params={"filter": f'case="{name}"'}).json()
        return {a["labels"]["alertname"]: bool(a["status"]["inhibitedBy"]) for a in found}

    assert wait(lambda: len(inhibited()) == 2, PATIENCE_S)
    assert wait(lambda: inhibited()[target["alertname"]] is silent, PATIENCE_S)
    assert not inhibited()[source["alertname"]]

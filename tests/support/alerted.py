"""Alerts seen live: bad forms until Alertmanager has told of each, good ones until each is over."""

from __future__ import annotations

from pathlib import Path

from dashboards.watch.servers import Notice
from support.playing import playing
from support.watched import Watched
from zoo.forms.caches import zipf
from zoo.forms.state import INSTANCES
from zoo.model import Form, Part
from zoo.world import Send, World, all_servers

PATIENCE_S = 90
LATER = {"Findings resolved"}
"""What has an answer only after the good form."""
DRAWN = {
    "N101": ("SpanlintRepeatedWork", "warning", "shop", "GET /books"),
    "C101": ("SpanlintCacheMisuse", "warning", "shop", "GET /start"),
    "F101": ("SpanlintFailureSpreadsCritical", "critical", "postgresql", "SELECT products"),
}
"""What is alerted while the bad forms of `watched` are fed: alert, severity, service, operation."""
PLAYED = ("SpanlintStateInOneProcess", "warning", "stock", "GET /products/{id}")
"""The same of S101, which takes real instances."""

Told = tuple[Notice | None, Notice | None]
"""Firing and resolved, as Alertmanager sent them."""


def _labels(code: str, expected: tuple[str, ...]) -> dict[str, str]:
    names = ("alertname", "severity", "service_name", "operation")
    return {"code": code, **dict(zip(names, expected, strict=True))}


def drawn_alerts(running: Watched) -> dict[str, Told]:
    """Code -> what was told: first of the bad forms, then of the good ones."""
    inbox = running.inbox
    wanted = {code: _labels(code, expected) for code, expected in DRAWN.items()}
    fired = {c: inbox.wait_for("firing", PATIENCE_S, **labels) for c, labels in wanted.items()}
    running.good = True
    return {
        code: (fired[code], inbox.wait_for("resolved", 2 * PATIENCE_S, **labels))
        for code, labels in wanted.items()
    }


def played_alert(running: Watched, folder: Path) -> Told:
    """S101: three instances behind a balancer, with a dictionary each, then in front of Redis."""
    labels, otlp = _labels("S101", PLAYED), running.served.otlp_http
    with all_servers(folder, broker=False) as shared:
        with playing(_instances("dict"), shared, folder, otlp):
            fired = running.inbox.wait_for("firing", PATIENCE_S, **labels)
        with playing(_instances("redis"), shared, folder, otlp):
            return fired, running.inbox.wait_for("resolved", 2 * PATIENCE_S, **labels)


def _instances(routes: str) -> Form:
    stock = Part("stock", f"state.{routes}", INSTANCES)
    return Form(f"stock_{routes}", "bad", "", (stock,), _steadily)


def _steadily(world: World) -> None:
    """Each of some fifty products often enough to meet every instance, and again."""
    ids = zipf(world, 200, distinct=45, skew=0.2)
    world.send([Send("GET", f"/products/{i}") for i in ids], rate=50)

"""Writes the tables of docs/dashboards.md: what each query returns, which alerts were seen.

`PATH="$(./dev servers):$PATH" .venv/bin/python tests/dashboards/report.py`, some minutes. Everything
is real: the spans are sent to a spanlint that a Prometheus scrapes, which tells an Alertmanager.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
PAGE = ROOT / "docs" / "dashboards.md"
BEGIN, END = "<!-- seen: written by `python tests/dashboards/report.py` -->", "<!-- /seen -->"


def main() -> None:
    from support.alerted import drawn_alerts, played_alert
    from support.watched import watched

    with tempfile.TemporaryDirectory() as name, watched(Path(name)) as running:
        folder = Path(name) / "zoo"
        folder.mkdir()
        counted = dict(counts(running, later=False))
        live = {"S101": played_alert(running, folder), **drawn_alerts(running)}
        counted |= dict(counts(running, later=True))
    text = "\n".join([BEGIN, *alert_rows(live), "", *query_rows(counted), END])
    pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: text, PAGE.read_text("utf-8")), "utf-8")
    print(text)


def counts(running: Any, *, later: bool) -> Iterator[tuple[Any, int]]:
    """Series that each query returns, the good forms before or behind us."""
    from dashboards.watch.questions import questions
    from support.alerted import LATER, PATIENCE_S

    for question in questions():
        if (question.what in LATER) is later:
            yield question, len(running.prometheus.wait_for(question.expr, PATIENCE_S))


def query_rows(counted: dict[Any, int]) -> Iterator[str]:
    from dashboards.watch.questions import questions

    yield "| dashboard | panel and query | series |\n|---|---|---|"
    for question in questions():
        yield f"| {question.where} | {question.what} | {counted[question]} |"


def alert_rows(live: dict[str, Any]) -> Iterator[str]:
    """Plays of promtool that are as expected, by alert, and what Alertmanager was seen to send."""
    plays = _plays()
    seen: dict[str, list[str]] = {}
    for code, (fired, resolved) in sorted(live.items()):
        name = fired["labels"]["alertname"] if fired else "none"
        seen.setdefault(name, []).append(f"{code} fired{', resolved' if resolved else ''}")
    yield "| alert | in unit tests | live |\n|---|---|---|"
    for name in plays.every_alert():
        own = [play for play in plays.PLAYS if play.alert == name]
        with tempfile.TemporaryDirectory() as folder:
            right = [play for play in own if plays.promtool(Path(folder), play) == ""]
        fires = sum(play.fires for play in right)
        told = f"fires in {fires}, silent in {len(right) - fires}"
        yield f"| {name} | {told} | {'; '.join(seen.get(name, ['–']))} |"


def _plays() -> Any:
    path = Path(__file__).with_name("test_alerts.py")
    spec = importlib.util.spec_from_file_location("test_alerts", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()

"""Every question that the dashboards and rules ask, ready for a Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dashboards import recording
from dashboards.catalogue import dashboards
from dashboards.model import Recording

RATE_INTERVAL = "1m"
RANGE = "1h"


@dataclass(frozen=True, slots=True)
class Question:
    """A query of a panel, choice, mark or rule, with Grafana's variables filled in."""

    where: str
    what: str
    expr: str


def filled(expr: str) -> str:
    """A query as Grafana sends it when everything is chosen."""
    ranges = expr.replace("$__rate_interval", RATE_INTERVAL).replace("$__range", RANGE)
    return re.sub(r"\$(?!\d)(\w+)", lambda v: ".*" if v[1] == "red_job" else ".+", ranges)


def questions() -> Iterator[Question]:
    """All of them, in the order of dashboards, panels and rules."""
    for board in dashboards():
        for panel in board.panels():
            for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
                more = f" {letter}" if len(panel.queries) > 1 else ""
                yield Question(board.title, f"{panel.title}{more}", filled(query.expr))
    for mark in dashboards()[0].annotations:
        yield Question("marks on graphs", mark.name, filled(mark.expr))
    for group in recording.GROUPS:
        for rule in group.rules:
            if isinstance(rule, Recording):
                yield Question("recording rules", rule.record, rule.record)

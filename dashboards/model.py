"""What a dashboard is made of, apart from how Grafana writes it down.

Panels are data: the JSON, the test that runs every query on a real Prometheus and the page that
draws them for review all read the same objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["stat", "timeseries", "table", "bargauge", "nodeGraph"]
Color = Literal["green", "yellow", "orange", "red", "blue", "text"]

WIDTH = 24
"""Columns of Grafana's grid."""
SEVERITIES: tuple[tuple[str, Color], ...] = (
    ("critical", "red"),
    ("warning", "orange"),
    ("info", "blue"),
)
"""Severities of findings and their colours, everywhere."""


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL with Grafana's variables in it.

    legend: as Grafana's legendFormat. instant: one value now instead of a range. exemplar: show the
    trace ids that came with the samples.
    """

    expr: str
    legend: str = ""
    instant: bool = False
    exemplar: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """Where a click on a value leads; `url` may use Grafana's variables, `${__data.fields.x}`."""

    title: str
    url: str
    new_tab: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the field it shows, its heading, unit and links."""

    field: str
    title: str
    unit: str = ""
    link: Link | None = None
    width: int = 0
    colored: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `description` says what it shows and what to do when it is red.

    unit: Grafana's id of a unit. thresholds: (from value, color), the first from nothing. columns:
    of a table, in order; fields that are not among them are hidden. join: the field by which the
    queries of a table are joined. sort: heading of the column by which a table is sorted, the
    largest first. colors: of series, by their names. empty: what to read when there is nothing.
    """

    title: str
    description: str
    kind: Kind
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 8
    height: int = 8
    thresholds: tuple[tuple[float | None, Color], ...] = ((None, "text"),)
    stacked: bool = False
    maximum: float | None = None
    columns: tuple[Column, ...] = ()
    join: str = ""
    sort: str = ""
    colors: tuple[tuple[str, Color], ...] = ()
    links: tuple[Link, ...] = ()
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels under it."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard.

    query: PromQL for `label_values`, a plugin for kind datasource, the values for kind custom.
    every: what `All` stands for in a matcher.
    """

    name: str
    label: str
    kind: Literal["datasource", "query", "custom", "textbox"]
    query: str
    every: str = ".+"
    several: bool = True
    description: str = ""


@dataclass(frozen=True, slots=True)
class Annotation:
    """Marks on all graphs of a dashboard; the value of a sample is its time in ms."""

    name: str
    expr: str
    title: str
    text: str
    color: Color


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard: what Grafana calls title and uid, choices, and rows of panels."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    annotations: tuple[Annotation, ...] = ()
    hours: int = 6
    tags: tuple[str, ...] = field(default=("spanlint",))

    def panels(self) -> Iterator[Panel]:
        """All panels, in order."""
        for row in self.rows:
            yield from row.panels


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule, named level:metric:operations."""

    record: str
    expr: str
    description: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert rule.

    hold: how long it must be true first. keep: how long it goes on firing when it is not true any
    more, against flapping. labels of the result that identify it come from `expr`. annotations are
    Go templates of Prometheus. meaning: what it says and what to do, without values.
    """

    name: str
    expr: str
    hold: str
    keep: str
    severity: Literal["info", "warning", "critical"]
    summary: str
    description: str
    runbook: str
    meaning: str = ""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together."""

    name: str
    rules: tuple[Recording | Alert, ...]

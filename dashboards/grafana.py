"""Dashboards as Grafana 11 and 12 read them (schema version 39, which newer ones migrate)."""

from __future__ import annotations

import json
from typing import Any

from dashboards.model import (
    SEVERITIES,
    WIDTH,
    Annotation,
    Column,
    Dashboard,
    Link,
    Panel,
    Query,
    Variable,
)

SCHEMA_VERSION = 39
"""Of Grafana 11.0: the lowest that is served; 11.x and 12 migrate upwards when they load it."""
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_LETTERS = "ABCDEFGH"

Json = dict[str, Any]


def as_json(dashboard: Dashboard, docs: str) -> str:
    """The dashboard as the file that Grafana provisions. docs: base URL of the repository."""
    text = json.dumps(_dashboard(dashboard), indent=2, ensure_ascii=False)
    return text.replace("{docs}", docs) + "\n"


def _dashboard(dashboard: Dashboard) -> Json:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": list(dashboard.tags),
        "timezone": "browser",
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA_VERSION,
        "refresh": "30s",
        "time": {"from": f"now-{dashboard.hours}h", "to": "now"},
        "annotations": {"list": [_annotation(a) for a in dashboard.annotations]},
        "links": [_navigation()],
        "templating": {"list": [_variable(v) for v in dashboard.variables]},
        "panels": _laid_out(dashboard),
    }


def _navigation() -> Json:
    return {
        "title": "spanlint",
        "type": "dashboards",
        "icon": "external link",
        "tooltip": "",
        "url": "",
        "tags": ["spanlint"],
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }


def _laid_out(dashboard: Dashboard) -> list[Json]:
    """Rows and panels with ids and places: left to right, a new line when one is full."""
    found: list[Json] = []
    y = 0
    for row in dashboard.rows:
        found.append(_row(row.title, len(found) + 1, y))
        y += 1
        x = height = 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            found.append(_panel(panel, len(found) + 1, place))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return found


def _row(title: str, number: int, y: int) -> Json:
    place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
    return {
        "type": "row",
        "id": number,
        "title": title,
        "collapsed": False,
        "gridPos": place,
        "panels": [],
    }


def _panel(panel: Panel, number: int, place: Json) -> Json:
    return {
        "type": panel.kind,
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": [
            _target(panel, query, letter)
            for query, letter in zip(panel.queries, _LETTERS, strict=False)
        ],
        "transformations": _transformations(panel),
        "options": _options(panel),
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
    }


def _target(panel: Panel, query: Query, letter: str) -> Json:
    return {
        "refId": letter,
        "datasource": _SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": query.instant,
        "range": not query.instant,
        "exemplar": query.exemplar,
        "editorMode": "code",
        "format": "table" if panel.kind in ("table", "nodeGraph") else "time_series",
    }


def _defaults(panel: Panel) -> Json:
    thresholds = [{"value": value, "color": color} for value, color in panel.thresholds]
    graded = len(thresholds) > 1
    found: Json = {
        "unit": panel.unit,
        "min": 0,
        "noValue": panel.empty or "0",
        "thresholds": {"mode": "absolute", "steps": thresholds},
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
        "custom": _custom(panel, graded=graded),
    }
    if panel.maximum is not None:
        found["max"] = panel.maximum
    return found


def _custom(panel: Panel, *, graded: bool) -> Json:
    match panel.kind:
        case "timeseries":
            return {
                "drawStyle": "line",
                "lineInterpolation": "stepAfter" if panel.stacked else "linear",
                "lineWidth": 1,
                "fillOpacity": 40 if panel.stacked else 10,
                "showPoints": "never",
                "spanNulls": False,
                "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if graded else "off"},
            }
        case "table":
            return {"align": "auto", "filterable": True, "cellOptions": {"type": "auto"}}
        case _:
            return {}


def _options(panel: Panel) -> Json:
    reduced = {"values": False, "calcs": ["lastNotNull"], "fields": ""}
    match panel.kind:
        case "stat":
            return {
                "reduceOptions": reduced,
                "colorMode": "background",
                "graphMode": "none",
                "textMode": "value",
                "justifyMode": "auto",
                "orientation": "auto",
                "wideLayout": True,
            }
        case "bargauge":
            return {
                "reduceOptions": reduced,
                "displayMode": "gradient",
                "orientation": "horizontal",
                "showUnfilled": True,
                "valueMode": "color",
                "minVizWidth": 8,
                "minVizHeight": 16,
            }
        case "table":
            # A join keeps no order, so that the table has to sort by itself.
            order = [{"displayName": panel.sort, "desc": True}] if panel.sort else []
            return {"showHeader": True, "cellHeight": "sm", "sortBy": order}
        case "nodeGraph":
            return {"edges": {}, "nodes": {}}
        case _:
            return {
                "legend": {
                    "displayMode": "table",
                    "placement": "bottom",
                    "showLegend": True,
                    "calcs": ["lastNotNull", "max"],
                },
                "tooltip": {"mode": "multi", "sort": "desc"},
            }


def _transformations(panel: Panel) -> list[Json]:
    """A table's queries become one frame with the columns in their order, the others hidden."""
    if not panel.columns:
        return []
    joined: Json = {"id": "merge", "options": {}}
    if panel.join:
        joined = {"id": "joinByField", "options": {"byField": panel.join, "mode": "outer"}}
    kept = {c.field for c in panel.columns}
    found = [joined] if len(panel.queries) > 1 else []
    names = [c.field for c in panel.columns]
    found.append({"id": "filterFieldsByName", "options": {"include": {"names": sorted(kept)}}})
    organize = {
        "indexByName": {name: place for place, name in enumerate(names)},
        "excludeByName": {},
        "renameByName": {},
    }
    return [*found, {"id": "organize", "options": organize}]


def _overrides(panel: Panel) -> list[Json]:
    if panel.kind == "table":
        return [_override(c.field, _properties(c)) for c in panel.columns]
    found = [
        _override(name, {"color": {"mode": "fixed", "fixedColor": color}})
        for name, color in panel.colors
    ]
    if panel.links:
        found.append(_override("trace_id", {"links": [_link(link) for link in panel.links]}))
    return found


def _override(name: str, properties: Json) -> Json:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def _properties(column: Column) -> Json:
    found: Json = {"displayName": column.title}
    if column.unit:
        found["unit"] = column.unit
    if column.width:
        found["custom.width"] = column.width
    if column.link:
        found["links"] = [_link(column.link)]
    if column.colored:
        found["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
        if column.unit:
            found["color"] = {"mode": "thresholds"}
        else:
            found["mappings"] = [_severities()]
    return found


def _severities() -> Json:
    options = {
        name: {"color": color, "index": index} for index, (name, color) in enumerate(SEVERITIES)
    }
    return {"type": "value", "options": options}


def _link(link: Link) -> Json:
    return {"title": link.title, "url": link.url, "targetBlank": link.new_tab}


def _variable(variable: Variable) -> Json:
    found: Json = {
        "name": variable.name,
        "label": variable.label,
        "description": variable.description,
        "hide": 0,
        "skipUrlSync": False,
    }
    match variable.kind:
        case "datasource":
            more: Json = {
                "type": "datasource",
                "query": variable.query,
                "refresh": 1,
                "regex": "",
                "multi": False,
                "includeAll": False,
                "options": [],
            }
        case "textbox":
            value = {"text": variable.query, "value": variable.query}
            more = {"type": "textbox", "query": variable.query, "current": value}
        case "custom":
            more = {"type": "custom", "query": variable.query, **_several(variable)}
        case _:
            more = {
                "type": "query",
                "datasource": _SOURCE,
                "definition": variable.query,
                "query": {"query": variable.query, "refId": f"variable-{variable.name}"},
                "refresh": 2,
                "sort": 1,
                "regex": "",
                **_several(variable),
            }
    return found | more


def _several(variable: Variable) -> Json:
    return {
        "multi": variable.several,
        "includeAll": True,
        "allValue": variable.every,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _annotation(annotation: Annotation) -> Json:
    return {
        "name": annotation.name,
        "enable": True,
        "hide": False,
        "datasource": _SOURCE,
        "iconColor": annotation.color,
        "expr": annotation.expr,
        "titleFormat": annotation.title,
        "textFormat": annotation.text,
        "step": "60s",
        "useValueForTime": True,
    }

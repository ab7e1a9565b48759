"""PromQL as trees: which series, labels and ranges a query is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser

VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$__interval": "1m"}


def parse(expr: str, variables: dict[str, str] | None = None) -> Any:
    """The tree of a query with Grafana's variables filled in."""
    return promql_parser.parse(filled(expr, variables))


def filled(expr: str, variables: dict[str, str] | None = None) -> str:
    """The query with Grafana's variables replaced: ranges, and `.+` for choices."""
    for name, value in {**VARIABLES, **(variables or {})}.items():
        expr = expr.replace(name, value)
    return re.sub(r"\$(?!\d)\w+", ".+", expr)


def nodes(tree: Any) -> Iterator[Any]:
    """Every node of the tree, the outermost first."""
    yield tree
    for name in ("lhs", "rhs", "expr", "param", "vector_selector"):
        below = getattr(tree, name, None)
        if below is not None and type(below).__module__ == "promql_parser":
            yield from nodes(below)
    for below in getattr(tree, "args", None) or ():
        yield from nodes(below)


def selectors(tree: Any) -> list[Any]:
    """The vector selectors of a tree."""
    return [node for node in nodes(tree) if type(node).__name__ == "VectorSelector"]


def matched(selector: Any) -> dict[str, list[str]]:
    """Label -> values that it is matched with."""
    found: dict[str, list[str]] = {}
    for matcher in selector.matchers.matchers:
        found.setdefault(matcher.name, []).append(matcher.value)
    return found


def grouped(tree: Any) -> set[str]:
    """Labels that anything in the tree is grouped by or joined on."""
    labels: set[str] = set()
    for node in nodes(tree):
        modifier = getattr(node, "modifier", None)
        for part in (modifier, getattr(modifier, "matching", None)):
            labels.update(getattr(part, "labels", None) or ())
        labels.update(getattr(modifier, "group_labels", None) or ())
    return labels

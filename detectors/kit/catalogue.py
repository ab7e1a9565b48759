"""Finds the rules and the facts tables: every file of `detectors/` and of `detectors/facts/`.

A rule file ends in `RULE: Rule = …`, a facts file in `TABLE: FactsTable = …`. Two rules of one
code, or a rule that needs a table that is not there, are refused when the catalogue is made.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import detectors
import detectors.facts
from detectors.kit.contract import FactsTable, Rule


class CatalogueError(Exception):
    """The folder holds something that is not a rule or a facts table."""


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule, by code."""
    found: dict[str, Rule] = {}
    for name in _modules(detectors.__path__):
        rule = getattr(importlib.import_module(f"detectors.{name}"), "RULE", None)
        if not isinstance(rule, Rule):
            raise CatalogueError(f"detectors/{name}.py does not end in `RULE: Rule = …`")
        if rule.code in found:
            raise CatalogueError(f"{rule.code} is both {found[rule.code].name} and {rule.name}")
        unknown = set(rule.needs) - {t.name for t in tables()}
        if unknown:
            raise CatalogueError(f"{rule.code} needs unknown facts tables {sorted(unknown)}")
        found[rule.code] = rule
    return tuple(found[c] for c in sorted(found))


@cache
def tables() -> tuple[FactsTable, ...]:
    """Every facts table, by name."""
    found: dict[str, FactsTable] = {}
    for name in _modules(detectors.facts.__path__):
        table = getattr(importlib.import_module(f"detectors.facts.{name}"), "TABLE", None)
        if not isinstance(table, FactsTable):
            raise CatalogueError(f"detectors/facts/{name}.py does not end in `TABLE: FactsTable`")
        found[table.name] = table
    return tuple(found[n] for n in sorted(found))


def _modules(path: object) -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(list(path)) if not m.ispkg)  # type: ignore[call-overload]

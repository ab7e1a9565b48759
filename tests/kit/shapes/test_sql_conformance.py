"""The official cases of OpenTelemetry's semantic conventions, read in place where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detectors.kit.shapes.sql import sanitize, shape_statement

_PLACE = Path("shared/spans/db-sql-test-cases.json")


def _cases() -> list[dict[str, dict[str, str]]]:
    for folder in Path(__file__).resolve().parents:
        if (folder / _PLACE).is_file():
            cases: list[dict[str, dict[str, str]]] = json.loads((folder / _PLACE).read_text())
            return cases
    return []


def test_all_official_cases_are_accepted() -> None:
    cases = _cases()
    if not cases:
        pytest.skip(f"{_PLACE} is in no folder above this repository")
    refused = []
    for case in cases:
        system, query = case["input"]["db.system.name"], case["input"]["query"]
        expected = case["expected"]
        got = sanitize(query, system), shape_statement(query, system).summary
        if got[0] not in expected["db.query.text"] or got[1] != expected["db.query.summary"]:
            refused.append((case["name"], got))
    assert not refused
    assert len(cases) >= 24

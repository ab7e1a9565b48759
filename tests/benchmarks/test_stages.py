"""The figures of the stages can be taken: what they run is the code that is there now."""

from __future__ import annotations

from benchmarks.bodies import make_bodies
from benchmarks.flow import prepare
from benchmarks.stages import stage_figures
from detectors.kit.catalogue import rules, tables


def test_every_stage_table_and_rule_has_a_figure() -> None:
    figures = list(stage_figures(prepare(make_bodies(6, 128)), "reference", 1))

    named = {figure.name.strip() for figure in figures}
    assert {"decode, reference", "structure and repairs", "observe, all tables", "merge"} <= named
    assert {table.name for table in tables()} <= named
    assert {f"{rule.code} {rule.name}" for rule in rules()} <= named
    measured = [f for f in figures if f.group != "tables"]  # differences, which may be negative
    assert all(value > 0 for figure in measured for value in figure.values)

"""`ls detectors/` is the catalogue: each file a documented rule, and nothing else needs an edit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from collector.pages import page
from detectors.kit.catalogue import rules, tables
from detectors.kit.contract import FactsTable, Rule

ROOT = Path(__file__).parents[2]
FILES = sorted(p for p in (ROOT / "detectors").glob("*.py") if p.name != "__init__.py")
SECTIONS = (
    "What it does",
    "Why is this bad?",
    "Example",
    "How it decides",
    "Not flagged",
    "References",
)
"""Of a rule's docstring; its options are its knobs, and written from them."""

DROPPED = '''\
"""busy-operation: an operation that is asked for often.

What it does
    Finds operations.

Why is this bad?
    It is not.

Example
    Any.

How it decides
    By `min_entries`.

Not flagged
    Fewer.

References
    None.
"""

from __future__ import annotations

from dataclasses import dataclass

from detectors.kit.contract import (
    Context, Explanation, FactsView, Finding, Rule, Scope, Verdict, Visibility,
)
from detectors.kit.knobs import knob


class BusyOperation:
    """X901: for a test."""

    code = "X901"
    name = "busy-operation"
    scope: Scope = "local"
    needs = ("entries",)

    @dataclass(frozen=True, slots=True)
    class Settings:
        """Knobs of X901."""

        min_entries: int = knob(2, "entries from which on it is busy", low=1)

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        found, seen = [], []
        grouped = facts.table("entries").group_by("service", "entry_label").sum()
        for row in grouped.iter_rows(named=True):
            service, operation = facts.text(row["service"]), facts.text(row["entry_label"])
            seen.append(Visibility(self.code, service, "seen", "entries"))
            if row["entries"] >= context.settings(self, service, operation).min_entries:
                found.append(Finding(
                    self.code, self.name, "warning", "local", "observed", "", service, None,
                    operation, "entries", row["entries"], row["entries"], 0, 1, 2, "f" * 16, (), (),
                ))
        return Verdict(tuple(found), tuple(seen))

    def explain(self, finding: Finding) -> Explanation:
        return Explanation(f"{finding.operation} is busy", "It was counted.", "Rest.")


RULE: Rule = BusyOperation()
'''
DRAWN = """\
# Twice
traces 2
shop  GET /books  0..20
=> X901 shop "GET /books" entries

# Once
shop  GET /books  0..20
=> nothing
"""
EXPOSED = """\
from collector.expose.metrics import render
from collector.expose.source import Snapshot
print(render(Snapshot("1", {}, [], [], {}), "")[0].decode())
"""


def rule_id(rule: Rule) -> str:
    return rule.code


def test_every_file_is_a_rule_named_as_it_is() -> None:
    assert {rule.name.replace("-", "_") for rule in rules()} == {path.stem for path in FILES}
    assert all(re.fullmatch(r"[A-Z]\d{3}", rule.code) for rule in rules())


def test_every_file_of_facts_is_a_table_named_as_it_is() -> None:
    files = {p.stem for p in (ROOT / "detectors" / "facts").glob("*.py")} - {"__init__"}

    assert {table.name for table in tables()} == files


@pytest.mark.parametrize("rule", rules(), ids=rule_id)
def test_every_rule_is_documented_whole(rule: Rule) -> None:
    shown = page(rule)

    sections = dict(shown.sections)
    assert [heading for heading in sections if heading in SECTIONS] == list(SECTIONS)
    assert all(sections.values())
    assert "https://" in sections["References"]
    assert re.search(r"(?i)\bbetter\b", sections["Example"]), "the better form stands there too"
    assert shown.knobs


@pytest.mark.parametrize("rule", rules(), ids=rule_id)
def test_every_rule_keeps_the_contract(rule: Rule) -> None:
    assert isinstance(rule, Rule)
    assert rule.Settings() == rule.Settings()
    assert set(rule.needs) <= {table.name for table in tables()}
    assert len(rule.needs) == len(set(rule.needs)) > 0


@pytest.mark.parametrize("table", tables(), ids=lambda t: t.name)
def test_every_table_keeps_the_contract(table: FactsTable) -> None:
    assert isinstance(table, FactsTable)
    assert table.max_rows > 0
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    assert all(column.meaning for column in table.columns)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and what tests and docs need, with one file and one drawing more."""
    folder = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    for name in ("collector", "detectors", "dashboards", "tests/detectors", "tests/support"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "detectors" / "busy_operation.py").write_text(DROPPED)
    (folder / "tests" / "detectors" / "busy_operation.trace").write_text(DRAWN)
    return folder


def ran(folder: Path, *arguments: str) -> str:
    """What `python ARGUMENTS` prints there; the copy is imported, not the checkout."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_dropped_file_is_in_the_catalogue(copy: Path) -> None:
    assert str(copy) in ran(copy, "-c", "import detectors; print(detectors.__file__)")
    assert "X901  busy-operation" in ran(copy, "-m", "collector.cli.main", "rules")
    explained = ran(copy, "-m", "collector.cli.main", "explain", "X901")
    assert "min_entries = 2: entries from which on it is busy" in explained


def test_a_dropped_file_is_in_the_docs(copy: Path) -> None:
    ran(copy, "-m", "collector.docs")

    row = "| [X901](docs/rules/X901.md) | busy-operation | local | an operation that is asked"
    assert row in (copy / "README.md").read_text()
    assert "min_entries" in (copy / "docs" / "settings.md").read_text()
    assert "## How it decides" in (copy / "docs" / "rules" / "X901.md").read_text()


def test_a_dropped_file_is_in_the_metrics(copy: Path) -> None:
    shown = ran(copy, "-c", EXPOSED)

    line = 'spanlint_rule_info{code="X901",family="X",rule="busy-operation",scope="local"} 1.0'
    assert line in shown


def test_a_dropped_file_and_its_drawing_are_tested(copy: Path) -> None:
    told = ran(copy, "-m", "pytest", "-q", "tests/detectors/test_traces.py", "-k", "X901 or busy")

    assert "3 passed" in told


def test_a_dropped_file_that_is_no_rule_is_refused(copy: Path) -> None:
    stray = copy / "detectors" / "stray.py"
    stray.write_text('"""Not a rule."""\n')
    done = subprocess.run(
        [sys.executable, "-m", "collector.cli.main", "rules"],
        capture_output=True,
        text=True,
        cwd=copy,
        check=False,
    )
    stray.unlink()

    assert done.returncode == 2
    assert "detectors/stray.py does not end in `RULE: Rule = …`" in done.stderr


def test_a_double_code_is_refused(copy: Path) -> None:
    twin = copy / "detectors" / "busier_operation.py"
    twin.write_text(DROPPED.replace("busy-operation", "busier-operation"))
    done = subprocess.run(
        [sys.executable, "-m", "collector.cli.main", "rules"],
        capture_output=True,
        text=True,
        cwd=copy,
        check=False,
    )
    twin.unlink()

    assert done.returncode == 2
    assert "X901 is both" in done.stderr

"""The tree itself: functions fit on a screen, files take one sitting, nothing is left to do."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_FUNCTION_LINES = 60
MOST_FILE_LINES = 400
LONGER = {
    "tests/decode/test_languages.py": "one table: a span of each language, and its columns",
}
"""Files that may be longer, each with its reason."""


def _tracked() -> list[Path]:
    """Python files of the checkout; of the folders themselves where there is no git."""
    folders = ("collector", "detectors", "dashboards", "tests", "benchmarks", "deploy")
    command = ["git", "ls-files", "-co", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / name for name in listed.stdout.split() if (ROOT / name).exists()]
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py")]


FILES = sorted(_tracked())


def test_the_files_are_found() -> None:
    names = {str(path.relative_to(ROOT)) for path in FILES}

    assert {"collector/service.py", "detectors/n_plus_one_query.py", "tests/test_tree.py"} <= names


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines} lines"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MOST_FUNCTION_LINES
    ]

    assert not long, "\n".join(long)


def test_files_take_one_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in FILES
        if (lines := path.read_text("utf-8").count("\n")) > MOST_FILE_LINES
    }

    assert long.keys() <= LONGER.keys(), long


@pytest.mark.parametrize("name", LONGER)
def test_exceptions_are_needed(name: str) -> None:
    assert (ROOT / name).read_text("utf-8").count("\n") > MOST_FILE_LINES, "take it off the list"


def test_nothing_is_left_to_do() -> None:
    mark = re.compile("#.*\\b(TO" + "DO|FIX" + "ME|X" + "XX)\\b")
    left = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in FILES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if mark.search(line)
    ]

    assert not left


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in FILES
        if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]

    assert not silent

"""Generated pages are what the code says, and every command and option is in them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from collector.cli.main import app
from collector.docs import generated
from support.commands import ROOT

COMMANDS = list(app.commands)


def test_generated_files_are_up_to_date() -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in generated(ROOT).items()
        if not path.exists() or path.read_text("utf-8") != text
    ]

    assert not stale, "run `python -m collector.docs`"


def test_no_page_is_left_of_a_rule_that_is_gone() -> None:
    assert {p.name for p in (ROOT / "docs" / "rules").iterdir()} == {
        path.name for path in generated(ROOT) if path.parent.name == "rules"
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_documented(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "collector.cli.main", command, "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    section = page.split(f"## spanlint {command}\n")[1].split("\n## ")[0]

    options = set(re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)", done.stdout, re.MULTILINE)) - {"--help"}

    assert all(f"`{option}`" in section for option in options), options

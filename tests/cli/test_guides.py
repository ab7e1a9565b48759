"""What the guides tell people to type, set, look at and click is there."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from collector.cli.main import app
from collector.expose.metrics import COUNTERS, GAUGES, HISTOGRAMS, PLAIN_GAUGES, STAGES
from collector.settings import Settings, load
from support.commands import ROOT

GUIDES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "deploy" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
COMMANDS = set(app.commands)
OPERATING = (ROOT / "docs" / "operating.md").read_text("utf-8")

guides = pytest.mark.parametrize("path", GUIDES, ids=lambda p: p.name)


@guides
def test_commands_and_their_options_are_there(path: Path) -> None:
    documented = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for command, rest in re.findall(
        r"(?:^\$ |`)spanlint (\w+)([^`\n|]*)", path.read_text("utf-8"), re.MULTILINE
    ):
        assert command in COMMANDS, command
        section = documented.split(f"## spanlint {command}\n")[1].split("\n## ")[0]
        own = rest.split(" -- ")[0]
        for option in re.findall(r"--[a-z][a-z-]+", own):
            assert f"`{option}`" in section, f"spanlint {command} {option}"


@guides
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text("utf-8")):
        if not re.match(r"\w+:", target):
            assert (path.parent / target).exists(), target


@guides
def test_subcommands_of_dev_are_there(path: Path) -> None:
    script = (ROOT / "dev").read_text("utf-8")
    for name in re.findall(r"\./dev\s+(\w+)", path.read_text("utf-8")):
        assert re.search(rf"^{name}\)", script, re.MULTILINE), name


def test_the_settings_of_the_operate_guide_are_settings(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```yaml\n(.*?)```", OPERATING, re.DOTALL)
    path = tmp_path / "spanlint.yaml"
    path.write_text(snippet)

    load(str(path), {})

    table = OPERATING.split("| setting | raise it when")[1].split("\n\n")[0]
    named = set(
        re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()[2:]))
    )
    assert named
    assert named <= {field.name for field in dataclasses.fields(Settings)}


def test_metrics_that_the_operate_guide_looks_at_are_exported() -> None:
    named = set(re.findall(r"\b(spanlint_\w+)", OPERATING))

    assert named
    assert named <= {*COUNTERS, *GAUGES, *PLAIN_GAUGES, *HISTOGRAMS, STAGES[0]}

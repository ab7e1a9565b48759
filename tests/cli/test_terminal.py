"""On a terminal: colours unless NO_COLOR asks for none, lines that fit, a bar that goes away."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import LAZY, ROOT, recorded

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(*arguments: str | Path, columns: int = 100, **environ: str) -> str:
    """What `spanlint ARGUMENTS` writes to a terminal of that width (both streams)."""
    ours, theirs = pty.openpty()
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "CI", "TERM")}
    with subprocess.Popen(
        [sys.executable, "-m", "collector.cli.main", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=kept | {"TERM": "xterm-256color", "COLUMNS": str(columns)} | environ,
    ) as process:
        os.close(theirs)
        written = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the other end was closed
                break
            if not part:
                break
            written += part
        os.close(ours)
        process.wait(60)
    return written.decode()


@pytest.fixture(scope="module")
def lazy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(LAZY, tmp_path_factory.mktemp("terminal") / "lazy.jsonl")


def test_a_terminal_has_colours_and_a_bar_that_goes_away(lazy: Path) -> None:
    told = on_terminal("check", lazy)

    assert re.search(r"\x1b\[[0-9;]*3\dm", told), "a colour"
    assert "reading" in told
    assert "judging" in told
    assert "\x1b[2K" in told or "\x1b[1A" in told
    assert "N101" in ANSI.sub("", told)


def test_no_color_is_obeyed(lazy: Path) -> None:
    told = on_terminal("check", lazy, NO_COLOR="1")

    assert not re.search(r"\x1b\[[0-9;]*[34]\dm", told)
    assert "SELECT authors by id runs 12 times" in ANSI.sub("", told)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_drawings_fit(columns: int, lazy: Path) -> None:
    told = ANSI.sub("", on_terminal("check", lazy, columns=columns, NO_COLOR="1"))

    lines = [line.rpartition("\r")[2] for line in told.replace("\r\n", "\n").splitlines()]
    bars = [line for line in lines if "█" in line]
    assert len(bars) == 3
    assert all(len(line) <= columns for line in bars)


def test_json_on_a_terminal_is_json_alone(lazy: Path) -> None:
    told = on_terminal("check", lazy, "--format", "json", columns=60)

    text = ANSI.sub("", told)
    assert json.loads(text[text.index("{\r\n") :])["findings"][0]["code"] == "N101"


@pytest.mark.parametrize("command", ["rules", "config", "--help"])
def test_other_commands_write_plain_text(command: str) -> None:
    assert "\x1b" not in on_terminal(command)

"""Where the native decoder was never built: all works, slower, and it is said."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import LAZY, ROOT, recorded
from support.running import as_if_now, until
from support.serving import Process
from support.sketch import Case, Line, request

HIDING = ROOT / "tests" / "support" / "without_native"
PARTS = (
    "decode/test_decoders.py",
    "decode/test_feeding.py",
    "decode/test_files.py",
    "kit/test_structure.py",
    "kit/test_repairs.py",
    "kit/test_aside.py",
    "collector/test_intake.py",
    "collector/test_answers.py",
    "cli/test_check_command.py",
)
"""Every kind of input and both protocols; the whole suite would take CI twice as long."""


@pytest.fixture(autouse=True)
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the processes that a test starts."""
    monkeypatch.setenv("PYTHONPATH", str(HIDING))
    monkeypatch.delenv("SPANLINT_DECODER", raising=False)


def test_a_server_says_which_decoder_it_has_and_finds_the_same(tmp_path: Path) -> None:
    entry = Line("shop", "GET /books", 0, 120, [])
    entry.children = [Line("shop", "SELECT * FROM authors WHERE id = %s", 8, 110, ["x12"])]
    body = as_if_now(request(Case("lazy", [entry]))).SerializeToString()

    with Process(tmp_path) as server:
        assert server.send(body).status_code == 200
        found = until(lambda: server.get("/api/v1/findings").json())
        until(lambda: any("decoded by the reference decoder" in line for line in server.log))
        told = server.get("/metrics").text

    assert [f["code"] for f in found] == ["N101"]
    assert 'decoder="reference"' in told


def test_a_recording_is_checked(tmp_path: Path) -> None:
    path = recorded(LAZY, tmp_path / "lazy.jsonl")
    command = [sys.executable, "-m", "collector.cli.main", "check", str(path)]

    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert ran.returncode == 1, ran.stderr
    assert "N101" in ran.stdout


def test_to_ask_for_it_is_an_error_of_one_line(tmp_path: Path) -> None:
    path = recorded(LAZY, tmp_path / "lazy.jsonl")
    command = [sys.executable, "-m", "collector.cli.main", "check", str(path)]
    environ = os.environ | {"SPANLINT_DECODER": "native"}

    ran = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False
    )

    assert ran.returncode == 2
    assert ran.stderr == (
        "spanlint: decoder: native cannot be had: spanlint-native is not installed\n"
    )


def test_the_tests_pass() -> None:
    files = [f"tests/{part}" for part in PARTS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]

    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=1_200, check=False
    )

    assert ran.returncode == 0, ran.stdout[-4_000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) > 100

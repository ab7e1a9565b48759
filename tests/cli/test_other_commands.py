"""`rules`, `explain`, `config`, `doctor`, and what holds for every command."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest

from detectors.kit.catalogue import rules
from support.commands import LAZY, ROOT, recorded, spanlint

if TYPE_CHECKING:
    from pathlib import Path

CODES = [rule.code for rule in rules()]


def test_rules_lists_the_catalogue() -> None:
    lines = spanlint("rules").out.splitlines()

    assert [line.split()[0] for line in lines[1:]] == CODES
    assert [row["code"] for row in json.loads(spanlint("rules", "--json").out)] == CODES


@pytest.mark.parametrize("code", ["N101", "N102", "n-plus-one-query", "n101"])
def test_explain_prints_a_page_with_settings(code: str) -> None:
    done = spanlint("explain", code)

    assert done.code == 0
    for heading in ("What it does", "Why is this bad?", "How it decides", "Settings"):
        assert f"\n{heading}\n" in done.out
    assert "min_repeats = 5" in done.out


def test_explain_knows_what_it_knows() -> None:
    done = spanlint("explain", "X999")

    assert done.code == 2
    assert "N101" in done.err


def test_config_tells_origins_and_is_itself_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "spanlint.yaml"
    path.write_text("quiet_s: 5.0\nrules: {N101: {min_repeats: 8}}\n")

    first = spanlint("config", "--config", path, env={"SPANLINT_ADMIN": "127.0.0.1:0"})

    assert re.search(rf"\({re.escape(str(path))}\)\nquiet_s: 5.0", first.out)
    assert re.search(r"\(SPANLINT_ADMIN\)\nadmin: 127.0.0.1:0", first.out)
    assert "min_repeats: 8" in first.out
    again = tmp_path / "again.yaml"
    again.write_text(first.out)
    assert spanlint("config", "--config", again, "--validate").code == 0


def test_config_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "spanlint.yaml"
    path.write_text("quiet: 5\n")

    done = spanlint("config", "--config", path, "--validate")

    assert done.code == 2
    assert "'quiet'" in done.err
    assert "quiet_s" in done.err


def test_config_keeps_tokens_to_itself() -> None:
    env = {"SPANLINT_FORWARD_HEADERS": "{authorization: Bearer hush}"}

    assert "hush" not in spanlint("config", env=env).out


def test_doctor_tells_what_is_blind_and_what_reveals_it(tmp_path: Path) -> None:
    hidden = LAZY.replace("id = {i}", "id = %s").replace("  shop  SELECT * FROM books  2..6\n", "")
    path = recorded(hidden, tmp_path / "lazy.jsonl")

    done = spanlint("doctor", path)

    assert done.code == 0, done.err
    assert re.search(r"N106 +blind +values of database reads are hidden", done.out)
    assert "capture_parameters" in done.out
    rows = json.loads(spanlint("doctor", path, "--json").out)["visibility"]
    assert {row["code"] for row in rows} == set(CODES)


def test_doctor_without_spans_is_not_green(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")

    assert spanlint("doctor", tmp_path / "empty").code == 3
    assert spanlint("doctor").code == 2
    assert spanlint("doctor", "--url", "http://127.0.0.1:9").code == 2


def test_help_loads_nothing_heavy() -> None:
    heavy = ("polars", "numpy", "fastapi", "grpc", "uvicorn", "msgspec", "httpx")
    program = (
        "import sys; sys.argv = ['spanlint', '--help']\n"
        "from collector.cli.main import main\n"
        "try: main()\n"
        f"finally: print('loaded', [m for m in {heavy!r} if m in sys.modules])"
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "Usage: spanlint" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_version() -> None:
    assert re.fullmatch(r"spanlint \d+\.\d+\.\d+\n", spanlint("--version").out)

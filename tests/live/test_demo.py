"""The demo for real: every bad endpoint found with its numbers, every good one silent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from collector.demo import backing, services
from collector.demo.backing import NotStarted
from collector.demo.cases import CASES, Case
from collector.demo.run import Plan, Told, demo
from live.recording import Found, as_found

REQUESTS = 12


def expected(case: Case) -> Found:
    repeats = case.repeats(REQUESTS)
    operation = case.operation(case.bad)
    return Found(case.code, operation, case.subject, repeats, case.service, REQUESTS)


@pytest.mark.parametrize("new", [False, True], ids=["old", "new"])
def test_postgresql_and_redis(new: bool) -> None:
    with demo(Plan(requests=REQUESTS, new_conventions=new), Told()) as outcome:
        assert outcome.database == "PostgreSQL"
        assert {as_found(f) for f in outcome.findings} == {expected(case) for case in CASES}
        assert outcome.right
        assert all(len(f["waterfall"]) >= 2 for f in outcome.findings)


def test_sqlite_and_no_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "bin"
    python.mkdir()
    (python / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(python))
    monkeypatch.setattr(backing, "postgres_bin", lambda: None)
    with demo(Plan(requests=REQUESTS), Told()) as outcome:
        assert outcome.database.startswith("SQLite")
        assert outcome.without == ("Redis",)
        wanted = {expected(case) for case in CASES if not case.needs}
        assert {as_found(f) for f in outcome.findings} == wanted
        assert outcome.right


def test_a_given_database_is_left_as_it_was(database: str) -> None:
    with demo(Plan(postgres_url=database, requests=2), Told()) as outcome:
        assert outcome.right
    with psycopg.connect(database) as db:
        tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        assert db.execute(tables).fetchone() == (0,)


def test_the_command_shows_findings_and_where_to_look() -> None:
    ran = run_command("--port", "0", "--requests", "3")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert all(f"{c.code} " in ran.stdout and c.operation(c.good) in ran.stdout for c in CASES)
    assert "/metrics" in ran.stdout
    assert "/api/v1/findings" in ran.stdout
    assert "as expected on all 12 endpoints" in ran.stdout


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = run_command("--port", str(taken.getsockname()[1]))

    assert ran.returncode == 2
    assert "is taken" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_MODULES", {"no_such.module": "no-such-distribution"})
    wanted = pytest.raises(NotStarted, match=r"no-such-distribution.*spanlint\[demo\]")
    with wanted, demo(Plan(), Told()):
        pass


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "collector.cli.main", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ,
    )

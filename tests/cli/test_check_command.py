"""`spanlint check` as a process: exit codes, formats, what is on which stream."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from support.recordings import JOINED, LAZY, ROOT, drawn, run, without

HEAVY = ("polars", "fastapi", "grpc", "uvicorn", "opentelemetry.proto", "prometheus_client")


@pytest.fixture
def lazy(tmp_path: Path) -> Path:
    path = tmp_path / "lazy.pb"
    path.write_bytes(drawn(LAZY, tmp_path).SerializeToString())
    return path


def test_twelve_lazy_loads_exit_1_and_are_told_whole(lazy: Path) -> None:
    done = run("check", str(lazy))
    assert done.returncode == 1, done.stderr
    assert not done.stderr
    for said in (
        "N101 n-plus-one-query  shop · GET /books",
        "SELECT authors by id runs 12 times",
        "once per row of SELECT books",
        "SELECT authors ×12",
        "183 ms in 1 trace",
        "selectinload",
    ):
        assert said in done.stdout
    found = json.loads(run("check", str(lazy), "--format", "json").stdout)
    [finding] = found["findings"]
    assert (finding["code"], finding["details"]["n"]) == ("N101", 12)
    assert finding["exemplars"][0]["trace_id"] in done.stdout
    assert finding["wasted_ms"] == pytest.approx(183.15)


def test_the_joined_twin_is_clean(tmp_path: Path) -> None:
    path = tmp_path / "joined.pb"
    path.write_bytes(drawn(JOINED, tmp_path).SerializeToString())
    done = run("check", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "no findings in 2 spans of 1 trace from 1 service" in done.stdout


def test_an_empty_file_is_never_green(tmp_path: Path) -> None:
    path = tmp_path / "empty.json"
    path.touch()
    done = run("check", str(path))
    assert done.returncode == 3
    assert "nothing to judge: there are no spans" in done.stdout


def test_a_truncated_file_exits_2_naming_file_and_byte(lazy: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pb"
    cut.write_bytes(lazy.read_bytes()[:700])
    done = run("check", str(cut), str(lazy))
    assert done.returncode == 2
    assert f"{cut}: byte " in done.stderr
    assert "N101" in done.stdout, "what could be read is reported"


def test_stripped_statements_are_blind_and_exit_3(tmp_path: Path) -> None:
    path = tmp_path / "stripped.pb"
    path.write_bytes(without(("db.statement", "db.query.text"), drawn(LAZY, tmp_path)))
    done = run("check", str(path))
    assert done.returncode == 3, done.stdout
    assert "blind" in done.stdout
    assert "record statements" in done.stdout
    assert "not green" in done.stdout or "nothing to judge" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "nowhere.pb"), "nowhere.pb"),
        (("check", "--select", "X9", "README.md"), "known: C101"),
        (("check", "--config", "nowhere.yaml", "README.md"), "nowhere.yaml"),
        (("check",), "Missing argument"),
        (("check", "--baseline", "README.md", "{lazy}"), "no baseline"),
        (("explain", "X9"), "known: C101"),
    ],
)
def test_wrong_usage_exits_2_with_a_line(arguments: tuple[str, ...], said: str, lazy: Path) -> None:
    done = run(*(a.format(lazy=lazy) for a in arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_fail_on_and_select(lazy: Path) -> None:
    assert run("check", str(lazy), "--fail-on", "critical").returncode == 1
    assert run("check", str(lazy), "--select", "N106").returncode == 0
    assert run("check", str(lazy), "--ignore", "N101,N103").returncode == 0


def test_stdin_and_colours_only_on_a_terminal(lazy: Path) -> None:
    command = [sys.executable, "-m", "collector.cli.main", "check", "-"]
    with lazy.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout


def test_json_follows_its_schema(lazy: Path, tmp_path: Path) -> None:
    schema = json.loads((ROOT / "docs/check.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    out = tmp_path / "report.json"
    done = run("check", str(lazy), "--format", "json", "--output", str(out))
    assert (done.returncode, done.stdout) == (1, "")
    jsonschema.validate(json.loads(out.read_text()), schema)


def test_sarif_has_what_code_scanning_reads(lazy: Path) -> None:
    log = json.loads(run("check", str(lazy), "--format", "sarif").stdout)
    assert log["version"] == "2.1.0"
    [sarif_run] = log["runs"]
    driver = sarif_run["tool"]["driver"]
    assert driver["name"] == "spanlint"
    [result] = sarif_run["results"]
    assert result["ruleId"] in {r["id"] for r in driver["rules"]}
    assert result["level"] == "error"
    assert result["partialFingerprints"]["spanlint/v1"]
    assert result["locations"][0]["logicalLocations"][0]["name"] == "GET /books"


def test_github_and_markdown(lazy: Path) -> None:
    line = run("check", str(lazy), "--format", "github", "--select", "N").stdout
    assert line.startswith("::error title=N101 n-plus-one-query::shop: SELECT authors by id")
    assert line.count("\n") == 1
    page = run("check", str(lazy), "--format", "markdown").stdout
    assert "| critical | N101 n-plus-one-query | shop | GET /books |" in page


def test_a_baseline_holds_until_it_ends(lazy: Path, tmp_path: Path) -> None:
    known = tmp_path / "baseline.json"
    written = run("check", str(lazy), "--write-baseline", str(known), "--reason", "next sprint")
    assert written.returncode == 0, written.stderr
    [entry] = json.loads(known.read_text())["findings"]
    assert (entry["code"], entry["reason"], entry["expires"]) == ("N101", "next sprint", None)
    accepted = run("check", str(lazy), "--baseline", str(known))
    assert accepted.returncode == 0
    assert "1 in the baseline" in accepted.stdout
    entry["expires"] = "2020-01-31"
    known.write_text(json.dumps({"version": 1, "findings": [entry]}))
    ended = run("check", str(lazy), "--baseline", str(known))
    assert ended.returncode == 1
    assert "was accepted until 2020-01-31: next sprint" in ended.stdout


def test_a_baseline_entry_needs_a_reason(lazy: Path, tmp_path: Path) -> None:
    known = tmp_path / "baseline.json"
    known.write_text('{"version": 1, "findings": [{"fingerprint": "00"}]}')
    done = run("check", str(lazy), "--baseline", str(known))
    assert done.returncode == 2
    assert "findings[0]: an accepted finding needs a reason" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    probe = (
        "import sys\n"
        "sys.argv = ['spanlint', '--help']\n"
        "from collector.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_version() -> None:
    assert run("--version").stdout.startswith("spanlint ")

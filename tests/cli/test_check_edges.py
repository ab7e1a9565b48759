"""`spanlint check` where it is easy to get wrong: broken files, usage, knobs, sampling, endings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from collector.cli import main as command
from support.commands import LAZY, drawn, recorded, spanlint

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def lazy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(LAZY, tmp_path_factory.mktemp("edges") / "lazy.jsonl")


def test_the_exemplar_is_the_trace_itself(lazy: Path) -> None:
    spans = json.loads(lazy.read_text())["resourceSpans"][0]["scopeSpans"][0]["spans"]

    found = json.loads(spanlint("check", lazy, "--format", "json").out)["findings"][0]

    assert found["exemplars"][0]["trace_id"] == spans[0]["traceId"]
    assert set(found["exemplars"][0]["span_ids"]) <= {s["spanId"] for s in spans}
    assert found["details"]["source"] == "SELECT books"


def test_nothing_on_standard_input_is_not_green() -> None:
    assert spanlint("check", "-").code == 3


def test_what_came_before_the_break_is_reported(lazy: Path, tmp_path: Path) -> None:
    whole = lazy.read_bytes()
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(whole + whole[:500])

    done = spanlint("check", broken)

    assert done.code == 2
    assert f"{broken}: byte " in done.err
    at = int(done.err.split("byte ")[1].split(":")[0])
    assert len(whole) <= at <= len(whole) + 500
    assert "N101" in done.out


def test_a_broken_file_takes_nothing_from_the_others(lazy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a-broken.jsonl").write_bytes(lazy.read_bytes()[:300])
    (folder / "b-whole.jsonl").write_bytes(lazy.read_bytes())

    done = spanlint("check", folder)

    assert done.code == 2
    assert "a-broken.jsonl" in done.err
    assert "N101" in done.out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--format", "pdf"], "pdf"),
        (["--select", "N", "--ignore", "N"], "no rule"),
        (["--baseline", "/no/such/file"], "/no/such/file"),
        (["--output", "/no/such/folder/x"], "/no/such/folder/x"),
        (["--config", "/no/such/file"], "/no/such/file"),
    ],
)
def test_wrong_usage_is_one_line(options: list[str], told: str, lazy: Path) -> None:
    done = spanlint("check", lazy, *options)

    assert done.code == 2
    assert told in done.err
    assert "Traceback" not in done.err


def test_knobs_from_the_configuration_file(lazy: Path, tmp_path: Path) -> None:
    config = tmp_path / "spanlint.yaml"
    config.write_text("rules: {N101: {min_repeats: 13}}\n")

    done = spanlint("check", lazy, "--config", config, "--format", "json")

    assert done.code == 0, done.out
    states = {(v["code"], v["state"]) for v in json.loads(done.out)["visibility"]}
    assert ("N101", "below_threshold") in states


def test_sampling_is_disclosed(tmp_path: Path) -> None:
    requests = drawn(LAZY, tmp_path)
    for span in requests[0].resource_spans[0].scope_spans[0].spans:
        span.trace_state = "ot=th:8"
    (tmp_path / "sampled.otlp").write_bytes(requests[0].SerializeToString())

    assert "sampled recording" in spanlint("check", tmp_path / "sampled.otlp").out


def test_a_defect_of_ours_is_told_and_not_spilled(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect() -> None:
        raise ZeroDivisionError("one by none")

    monkeypatch.setattr(command, "app", defect)
    monkeypatch.setattr("sys.argv", ["spanlint"])

    with pytest.raises(SystemExit) as ended:
        command.main()

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("spanlint: internal error: ZeroDivisionError: one")


def test_ctrl_c_is_no_finding() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        command._interruptible(interrupted)()

    assert ended.value.code == 130

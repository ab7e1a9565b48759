"""The formats of a report: schemas, escapes, output to a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from collector.report.schema import Document
from support.commands import LAZY, recorded, spanlint

if TYPE_CHECKING:
    from pathlib import Path

ODD = LAZY.replace("shop  ", "sh|op*  ").replace("/books", "/<b>:,%")


@pytest.fixture(scope="module")
def lazy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = LAZY.replace("x12", "x12  code.file.path=shop/models.py  code.line.number=7")
    return recorded(text, tmp_path_factory.mktemp("formats") / "lazy.jsonl")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(ODD, tmp_path_factory.mktemp("formats") / "odd.jsonl")


def told(path: Path, style: str) -> str:
    done = spanlint("check", path, "--format", style)
    assert done.code == 1, done.err
    return done.out


def test_json_is_as_its_types_say(lazy: Path) -> None:
    document = msgspec.json.decode(told(lazy, "json"), type=Document)

    assert document.summary.spans == 14
    assert document.summary.traces == 1
    assert document.summary.services == 1
    assert len(document.findings[0].fingerprint) == 16
    assert document.findings[0].wasted_ms > 0
    assert {v.code for v in document.visibility} >= {"N101", "N106"}


def test_sarif_has_what_code_scanning_needs(lazy: Path) -> None:
    log: dict[str, Any] = json.loads(told(lazy, "sarif"))

    assert log["version"] == "2.1.0"
    run = log["runs"][0]
    rules = {r["id"]: r for r in run["tool"]["driver"]["rules"]}
    assert all(r["help"]["text"] and r["shortDescription"]["text"] for r in rules.values())
    result = run["results"][0]
    assert result["ruleId"] in rules
    assert result["level"] == "error"
    assert "12 times" in result["message"]["text"]
    assert list(result["partialFingerprints"].values()) == [
        json.loads(told(lazy, "json"))["findings"][0]["fingerprint"]
    ]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "shop/models.py"
    assert place["region"]["startLine"] == 7
    assert run["invocations"][0]["executionSuccessful"] is True


def test_github_annotations(lazy: Path, odd: Path) -> None:
    first = told(lazy, "github").splitlines()[0]
    assert first.startswith("::error title=N101 n-plus-one-query,file=shop/models.py,line=7::shop")

    commands = [line for line in told(odd, "github").splitlines() if line]
    assert all(line.startswith("::") for line in commands)
    assert "%25" in commands[0]


def test_markdown_escapes_what_is_not_ours(odd: Path) -> None:
    text = told(odd, "markdown")

    assert text.startswith("# spanlint\n")
    assert "sh\\|op\\*" in text
    assert "/<b>" not in text


@pytest.mark.parametrize("style", ["text", "json", "sarif", "github", "markdown"])
def test_output_goes_to_a_file(style: str, lazy: Path, tmp_path: Path) -> None:
    done = spanlint("check", lazy, "--format", style, "--output", tmp_path / "report")

    assert done.code == 1
    assert done.out == ""
    assert (tmp_path / "report").read_text("utf-8") == told(lazy, style)


@pytest.mark.parametrize("style", ["text", "github", "markdown"])
def test_control_characters_of_spans_do_not_reach_the_terminal(style: str, tmp_path: Path) -> None:
    path = recorded(LAZY.replace("GET /books", "GET /bo\x1b[31moks"), tmp_path / "odd.jsonl")

    assert "\x1b" not in told(path, style)


def test_another_locale_changes_nothing(lazy: Path) -> None:
    done = spanlint("check", lazy, env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"})

    assert done.code == 1, done.err
    assert done.out == told(lazy, "text")

"""The formats of a report: schemas, escapes, output to a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
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


TEXT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
    "additionalProperties": False,
}


def closed(required: str, **properties: Any) -> dict[str, Any]:
    """An object of these properties and no others."""
    return {
        "type": "object",
        "required": required.split(),
        "properties": properties,
        "additionalProperties": False,
    }


def many(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


LEVEL = {"enum": ["none", "note", "warning", "error"]}
WORD = {"type": "string", "minLength": 1}
SARIF = closed(
    "version runs",
    **{"$schema": {"type": "string", "format": "uri"}},
    version={"const": "2.1.0"},
    runs=many(
        closed(
            "tool results invocations",
            tool=closed(
                "driver",
                driver=closed(
                    "name rules",
                    name=WORD,
                    version=WORD,
                    rules=many(closed("id", id=WORD, name=WORD, shortDescription=TEXT, help=TEXT))
                    | {"uniqueItems": True},
                ),
            ),
            results=many(
                closed(
                    "ruleId message locations",
                    ruleId=WORD,
                    level=LEVEL,
                    message=TEXT,
                    locations=many(
                        closed(
                            "physicalLocation",
                            logicalLocations=many(
                                closed("name", name=WORD, fullyQualifiedName=WORD, kind=WORD)
                            ),
                            physicalLocation=closed(
                                "artifactLocation",
                                artifactLocation=closed(
                                    "uri",
                                    uri={
                                        "type": "string",
                                        "pattern": r"^[\w.~:/?#@!$&'()*+,;=%-]+$",
                                    },
                                ),
                                region=closed(
                                    "startLine", startLine={"type": "integer", "minimum": 1}
                                ),
                            ),
                        )
                    ),
                    partialFingerprints={"type": "object", "additionalProperties": WORD},
                    properties={"type": "object"},
                )
            ),
            invocations=many(
                closed(
                    "executionSuccessful",
                    executionSuccessful={"type": "boolean"},
                    toolExecutionNotifications=many(
                        closed(
                            "message",
                            level=LEVEL,
                            message=TEXT,
                            associatedRule=closed("id", id=WORD),
                        )
                    ),
                )
            ),
        )
    ),
)
"""What SARIF 2.1.0 allows of what is written here; its own schema closes these objects too."""


@pytest.mark.parametrize("which", ["lazy", "odd", "blind", "broken", "empty"])
def test_sarif_is_valid(which: str, tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    if which in ("lazy", "odd"):
        text = LAZY if which == "lazy" else ODD.replace("x12", "x12  code.file.path=C:\\my[ä].py")
        recorded(text, path)
    elif which == "blind":
        hidden = LAZY.replace("id = {i}", "id = %s")
        recorded(hidden.replace("  shop  SELECT * FROM books  2..6\n", ""), path)
    else:
        path.write_bytes(b"{oops" if which == "broken" else b"")

    log = json.loads(spanlint("check", path, "--format", "sarif", "--select", "N").out)

    jsonschema.Draft202012Validator(SARIF).validate(log)
    invocation = log["runs"][0]["invocations"][0]
    told = [n["message"]["text"] for n in invocation["toolExecutionNotifications"]]
    assert invocation["executionSuccessful"] is (which != "broken")
    assert any("byte" in t for t in told) is (which == "broken")
    assert any("blind" in t for t in told) is (which == "blind")


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


def test_markdown_lays_out_the_statement(lazy: Path) -> None:
    text = told(lazy, "markdown")

    block = text.split("```sql\n")[1].split("\n```")[0]
    assert [line.split()[0] for line in block.splitlines()] == ["SELECT", "FROM", "WHERE"]
    assert "?" in block


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

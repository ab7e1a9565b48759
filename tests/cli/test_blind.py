"""Spans that cannot show a fault are never green: blind, why, and what would reveal it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from support.commands import drawn, spanlint
from support.otlp import as_json
from support.running import as_if_now, running, until

GOOD = """\
# five reads, none of them twice
shop  GET /books  0..100
  shop  SELECT * FROM books  2..6
  shop  SELECT * FROM authors WHERE id IN (1, 2, 3)  8..12
  shop  SELECT * FROM shelves  14..18
  shop  SELECT * FROM prices  20..24
  shop  SELECT * FROM reviews  26..30
=> nothing
"""
BAD = """\
# lazy loads
shop  GET /books  0..240
  shop  SELECT * FROM books  2..6
  shop  SELECT * FROM authors WHERE id = %s  8..230  x12
=> nothing
"""


def without(*names: str) -> Callable[[Span], None]:
    def strip(span: Span) -> None:
        kept = [a for a in span.attributes if a.key not in names]
        del span.attributes[:]
        span.attributes.extend(kept)

    return strip


def without_route(span: Span) -> None:
    without("http.route", "url.path")(span)
    if span.kind == Span.SPAN_KIND_SERVER:
        span.name = "GET"


def without_parent(span: Span) -> None:
    span.parent_span_id = b""


STRIPPED = {
    "statements": (
        without("db.query.text"),
        "the statement (db.query.text, db.statement) is missing",
        "record statements",
    ),
    "routes": (
        without_route,
        "requests carry neither http.route nor a path",
        "record http.route",
    ),
    "parents": (
        without_parent,
        "database reads have no parent span",
        "propagate the context",
    ),
}


def stripped(text: str, what: str, folder: Path) -> ExportTraceServiceRequest:
    whole = drawn(text, folder)[0]
    for resource in whole.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                STRIPPED[what][0](span)
    return whole


def test_unstripped_it_is_green_and_the_loops_are_found(tmp_path: Path) -> None:
    for text, code in ((GOOD, 0), (BAD, 1)):
        (tmp_path / "whole.jsonl").write_bytes(as_json(drawn(text, tmp_path)[0]))
        done = spanlint("check", tmp_path / "whole.jsonl", "--select", "N")
        assert (done.code, "blind" in done.out) == (code, False)


@pytest.mark.parametrize("what", STRIPPED)
def test_check_is_not_green_and_says_what_reveals_it(what: str, tmp_path: Path) -> None:
    _, reason, reveal = STRIPPED[what]
    (tmp_path / "stripped.jsonl").write_bytes(as_json(stripped(GOOD, what, tmp_path)))

    done = spanlint("check", tmp_path / "stripped.jsonl")

    assert done.code == 3, done.out
    told = " ".join(done.out.split())
    assert re.search(r"blind [A-Z0-9, ]*N101", told)
    assert reason in told
    assert reveal in told
    rows = json.loads(spanlint("check", tmp_path / "stripped.jsonl", "--format", "json").out)
    row = next(v for v in rows["visibility"] if v["code"] == "N101")
    assert row["state"] == "blind"
    assert reveal in row["reveal"]


@pytest.mark.parametrize("style", ["text", "github", "markdown", "sarif"])
@pytest.mark.parametrize("what", STRIPPED)
def test_every_format_says_that_it_is_blind(what: str, style: str, tmp_path: Path) -> None:
    (tmp_path / "stripped.jsonl").write_bytes(as_json(stripped(GOOD, what, tmp_path)))

    done = spanlint("check", tmp_path / "stripped.jsonl", "--format", style)

    assert done.code == 3
    assert "blind" in done.out


@pytest.mark.parametrize("what", STRIPPED)
def test_doctor_says_which_setting_helps(what: str, tmp_path: Path) -> None:
    _, reason, reveal = STRIPPED[what]
    (tmp_path / "stripped.jsonl").write_bytes(as_json(stripped(GOOD, what, tmp_path)))

    done = spanlint("doctor", tmp_path / "stripped.jsonl")

    assert done.code == 3
    assert reason in done.out
    assert re.search(rf"to reveal [A-Z0-9, ]*N101[A-Z0-9, ]*: [^\n]*{reveal}", done.out)


@pytest.mark.parametrize("what", ["statements", "parents"])
def test_the_loop_itself_is_not_green_when_stripped(what: str, tmp_path: Path) -> None:
    (tmp_path / "stripped.jsonl").write_bytes(as_json(stripped(BAD, what, tmp_path)))

    done = spanlint("check", tmp_path / "stripped.jsonl")

    assert done.code == 3
    assert "N101" in done.out


@pytest.mark.parametrize("what", STRIPPED)
def test_the_server_says_it_too(what: str, tmp_path: Path) -> None:
    with running() as service:
        service.send(as_if_now(stripped(GOOD, what, tmp_path)).SerializeToString())

        row = until(lambda: service.get("/api/v1/visibility?code=N101").json())[0]
        assert (row["service"], row["state"]) == ("shop", "blind")
        assert STRIPPED[what][2] in row["reveal"]
        assert service.metric('spanlint_rule_blind{code="N101",service_name="shop"}') == 1
        assert service.metric('spanlint_rule_blind{code="N105",service_name="shop"}') == 0
        page = service.get("/").text
        assert STRIPPED[what][1] in page
        asked = spanlint("doctor", "--url", f"http://{service.at.admin}")
        assert asked.code == 3
        assert STRIPPED[what][2] in asked.out


def test_a_service_that_can_be_seen_does_not_vouch_for_one_that_cannot(tmp_path: Path) -> None:
    """N101 sees the shop; of the stock it says that it is blind, and what would help."""
    seen = drawn(GOOD, tmp_path)[0]
    hidden = stripped(
        GOOD.replace("shop  ", "stock  ").replace("five", "5"), "statements", tmp_path
    )
    seen.MergeFrom(hidden)
    (tmp_path / "both.jsonl").write_bytes(as_json(seen))

    found = json.loads(spanlint("check", tmp_path / "both.jsonl", "--format", "json").out)

    states = {v["service"]: v["state"] for v in found["visibility"] if v["code"] == "N101"}
    assert states == {"shop": "seen", "stock": "blind"}

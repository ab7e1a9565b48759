"""One finding for one cause, however instrumentation shows it; none for what only looks like it.

The drawn traces have these cases one by one; here they go through files, splits and orders.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.check import check_files
from support.sketch import read_cases, request

ENTRY = "shop  GET /books  0..400\n  shop  SELECT * FROM books  2..6\n"
LOOP = "SELECT * FROM authors WHERE id = %s"
ONE = {
    "in a row": (ENTRY + f"  shop  {LOOP}  10..390  x12", {"authors": 12}),
    "interleaved (ABAB)": (
        ENTRY
        + f"  shop  render  10..390  x12\n    shop  {LOOP}  11..14\n"
        + "    shop  SELECT * FROM reviews WHERE book_id = %s  15..18",
        {"authors": 12, "reviews": 12},
    ),
    "in parallel": (ENTRY + f"  shop  {LOOP}  10..90  x12  at once", {"authors": 12}),
    "under a helper for each item": (
        ENTRY + f"  shop  load  10..390  x12\n    shop  {LOOP}  12..20",
        {"authors": 12},
    ),
    "under helpers two deep": (
        ENTRY + f"  shop  load  10..390  x12\n    shop  map  11..22\n      shop  {LOOP}  12..20",
        {"authors": 12},
    ),
    "the SERVER span is missing": (
        ENTRY.replace("0..400", "0..400  missing") + f"  shop  {LOOP}  10..390  x12",
        {"authors": 12},
    ),
}
NONE = {
    "paging by offset": "SELECT * FROM a ORDER BY id LIMIT %s OFFSET %s  10..390  x12",
    "paging by keyset": "SELECT * FROM a WHERE id > %s ORDER BY id LIMIT 100  10..390  x12",
    "chunked IN": "SELECT * FROM a WHERE id IN (%s, %s, %s)  10..390  x12",
    "a retry loop": f"{LOOP}  10..390  x12  retried",
    "three of ten fail": f"{LOOP}  10..390  x10  fails=3",
    "an async cursor": f"CURSOR: SELECT  10..390  x12  db.query.text={LOOP}",
}
POLLING = "shop  wait  0..20000\n  shop  tick  0..20000  x20\n    shop  SELECT s FROM jobs WHERE id = %s  0..3"


def drawn(text: str, folder: Path) -> ExportTraceServiceRequest:
    path = folder / "drawn.trace"
    path.write_text(f"# one\n{text}\n")
    return request(read_cases(path)[0])


def dealt(whole: ExportTraceServiceRequest, parts: int, seed: int) -> list[bytes]:
    """The spans in so many requests, in a random order."""
    spans = [(r, s, span) for r in whole.resource_spans for s in r.scope_spans for span in s.spans]
    random.Random(seed).shuffle(spans)
    pieces = [ExportTraceServiceRequest() for _ in range(parts)]
    for number, (resource, scope, span) in enumerate(spans):
        copy = pieces[number % parts].resource_spans.add(resource=resource.resource)
        copy.scope_spans.add(scope=scope.scope).spans.append(span)
    return [piece.SerializeToString() for piece in pieces]


def found(whole: ExportTraceServiceRequest, folder: Path, parts: int = 1, seed: int = 0) -> Any:
    """Table -> N of every finding of `check`; each must be N101."""
    for number, body in enumerate(dealt(whole, parts, seed)):
        (folder / f"{number}.pb").write_bytes(body)
    (folder / "drawn.trace").unlink(missing_ok=True)
    findings = check_files([str(folder)]).findings
    assert {f.code for f in findings} <= {"N101"}
    named = {f.subject.split()[1]: f.details["n"] for f in findings}
    assert len(named) == len(findings), "one cause, one finding"
    return named


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ONE)
def test_exactly_one_finding_with_the_right_count(name: str, seed: int, tmp_path: Path) -> None:
    text, expected = ONE[name]

    assert found(drawn(text, tmp_path), tmp_path, parts=10, seed=seed) == expected


@pytest.mark.parametrize("name", NONE)
def test_what_only_looks_like_it_is_silent(name: str, tmp_path: Path) -> None:
    whole = drawn(f"{ENTRY}  shop  {NONE[name]}", tmp_path)

    assert found(whole, tmp_path, parts=3) == {}


def test_a_polling_loop_is_silent(tmp_path: Path) -> None:
    assert found(drawn(POLLING, tmp_path), tmp_path, parts=3) == {}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("nested", [False, True], ids=["siblings", "nested"])
def test_an_orm_and_its_driver_are_one(nested: bool, seed: int, tmp_path: Path) -> None:
    """SQLAlchemy's span and psycopg's, as their instrumentations leave them: siblings, one text."""
    whole = drawn(f"{ENTRY}  shop  {LOOP}  10..390  x12", tmp_path)
    resource = whole.resource_spans[0]
    orm = resource.scope_spans[0]
    orm.scope.name = "opentelemetry.instrumentation.sqlalchemy"
    driver = resource.scope_spans.add()
    driver.scope.name = "opentelemetry.instrumentation.psycopg"
    for number, span in enumerate(s for s in orm.spans if s.kind == Span.SPAN_KIND_CLIENT):
        inner = driver.spans.add()
        inner.CopyFrom(span)
        inner.span_id = (number + 1).to_bytes(8)
        inner.start_time_unix_nano += 100_000
        inner.end_time_unix_nano -= 100_000
        if nested:
            inner.parent_span_id = span.span_id

    assert found(whole, tmp_path, parts=10, seed=seed) == {"authors": 12}


def test_two_requests_are_two_entries_of_one_finding(tmp_path: Path) -> None:
    text, _ = ONE["in a row"]
    (tmp_path / "twice.trace").write_text(f"# twice\ntraces 2\n{text}\n")
    whole = request(read_cases(tmp_path / "twice.trace")[0])
    (tmp_path / "twice.trace").unlink()

    assert found(whole, tmp_path, parts=10) == {"authors": 12}
    [finding] = check_files([str(tmp_path)]).findings
    assert (finding.occurrences, finding.traces, finding.details["repeats"]) == (2, 2, 24)

"""Input that means harm, or was never thought of: an answer or a report, and never a crash."""

from __future__ import annotations

import copy
import json
import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.check import check_files
from collector.report import github, markdown, sarif, text
from collector.report import json as as_json_report
from collector.report.model import Report, exit_code
from support.otlp import as_json
from support.running import Running, as_if_now, running, until
from support.sketch import Case, Line, request

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
JSON = {"content-type": "application/json"}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["0", "-1", "99999999999999999999", "SPAN_KIND_SERVER", "ab" * 8, "ff" * 16]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


def lazy_loads() -> ExportTraceServiceRequest:
    entry = Line("shop", "GET /books", 0, 120, [])
    entry.children = [
        Line("shop", "SELECT * FROM books", 2, 6, []),
        Line("shop", "SELECT * FROM authors WHERE id = %s", 8, 110, ["x12"]),
    ]
    return request(Case("lazy", [entry]))


DOCUMENT = json.loads(as_json(lazy_loads()))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from places(inner)


def rendered(report: Report) -> str:
    """All formats; none may fail on what spans hold."""
    everything = [f.render(report) for f in (as_json_report, sarif, markdown, github)]
    return "".join([*everything, text.as_text(report)])


def checked(body: bytes, folder: Path) -> Report:
    path = folder / "recording"
    path.write_bytes(body)
    report = check_files([str(path)])
    assert exit_code(report, "warning") in (0, 1, 2, 3)
    assert not report.failed
    rendered(report).encode()
    return report


def mutated(data: Any) -> bytes:
    """The document with a few fields deleted or replaced by anything."""
    document = copy.deepcopy(DOCUMENT)
    dice = random.Random(data.draw(st.integers(0, 2**32 - 1), label="places"))
    for value in data.draw(st.lists(VALUES, min_size=1, max_size=4), label="values"):
        found = list(places(document))
        if found:
            holder, key = dice.choice(found)
            if dice.random() < 0.3:
                del holder[key]
            else:
                holder[key] = value
    return json.dumps(document).encode()


@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(data=st.data())
def test_json_of_any_shape_is_a_report(data: Any, tmp_path: Path) -> None:
    checked(mutated(data), tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(seed=st.integers(0, 2**32 - 1), changes=st.integers(1, 6))
def test_protobuf_with_any_bytes_changed_is_a_report(
    seed: int, changes: int, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    body = bytearray(lazy_loads().SerializeToString())
    for _ in range(changes):
        body[dice.randrange(len(body))] = dice.randrange(256)

    checked(bytes(body), tmp_path)


@settings(max_examples=100, deadline=None, suppress_health_check=QUIET)
@given(
    body=st.binary(max_size=300),
    start=st.sampled_from([b"", b"\n", b"{", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\0\0\0\x08"]),
)
def test_any_file_is_a_report(body: bytes, start: bytes, tmp_path: Path) -> None:
    checked(start + body, tmp_path)


@pytest.mark.parametrize(
    "times", ["0", "-5", str(2**63 - 1), str(2**64 - 1), "9" * 40, "x", None, 1.79e18]
)
@pytest.mark.parametrize("where", ["startTimeUnixNano", "endTimeUnixNano"])
def test_any_time_is_a_report(times: Any, where: str, tmp_path: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        span[where] = times

    report = checked(json.dumps(document).encode(), tmp_path)

    assert report.summary.spans == 14
    assert not report.errors


def drawn(count: int, **fields: Any) -> ExportTraceServiceRequest:
    """So many spans under one entry, each given a `{i}` of its own."""
    whole = lazy_loads()
    spans = whole.resource_spans[0].scope_spans[0].spans
    pattern = spans[2]
    kept = [spans[0]]
    for number in range(count):
        span = Span()
        span.CopyFrom(pattern)
        span.span_id = struct.pack(">Q", number + 1)
        for name, value in fields.items():
            setattr(span, name, value(number))
        kept.append(span)
    del spans[:]
    spans.extend(kept)
    return whole


def test_a_chain_of_ten_thousand_spans(tmp_path: Path) -> None:
    chain = drawn(10_000, parent_span_id=lambda n: struct.pack(">Q", n))
    chain.resource_spans[0].scope_spans[0].spans[1].parent_span_id = (
        chain.resource_spans[0].scope_spans[0].spans[0].span_id
    )

    report = checked(chain.SerializeToString(), tmp_path)

    assert [(f.code, f.details["repeats"]) for f in report.findings] == [("N101", 10_000)]


def test_a_ring_of_parents(tmp_path: Path) -> None:
    ring = drawn(1_000, parent_span_id=lambda n: struct.pack(">Q", (n + 1) % 1_000 + 1))

    report = checked(ring.SerializeToString(), tmp_path)

    assert report.summary.repaired["cycle"] == 1
    assert report.summary.spans == 1_001


def test_three_thousand_statements_that_differ(tmp_path: Path) -> None:
    whole = drawn(3_000)
    for number, span in enumerate(whole.resource_spans[0].scope_spans[0].spans[1:]):
        for attribute in span.attributes:
            if attribute.key == "db.query.text":
                attribute.value.string_value = f"SELECT c{number} FROM t{number} WHERE a = 'x'"

    report = checked(whole.SerializeToString(), tmp_path)

    assert report.findings == ()
    assert report.summary.spans == 3_001


def test_statements_made_to_be_slow(tmp_path: Path) -> None:
    nasty = [
        "SELECT '" + "x" * 1_000_000,
        "/*" * 50_000,
        "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
        "SELECT $a$" * 10_000,
        "SELECT * FROM t WHERE id IN (" + "1," * 20_000 + "1)",
        "-- " * 30_000,
        "\\" * 100_000,
        "SELECT " + '"a".' * 30_000 + '"b"',
        "\u0000\ud7ff" * 10_000,
    ]
    whole = drawn(len(nasty))
    for statement, span in zip(
        nasty, whole.resource_spans[0].scope_spans[0].spans[1:], strict=True
    ):
        for attribute in span.attributes:
            if attribute.key == "db.query.text":
                attribute.value.string_value = statement
    started = time.process_time()

    report = checked(whole.SerializeToString(), tmp_path)

    assert report.summary.spans == len(nasty) + 1
    assert time.process_time() - started < 60, "seconds at most where a quadratic one takes hours"


def test_names_made_to_break_out_of_formats(tmp_path: Path) -> None:
    evil = "</title><script>alert(1)</script>|`*_[x](javascript:y)\x1b[31m\r\n::error::no\u202e%0A"
    document = json.loads(
        as_json(lazy_loads())
        .decode()
        .replace("/books", "/books" + json.dumps(evil)[1:-1])
        .replace('"shop"', json.dumps("shop" + evil))
    )

    report = checked(json.dumps(document).encode(), tmp_path)

    assert [f.code for f in report.findings] == ["N101"]
    assert "<script>" not in markdown.render(_clean(report))
    assert github.render(_clean(report)).count("\n") == 1
    assert "\x1b" not in text.as_text(_clean(report))


def _clean(report: Report) -> Report:
    from collector.report.clean import cleaned

    return cleaned(report)


def bomb(size: int) -> bytes:
    return zstandard.compress(bytes(size))


def test_a_message_that_inflates_beyond_the_limit_is_an_error(tmp_path: Path) -> None:
    packed = bomb(200_000_000)

    report = checked(struct.pack(">I", len(packed)) + packed, tmp_path)

    assert "inflates to more than 64 MiB" in report.errors[0]


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running() as started:
        yield started


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(data=st.data())
def test_the_server_answers_any_json_and_goes_on(service: Running, data: Any) -> None:
    assert service.send(mutated(data), **JSON).status_code in (200, 400)
    assert service.get("/readyz").status_code == 200


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(seed=st.integers(0, 2**32 - 1), changes=st.integers(1, 6))
def test_the_server_answers_any_bytes_and_goes_on(
    service: Running, seed: int, changes: int
) -> None:
    dice = random.Random(seed)
    body = bytearray(as_if_now(lazy_loads()).SerializeToString())
    for _ in range(changes):
        body[dice.randrange(len(body))] = dice.randrange(256)

    assert service.send(bytes(body)).status_code in (200, 400)


def test_and_still_judges(service: Running) -> None:
    """After all of the above: a plain request, and its finding."""
    entry = Line("after", "GET /books", 0, 120, [])
    entry.children = [Line("after", "SELECT * FROM authors WHERE id = %s", 8, 110, ["x12"])]
    service.send(as_if_now(request(Case("after", [entry]))).SerializeToString())

    found = until(lambda: service.get("/api/v1/findings?service=after").json())
    assert [f["details"]["n"] for f in found] == [12]
    assert "spanlint_rule_failures_total{" not in service.get("/metrics").text


def test_a_huge_trace_is_closed_early_and_the_server_lives() -> None:
    whole = as_if_now(drawn(5_000))
    with running(max_spans=1_000, quiet_s=60.0) as service:
        assert service.send(whole.SerializeToString()).status_code == 200
        until(lambda: service.metric("spanlint_spans_observed_total") == 5_001)
        found = until(service.findings)
        assert found[0]["details"]["n_max"] == 5_000
        line = 'spanlint_traces_closed_early_total{reason="huge"}'
        assert service.metric(line) == 1


def test_clocks_that_are_wrong_by_years_neither_hide_nor_expire_anything() -> None:
    """One host in 1970 and one in 2100: moved to their arrival, counted; others stay as they are."""
    with running() as service:
        for service_name, years in (("past", -50), ("future", 70), ("now", 0)):
            entry = Line(service_name, "GET /books", 0, 120, [])
            entry.children = [
                Line(service_name, "SELECT * FROM authors WHERE id = %s", 8, 110, ["x12"])
            ]
            sent = as_if_now(request(Case(service_name, [entry])))
            for span in sent.resource_spans[0].scope_spans[0].spans:
                span.start_time_unix_nano += years * 31_556_952 * 10**9
                span.end_time_unix_nano += years * 31_556_952 * 10**9
            service.send(sent.SerializeToString())

        found = until(lambda: len(service.findings()) == 3 and service.findings())
        assert {f["service"] for f in found} == {"past", "future", "now"}
        assert {f["state"] for f in found} == {"new"}
        assert service.metric("spanlint_spans_clamped_total") == 26
        year = time.gmtime().tm_year
        assert all(abs(int(f["first_seen"][:4]) - year) <= 1 for f in found)

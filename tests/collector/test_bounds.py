"""Unique statements, paths and keys without end: what is kept stays within its bounds."""

from __future__ import annotations

import struct

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decode.protobuf import ProtobufDecoder
from collector.detect import Detector
from collector.ledger import Ledger
from collector.settings import Settings
from collector.store import Counters, Store
from detectors.kit import pricing
from detectors.kit.engine import Judgement
from detectors.kit.texts import Texts

START_S = 1_790_000_000
MOST_TEXTS = 2_000
QUIET = Settings(quiet_s=1, horizon_s=30, max_series=100)
REPEATS = 6


def unique(first: int, count: int, at_s: float) -> bytes:
    """Traces whose path, statement, key and instance nobody saw before; a loop in each."""
    built = ExportTraceServiceRequest()
    resource = built.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_spans.add()
    for number in range(first, first + count):
        trace = struct.pack(">QQ", 1, number)
        root = struct.pack(">Q", number * 100 + 1)
        rows = [("GET", 2, {"http.request.method": "GET", "url.path": f"/x{number}y/z{number}q"})]
        rows += [("SELECT", 3, sql(f"SELECT a FROM t{number}x WHERE id = %s"))] * REPEATS
        rows += [("get", 3, cached(f"get k{number}a:{number}"))]
        for index, (name, kind, attributes) in enumerate(rows):
            span = scope.spans.add(trace_id=trace, name=name, kind=kind)
            span.span_id = root if not index else struct.pack(">Q", number * 100 + 1 + index)
            span.parent_span_id = root if index else b""
            span.start_time_unix_nano = int(at_s * 1e9) + index * 1_000_000
            span.end_time_unix_nano = span.start_time_unix_nano + (
                1_000_000 if index else 50_000_000
            )
            for key, value in attributes.items():
                span.attributes.add(key=key).value.string_value = value
    return built.SerializeToString()


def sql(statement: str) -> dict[str, str]:
    return {"db.system.name": "postgresql", "db.query.text": statement}


def cached(command: str) -> dict[str, str]:
    return {"db.system.name": "memcached", "db.query.text": command}


def test_nothing_grows_with_what_was_never_seen_before() -> None:
    texts = Texts(max_texts=MOST_TEXTS, max_chars=500_000)
    decode = ProtobufDecoder(texts)
    told: list[int] = []
    detector = Detector(QUIET, texts, lambda facts: told.append(facts.counts.get("spans", 0)))
    counters = Counters(Store(""), QUIET.max_series)
    ledger = Ledger(Store(""), counters, (), int(QUIET.horizon_s * 1e9))
    kept = []

    for second in range(190):
        now = float(START_S + second)
        detector.accept(decode(unique(second * 25, 25, now)).frame, now)
        detector.tick(now)
        if second % 10 == 9:
            judgement = detector.judge(now)
            ledger.update(judgement, int(now * 1e9), detector.operations())
            rows = sum(f.height for f in detector.facts().frames.values())
            kept.append((len(texts), rows, len(detector.facts().texts), len(counters._values)))

    assert sum(told) > 35_000
    before, end = kept[-7], kept[-1]  # a minute apart, as panes are
    assert end[0] <= 2 * MOST_TEXTS
    assert end[1] <= before[1] * 1.1, "rows of facts go with the horizon"
    assert end[2] <= before[2] * 1.1
    assert end[3] <= 10 * QUIET.max_series
    assert len(ledger._counted) <= 4 * 60 * 25


def test_findings_of_one_rule_are_bounded_and_the_rest_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pricing.most_costly, "__defaults__", (20,))
    texts = Texts()
    decode = ProtobufDecoder(texts)

    def judged(order: int) -> Judgement:
        detector = Detector(QUIET, texts, lambda _: None)
        for number in range(0, 50, 10)[::order]:
            detector.accept(decode(unique(number, 10, START_S)).frame, START_S)
        detector.drain(START_S + 5)
        return detector.judge(START_S + 5)

    one, other = judged(1), judged(-1)

    mine = [f for f in one.findings if f.code == "N101"]
    assert len(mine) == 20
    assert one == other
    row = next(v for v in one.visibility if v.code == "N101")
    assert "30 more findings than the most costly that are given" in row.reason

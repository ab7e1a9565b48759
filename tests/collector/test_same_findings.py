"""One truth: `check` on a recording, in pieces, sent twice, and through the live server agree."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector import check
from collector.check import check_files
from collector.report.model import as_data
from detectors.kit.catalogue import tables
from detectors.kit.sampling import sample_key
from support.algebra import DRAWN
from support.otlp import as_json
from support.running import Running, as_if_now, running
from support.sketch import read_cases, request

PIECES = 100
CAP = 100
"""Rows of sampled tables: more than there are of reads that every sample keeps."""
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture(scope="module")
def recorded() -> ExportTraceServiceRequest:
    """Every drawn case of every rule, as if it had just ended."""
    whole = ExportTraceServiceRequest()
    for path in DRAWN:
        for case in read_cases(path):
            whole.MergeFrom(request(case))
    return as_if_now(whole)


@pytest.fixture(scope="module")
def expected(recorded: ExportTraceServiceRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("whole") / "whole.pb"
    path.write_bytes(recorded.SerializeToString())
    return checked([path])


def checked(paths: list[Path]) -> str:
    """Findings and visibility of files, to the last byte."""
    data = as_data(check_files([str(path) for path in paths]))
    assert len(data["findings"]) > 10
    return told(data["findings"], data["visibility"])


def told(findings: list[dict[str, Any]], visibility: list[dict[str, Any]]) -> str:
    return json.dumps([findings, visibility], indent=1, ensure_ascii=False)


def pieces(recorded: ExportTraceServiceRequest, seed: int) -> list[ExportTraceServiceRequest]:
    """The spans one by one, dealt to 100 requests at random."""
    dice = random.Random(seed)
    dealt = [ExportTraceServiceRequest() for _ in range(PIECES)]
    for resource in recorded.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                copy = dice.choice(dealt).resource_spans.add(resource=resource.resource)
                copy.scope_spans.add(scope=scope.scope).spans.append(span)
    for piece in dealt:
        shuffled = list(piece.resource_spans)
        dice.shuffle(shuffled)
        del piece.resource_spans[:]
        piece.resource_spans.extend(shuffled)
    return dealt


def test_in_pieces_of_any_format(
    recorded: ExportTraceServiceRequest, expected: str, tmp_path: Path
) -> None:
    paths = []
    for number, piece in enumerate(pieces(recorded, 1)):
        path = tmp_path / f"{number}"
        path.write_bytes(as_json(piece) if number % 2 else piece.SerializeToString())
        paths.append(path)

    assert checked(paths) == expected
    assert checked(paths[::-1]) == expected
    assert checked([tmp_path]) == expected


def test_pieces_that_were_sent_twice(
    recorded: ExportTraceServiceRequest, expected: str, tmp_path: Path
) -> None:
    lines = [as_json(piece) + b"\n" for piece in pieces(recorded, 2)]
    (tmp_path / "twice.jsonl").write_bytes(b"".join(lines + lines[::-1]))

    assert checked([tmp_path / "twice.jsonl"]) == expected


@pytest.mark.parametrize("times", [1, 2])
def test_through_the_live_server(
    recorded: ExportTraceServiceRequest, expected: str, times: int
) -> None:
    spans = sum(len(s.spans) for r in recorded.resource_spans for s in r.scope_spans)
    wanted = json.loads(expected)
    sent = pieces(recorded, 3) * times
    random.Random(times).shuffle(sent)
    # Windows close when all is there, however slow the machine: what closes them is tested elsewhere.
    with running(quiet_s=600.0, max_age_s=3_600.0) as service:
        send_at_once(service, sent)
        assert service.metric("spanlint_spans_received_total") == spans * times
        service.finish()
        assert service.metric("spanlint_spans_observed_total") == spans * times

        names = wanted[0][0].keys()
        found = [{name: f[name] for name in names} for f in service.findings()]
        assert told(found, service.get("/api/v1/visibility").json()) == expected
        assert service.metric("spanlint_spans_late_total") == 0


def send_at_once(service: Running, sent: list[ExportTraceServiceRequest]) -> None:
    """Half of them over gRPC and half over HTTP, four at a time."""
    with grpc.insecure_channel(service.at.otlp_grpc) as channel:
        export = channel.unary_unary(TRACES)

        def send(number: int) -> None:
            body = sent[number].SerializeToString()
            if number % 2:
                export(body, timeout=30)
            else:
                assert service.send(body).status_code == 200

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, range(len(sent))))


def test_what_is_beyond_the_caps_of_samples_is_told_alike_in_any_order(
    recorded: ExportTraceServiceRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was left out before it was observed, or as facts were merged."""
    sampled = [t for t in tables() if sample_key(t) is not None]
    for table in sampled:
        monkeypatch.setattr(type(table), "max_rows", CAP)
    paths = []
    for number, piece in enumerate(pieces(recorded, 4)):
        paths.append(tmp_path / f"{number}")
        paths[-1].write_bytes(piece.SerializeToString())

    reports = []
    for slab_rows, merge_every, order in ((10**6, 8, 1), (300, 2, 1), (200, 8, -1)):
        monkeypatch.setattr(check, "SLAB_ROWS", slab_rows)
        monkeypatch.setattr(check, "_MERGE_EVERY", merge_every)
        data = as_data(check_files([str(path) for path in paths[::order]]))
        found = told(data["findings"], data["visibility"])
        beyond = {t.name: data["summary"]["overflow"].get(t.name, 0) for t in sampled}
        reports.append((found, beyond))

    assert sum(map(bool, reports[0][1].values())) >= 2
    assert all(report == reports[0] for report in reports)

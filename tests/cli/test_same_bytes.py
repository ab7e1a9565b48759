"""The same spans give the same report, whatever pieces and order they come in."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.check import check_files
from collector.report import json, markdown, sarif, text
from collector.report.model import Report
from support.sketch import read_cases, request

DRAWN = sorted((Path(__file__).parents[1] / "detectors").glob("*.trace"))


@pytest.fixture(scope="module")
def recorded() -> ExportTraceServiceRequest:
    """Every drawn case of every rule."""
    whole = ExportTraceServiceRequest()
    for path in DRAWN:
        for case in read_cases(path):
            whole.MergeFrom(request(case))
    return whole


@pytest.fixture(scope="module")
def expected(recorded: ExportTraceServiceRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("whole") / "whole.pb"
    path.write_bytes(recorded.SerializeToString())
    report = check_files([str(path)])
    assert len(report.findings) > 10
    return written(report)


def written(report: Report) -> str:
    """A report in all formats that show everything."""
    return "".join(f.render(report) for f in (json, sarif, markdown)) + text.as_text(report)


def singles(recorded: ExportTraceServiceRequest) -> list[ExportTraceServiceRequest]:
    """A request for each span."""
    found = []
    for resource in recorded.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                one = ExportTraceServiceRequest()
                rebuilt = one.resource_spans.add()
                rebuilt.resource.CopyFrom(resource.resource)
                inner = rebuilt.scope_spans.add()
                inner.scope.CopyFrom(scope.scope)
                inner.spans.add().CopyFrom(span)
                found.append(one)
    return found


def pieces(recorded: ExportTraceServiceRequest, folder: Path, seed: int) -> list[str]:
    """100 files with the spans shuffled over them."""
    shuffled = singles(recorded)
    random.Random(seed).shuffle(shuffled)
    paths = []
    for number in range(100):
        merged = ExportTraceServiceRequest()
        for one in shuffled[number::100]:
            merged.MergeFrom(one)
        path = folder / f"{number}.pb"
        path.write_bytes(merged.SerializeToString())
        paths.append(str(path))
    return paths


def test_twice(recorded: ExportTraceServiceRequest, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "again.pb"
    path.write_bytes(recorded.SerializeToString())
    assert written(check_files([str(path)])) == expected


def test_in_a_hundred_pieces_shuffled(
    recorded: ExportTraceServiceRequest, expected: str, tmp_path: Path
) -> None:
    paths = pieces(recorded, tmp_path, seed=7)
    assert written(check_files(paths)) == expected
    assert written(check_files(paths[::-1])) == expected


def test_through_partitions_on_disk(
    recorded: ExportTraceServiceRequest, expected: str, tmp_path: Path
) -> None:
    paths = pieces(recorded, tmp_path, seed=8)
    assert written(check_files(paths, memory_mb=0)) == expected

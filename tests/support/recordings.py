"""Recordings for the command line, drawn as text; and the command itself, as a process."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.otlp import from_json
from support.sketch import read_cases, request

ROOT = Path(__file__).parents[2]

LAZY = """
# lazy loads
shop  GET /books  0..240
  shop  SELECT * FROM books  2..6
  shop  SELECT * FROM authors WHERE id = %s  8..230  x12
"""
JOINED = """
# one join
shop  GET /books  0..40
  shop  SELECT b.title, a.name FROM books b JOIN authors a ON a.id = b.author_id  2..30
"""


def drawn(text: str, folder: Path) -> ExportTraceServiceRequest:
    """All cases of a drawing in one request."""
    path = folder / "drawn.trace"
    path.write_text(text)
    whole = ExportTraceServiceRequest()
    for case in read_cases(path):
        whole.MergeFrom(request(case))
    return whole


def without(attributes: tuple[str, ...], recorded: ExportTraceServiceRequest) -> bytes:
    """The request with some span attributes deleted, as a processor would."""
    for resource in recorded.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                kept = [a for a in span.attributes if a.key not in attributes]
                del span.attributes[:]
                span.attributes.extend(kept)
                span.name = span.name.split(" ")[0]
    return recorded.SerializeToString()


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`spanlint ARGUMENTS` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "collector.cli.main", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
        env={**os.environ, **environ},
    )


@cache
def recorded() -> list[bytes]:
    """The bodies of all recordings, as protobuf."""
    return [
        from_json(line).SerializeToString()
        for path in sorted((ROOT / "tests" / "data").glob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


_TEXT = re.compile(
    rb'"key": ?"([\w.]+)", ?"value": ?\{"stringValue": ?("(?:[^"\\]|\\.)*")', re.ASCII
)


@cache
def _recorded_texts() -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for path in sorted((ROOT / "tests" / "data").rglob("*.jsonl.gz")):
        for name, text in set(_TEXT.findall(gzip.decompress(path.read_bytes()))):
            found.setdefault(name.decode(), {})[json.loads(text)] = None
    return {name: sorted(texts) for name, texts in found.items()}


def recorded_texts(*names: str) -> list[str]:
    """The distinct values of these attributes in all recordings, those of the zoo too."""
    return [text for name in names for text in _recorded_texts().get(name, ()) if text]

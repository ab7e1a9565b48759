"""The command line as a user runs it, and recordings drawn as text."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.otlp import as_json
from support.sketch import read_cases, request

ROOT = Path(__file__).parents[2]
LAZY = """\
# lazy
shop  GET /books  0..240
  shop  SELECT * FROM books  2..6
  shop  SELECT * FROM authors WHERE id = {i}  8..230  x12
=> nothing
"""
JOINED = """\
# joined
shop  GET /books  0..40
  shop  SELECT * FROM books JOIN authors ON authors.id = books.author_id  2..36
=> nothing
"""


@dataclass
class Result:
    """What a command left."""

    code: int
    out: str
    err: str


def spanlint(
    *arguments: str | Path, given: bytes = b"", env: dict[str, str] | None = None
) -> Result:
    """Runs `spanlint ARGUMENTS` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "collector.cli.main", *map(str, arguments)],
        input=given,
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONWARNINGS": "default"} | (env or {}),
        timeout=120,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def drawn(text: str, folder: Path) -> list[Any]:
    """The OTLP requests of drawn cases."""
    path = folder / "drawn.trace"
    path.write_text(text)
    return [request(case) for case in read_cases(path)]


def recorded(text: str, path: Path) -> Path:
    """A recording (OTLP/JSON lines) of drawn cases."""
    lines = [as_json(one) + b"\n" for one in drawn(text, path.parent)]
    path.write_bytes(b"".join(lines))
    return path

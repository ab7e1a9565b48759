"""Prints the table of docs/dashboards.md: what each query returns from a real Prometheus.

`PATH="$(./dev servers):$PATH" .venv/bin/python tests/dashboards/report.py`
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

PATIENCE_S = 60


def main() -> None:
    from dashboards.watch.questions import questions
    from support.watched import watched

    with tempfile.TemporaryDirectory() as folder, watched(Path(folder)) as running:
        print("| dashboard | panel and query | series |\n|---|---|---|")
        for question in questions():
            series = running.prometheus.wait_for(question.expr, PATIENCE_S)
            print(f"| {question.where} | {question.what} | {len(series)} |", flush=True)


if __name__ == "__main__":
    main()

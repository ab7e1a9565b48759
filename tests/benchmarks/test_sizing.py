"""The sizing table of the operate guide: what the figures say, and nothing else."""

from __future__ import annotations

import pytest

from benchmarks import sizing


def test_the_table_is_what_the_figures_say() -> None:
    figures, page = sizing.FIGURES.read_text("utf-8"), sizing.PAGE.read_text("utf-8")

    assert sizing.written(figures, page) == page, "run `python -m benchmarks.sizing`"


def test_cpu_follows_the_cost_of_a_span_and_memory_the_load() -> None:
    page = """
| gRPC spanlint forward | 9 | 10.0 | 11 | µs/span | | |
| HTTP spanlint forward | 9 | 20.0 | 21 | µs/span | | |
| memory, idle | 100 | 100 | 100 | MB | | |
| memory, 20,000 spans/s for 30 s | 300 | 300 | 300 | MB | | |
"""
    rows = {row.split(" | ")[0].strip("| "): row for row in sizing.table(page).splitlines()}

    assert rows["1,000"] == "| 1,000 | 10m | 20m | 1 | 140 MB |"
    # 20 µs a span are 0.4 of a core at 20,000 spans a second, and a whole one at 50,000
    assert rows["20,000"] == "| 20,000 | 200m | 400m | 1 | 390 MB |"
    assert rows["50,000"] == "| 50,000 | 500m | 1000m | 2 | 390 MB |"


def test_a_figure_that_is_gone_is_missed() -> None:
    with pytest.raises(LookupError, match="gRPC spanlint forward"):
        sizing.table("")

"""The sizing table of docs/operating.md, from the figures in docs/performance.md.

`python -m benchmarks.sizing` rewrites it; `./dev bench` does so at its end.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "performance.md"
PAGE = ROOT / "docs" / "operating.md"
_BEGIN, _END = "<!-- sizing: written by `./dev bench` -->", "<!-- /sizing -->"
RATES = (100, 1_000, 5_000, 20_000, 50_000)
"""Spans a second."""
_MEASURED_RATE = 20_000
_SHARE = 0.6
"""Of a core that an instance should use when all is well: the rest is for bursts."""
_MEMORY_SLACK = 1.3
"""Beyond what was measured: more services, more patterns, longer traces."""


def figure(page: str, name: str) -> float:
    """The median of a figure, however long it was measured. Raises LookupError without one."""
    found = re.search(
        rf"^\| {re.escape(name)}(?: for \d+ s)? \| [^|]+ \| ([0-9.,]+) \|", page, re.MULTILINE
    )
    if found is None:
        raise LookupError(f"{FIGURES.name} has no figure {name!r}")
    return float(found[1].replace(",", ""))


def table(page: str) -> str:
    """Rates, and what an instance that takes them needs."""
    us = {way: figure(page, f"{way} spanlint forward") for way in ("gRPC", "HTTP")}
    idle = figure(page, "memory, idle")
    loaded = figure(page, f"memory, {_MEASURED_RATE:,} spans/s")
    rows = [
        "| spans/s | CPU, OTLP/gRPC | CPU, OTLP/HTTP | instances | memory of each, at most |",
        "|--:|--:|--:|--:|--:|",
    ]
    for rate in RATES:
        cores = {way: rate * cost / 1e6 for way, cost in us.items()}
        instances = max(1, -int(-max(cores.values()) // _SHARE))
        each = min(rate / instances, _MEASURED_RATE)
        memory = (idle + (loaded - idle) * each / _MEASURED_RATE) * _MEMORY_SLACK
        told = " | ".join(f"{1000 * used:.0f}m" for used in cores.values())
        rows.append(f"| {rate:,} | {told} | {instances} | {round(memory, -1):.0f} MB |")
    return "\n".join(rows)


def written(figures: str, page: str) -> str:
    """The page with its table anew."""
    pattern = re.compile(re.escape(_BEGIN) + ".*" + re.escape(_END), re.DOTALL)
    return pattern.sub(lambda _: f"{_BEGIN}\n{table(figures)}\n{_END}", page)


def main() -> None:
    """Rewrites the table."""
    PAGE.write_text(written(FIGURES.read_text("utf-8"), PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()

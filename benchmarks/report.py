"""docs/performance.md and its plots, from the figures of a run."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import sizing
from benchmarks.figures import Figure, number
from benchmarks.plot import bars

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- figures: written by `./dev bench` -->", "<!-- /figures -->"
_TITLES = {
    "stages": "Stages, µs of CPU per span in one process",
    "tables": "Facts tables, marginal cost",
    "rules": "Rules, a judgement",
    "live": "The live server beside its peers, µs of CPU per accepted span",
    "check": "`spanlint check` on a recording",
    "process": "The process as a neighbour",
}


def write(figures: list[Figure], command: str, decoder: str) -> list[Path]:
    """Replaces the figures on the page and the plots; gives the files written."""
    written = [PAGE]
    groups = {g: [f for f in figures if f.group == g] for g in _TITLES}
    parts = [_BEGIN, _head(command, decoder)]
    for group, title in _TITLES.items():
        if not groups[group]:
            continue
        parts += [f"\n### {title}\n"]
        if group in ("stages", "live"):
            path = PAGE.with_name(f"performance-{group}.svg")
            drawn = [f for f in groups[group] if f.unit == "µs/span" and f.values[0] > 0]
            path.write_text(bars(title, drawn))
            written.append(path)
            parts += [f"![{title}]({path.name})\n"]
        parts += [_table(groups[group])]
    parts.append(_END)
    page = PAGE.read_text()
    pattern = re.compile(re.escape(_BEGIN) + ".*" + re.escape(_END), re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: "\n".join(parts), page))
    sizing.main()
    return [*written, sizing.PAGE]


def _head(command: str, decoder: str) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("polars", "grpcio", "uvicorn"))
    machine = f"{_cpu()}, {os.cpu_count()} cores, Linux {platform.release()}"
    day = datetime.now(UTC).date().isoformat()
    return (
        f"`{command}`, {day}, {decoder} decoder, Python {platform.python_version()}, "
        f"{packages}, {machine}."
    )


def _cpu() -> str:
    for row in Path("/proc/cpuinfo").read_text().splitlines():
        if row.startswith("model name"):
            return row.partition(":")[2].strip()
    return platform.machine()


def _table(figures: Iterable[Figure]) -> str:
    rows = [
        "| what | min | median | max | unit | budget | |",
        "|---|--:|--:|--:|---|--:|---|",
    ]
    for f in figures:
        low, middle, high = (number(v) for v in (min(f.values), f.middle, max(f.values)))
        budget = "" if f.budget is None else number(f.budget)
        verdict = f"**{f.verdict}**" if f.verdict == "over" else f.verdict
        told = " — ".join(t for t in (verdict, f.note) if t)
        name = "– " + f.name.strip() if f.name.startswith(" ") else f.name
        rows.append(f"| {name} | {low} | {middle} | {high} | {f.unit} | {budget} | {told} |")
    return "\n".join(rows)

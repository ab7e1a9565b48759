"""`spanlint check` on a large recording: wall time, CPU, peak memory; and a profile of it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.bodies import Body, as_json, freshen
from benchmarks.figures import BUDGETS, Figure
from benchmarks.figures import Path as DecodePath

ROOT = Path(__file__).parents[1]
_ROUND_NS = 20_000_000_000
"""Event time from one round of bodies to the next: longer than a round of 200 bodies lasts."""


def write_recording(path: Path, bodies: list[Body], spans: int, *, json_lines: bool = False) -> int:
    """What the Collector's file exporter writes: messages behind their length, or lines of JSON.

    Gives the number of spans, at least `spans`.
    """
    written = round_ = 0
    with path.open("wb") as file:
        while written < spans:
            for body in bodies:
                data = freshen(body, round_, round_ * _ROUND_NS)
                if json_lines:
                    file.write(as_json(data) + b"\n")
                else:
                    file.write(len(data).to_bytes(4, "big") + data)
                written += body.spans
                if written >= spans:
                    break
            round_ += 1
    return written


@contextmanager
def recording(bodies: list[Body], spans: int, **how: Any) -> Iterator[tuple[Path, int]]:
    """A recording in a temporary folder, and its spans."""
    with tempfile.TemporaryDirectory(prefix="spanlint-bench-") as folder:
        path = Path(folder) / "spans.otlp"
        yield path, write_recording(path, bodies, spans, **how)


def check_figures(bodies: list[Body], spans: int, path: DecodePath) -> Iterator[Figure]:
    """Wall, CPU and peak memory of `check`; budgets are those of a million spans."""
    with recording(bodies, spans) as (file, count):
        told = _timed(file)
    if told["exit"] != 1:  # the workload has faults: anything else is no check
        raise RuntimeError(f"check ended with {told['exit']}")
    scale = count / 1_000_000
    name = f"check, {count:,} spans"
    wall, memory = BUDGETS["check, wall s"][path] * scale, BUDGETS["check, peak MB"][path]
    yield Figure("check", f"{name}, wall", "s", (told["wall_s"],), wall, "both cores")
    yield Figure("check", f"{name}, peak memory", "MB", (told["peak_mb"],), memory)
    yield Figure("check", f"{name}, CPU", "µs/span", (told["cpu_s"] / count * 1e6,))


def _timed(file: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.timed", sys.executable]
    command += ["-m", "collector.cli.main", "check", str(file), "--format", "json"]
    ran = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told


def print_profile(bodies: list[Body], spans: int) -> None:
    """The functions of `check` by their own time, with their calls a span."""
    import cProfile
    import pstats

    from collector.check import check_files

    with recording(bodies, spans) as (file, count):
        profile = cProfile.Profile()
        profile.runcall(check_files, [str(file)])
    stats = pstats.Stats(profile)
    stats.sort_stats("tottime").print_stats(40)
    print(f"{count:,} spans; functions that are called once a span or more:")
    for name, calls in sorted(calls_per_span(stats, count).items(), key=lambda c: -c[1]):
        print(f"  {calls:8.2f}  {name}")


def calls_per_span(stats: Any, spans: int, least: float = 1.0) -> dict[str, float]:
    """Python functions called at least `least` times a span, as file:function."""
    found: dict[str, float] = {}
    for (file, _, name), (_, calls, *_) in stats.stats.items():
        if calls / spans >= least and not file.startswith("~"):
            found[f"{file}:{name}"] = calls / spans
    return found

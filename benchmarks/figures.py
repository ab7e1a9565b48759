"""A measured figure beside what it may cost. Nothing is missed silently: over is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Path = Literal["reference", "native"]

BUDGETS: dict[str, dict[Path, float]] = {
    # µs of CPU per accepted span; 512 spans a request, ~650 bytes and 11 attributes a span.
    "receive": {"reference": 1.0, "native": 1.0},
    "decode": {"reference": 14.0, "native": 0.6},
    "shapes, cached": {"reference": 0.1, "native": 0.3},
    "shapes, new": {"reference": 1.5, "native": 0.3},
    "structure": {"reference": 0.3, "native": 0.3},
    "window": {"reference": 0.6, "native": 0.6},
    "observe": {"reference": 1.0, "native": 0.7},
    "forward": {"reference": 0.5, "native": 0.5},
    "whole": {"reference": 19.0, "native": 4.5},
    "whole, HTTP": {"reference": 19.0, "native": 3.0},
    "ratio to rotel": {"native": 0.35},
    # The process. 1 M spans in 10 s is asked of the native path only.
    "check, wall s": {"reference": 25.0, "native": 10.0},
    "check, peak MB": {"reference": 1_000.0, "native": 1_000.0},
    "idle memory MB": {"reference": 100.0, "native": 100.0},
    "idle CPU %": {"reference": 1.0, "native": 1.0},
    "ready s": {"reference": 2.0, "native": 2.0},
    "memory under load MB": {"reference": 400.0, "native": 400.0},
}


@dataclass(frozen=True, slots=True)
class Figure:
    """Values of repeated measurements of one thing.

    budget: the most that the median may be; None where nothing is promised.
    """

    group: str
    name: str
    unit: str
    values: tuple[float, ...]
    budget: float | None = None
    note: str = ""

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """`ok`, `over`, or nothing where there is no budget."""
        if self.budget is None:
            return ""
        return "ok" if self.middle <= self.budget else "over"


def cpu_us_per(units: int, call: Callable[[], Any]) -> float:
    """µs of CPU of this process, all threads, per unit of what `call` works on."""
    started = time.process_time_ns()
    call()
    return (time.process_time_ns() - started) / 1_000 / units


def repeated(times: int, units: int, call: Callable[[], Any]) -> tuple[float, ...]:
    """So many measurements, after one that warms caches up."""
    call()
    return tuple(cpu_us_per(units, call) for _ in range(times))


HEADER = f"{'what':44} {'min':>9} {'median':>9} {'max':>9} {'unit':8} {'budget':>8} verdict"


def line(figure: Figure) -> str:
    """The figure as a line of a table in text."""
    low, middle, high = min(figure.values), figure.middle, max(figure.values)
    budget = "" if figure.budget is None else _number(figure.budget)
    numbers = f"{_number(low):>9} {_number(middle):>9} {_number(high):>9}"
    note = f"  {figure.note}" if figure.note else ""
    return f"{figure.name:44} {numbers} {figure.unit:8} {budget:>8} {figure.verdict}{note}"


def _number(value: float) -> str:
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"


def number(value: float) -> str:
    """A value with as many digits as can be believed."""
    return _number(value)

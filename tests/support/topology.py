"""Traffic through made-up services: who calls whom, how long each works, and what goes wrong.

Times are drawn with a seed. A fault adds to one edge, slows one service, cuts calls off or lets
calls run on after their entry; everything else stays as it is.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from detectors.kit.texts import Texts
from support.frames import TEXT_COLUMNS, frame, span

MS = 1_000_000
SHOP = {
    "gateway": ["cart", "search"],
    "cart": ["price", "stock", "users"],
    "search": ["price", "index"],
    "price": [],
    "stock": [],
    "users": [],
    "index": [],
}


@dataclass
class Faults:
    """delay: ms on an edge; slow: factor of a service's own time; skip: (caller, from the n-th call
    on, share); fail: services whose callers swallow an exception; on: calls that run on, ms."""

    delay: dict[tuple[str, str], float] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    skip: dict[str, tuple[int, float]] = field(default_factory=dict)
    background: dict[tuple[str, str], float] = field(default_factory=dict)
    drift: float = 1.0


class Traffic:
    """Traces of `calls` (service -> services it calls, one after the other)."""

    def __init__(self, seed: int, calls: dict[str, list[str]] = SHOP) -> None:
        self.random = random.Random(seed)
        self.calls = calls
        self.rows: list[dict[str, Any]] = []
        self.texts = Texts()
        self.last_id = 0

    def run(self, traces: int, start_s: float, every_s: float, faults: Faults) -> None:
        """Adds so many traces, one every `every_s` seconds from `start_s` on."""
        for n in range(traces):
            begun = int((start_s + n * every_s) * 1e9)
            self._serve("gateway", None, begun, faults, n + int(start_s * 1_000))

    def frame(self) -> pl.DataFrame:
        """All spans."""
        return frame(*self.rows)

    def _span(self, parent: int | None, trace: int, **columns: Any) -> int:
        self.last_id += 1
        for name in TEXT_COLUMNS:
            if isinstance(columns.get(name), str):
                self.texts.code(columns[name])
        self.rows.append(span(self.last_id, parent, trace=trace, **columns))
        return self.last_id

    def _work_ns(self, service: str, faults: Faults) -> int:
        own_ms = self.random.lognormvariate(1.0, 0.4) * faults.drift
        return int(own_ms * faults.slow.get(service, 1.0) * MS)

    def _serve(
        self, service: str, parent: int | None, start: int, faults: Faults, trace: int
    ) -> int:
        """The end of the entry; its span is added when its duration is known."""
        place = len(self.rows)
        entry = self._span(
            parent, trace, service=service, kind="server", category="http",
            label=f"GET /{service}", name="GET", at=(start, start), http_status=200,
        )  # fmt: skip
        at = start + self._work_ns(service, faults) // 2
        cut_at, share = faults.skip.get(service, (99, 0.0))
        cut = self.random.random() < share
        for n, callee in enumerate(self.calls[service]):
            if cut and n >= cut_at:
                break
            at = self._call(service, callee, entry, at, faults, trace)
        end = at + self._work_ns(service, faults) // 2
        self.rows[place]["duration_ns"] = end - start
        return end

    def _call(
        self, caller: str, callee: str, parent: int, start: int, faults: Faults, trace: int
    ) -> int:
        place = len(self.rows)
        client = self._span(
            parent, trace, service=caller, kind="client", category="http",
            label=f"GET {callee}/{callee}", shape=f"GET {callee}/{callee}", name="GET",
            operation="GET", target=f"/{callee}", peer=callee, at=(start, start), http_status=200,
        )  # fmt: skip
        wire = int(self.random.lognormvariate(-0.5, 0.3) * faults.drift * MS)
        wire += int(faults.delay.get((caller, callee), 0.0) * MS)
        end = self._serve(callee, client, start + wire // 2, faults, trace) + wire // 2
        self.rows[place]["duration_ns"] = end - start
        longer = faults.background.get((caller, callee))
        if longer is not None:  # the caller does not wait
            self.rows[place]["duration_ns"] = int(longer * MS)
            return start + MS // 10
        return end

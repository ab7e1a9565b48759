"""The process as a neighbour: how soon it is ready, what it takes when nothing or much happens."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks import servers
from benchmarks.bodies import START_NS, Body, freshen
from benchmarks.figures import BUDGETS, Figure, Path
from benchmarks.live import observed

RATE = 20_000
"""Spans a second under load."""
_QUIET_S, _MAX_AGE_S = 10.0, 60.0
"""As a server has them that nobody configured."""
_FIRST_JUDGEMENT_S = 7.0
"""It is judged by then for the first time, which loads what is loaded lazily."""
_SCRAPE_S = 15.0
_IDLE_SCRAPES = 6
"""So long that several judgements of an idle process fall into it: half a minute apart."""


def process_figures(
    bodies: list[Body], path: Path, idle_s: float, load_s: float
) -> Iterator[Figure]:
    """Time to ready, memory and CPU when idle, memory under 20,000 spans a second."""
    with ExitStack() as stack:
        manager: Any = servers.spanlint(quiet_s=_QUIET_S, max_age_s=_MAX_AGE_S)
        server = stack.enter_context(manager)

        def figure(name: str, unit: str, value: float, budget: str) -> Figure:
            return Figure("process", name, unit, (value,), BUDGETS[budget][path])

        yield figure("ready to receive", "s", server.ready_s, "ready s")
        time.sleep(_FIRST_JUDGEMENT_S)
        yield figure("memory, idle", "MB", server.memory_mb(), "idle memory MB")
        before = server.spent()
        time.sleep(idle_s)
        share = (server.spent() - before) / idle_s * 100
        yield figure("CPU, idle, before any span", "% of a core", share, "idle CPU %")
        if load_s:
            held = load(server, bodies, load_s)
            name = f"memory, {RATE:,} spans/s for {load_s:.0f} s"
            note = f"the peak; the sender was {held.late_s:.0f} s late"
            if held.late_s < 1:
                note = "the peak; the sender kept up"
            name_of_cpu = f"CPU, {RATE:,} spans/s"
            told = "HTTP, over one connection; the sender is on the other core"
            whole = BUDGETS["whole"][path]
            yield Figure("process", name_of_cpu, "µs/span", (held.cpu_us,), whole, told)
            budget = BUDGETS["memory under load MB"][path]
            yield Figure("process", name, "MB", (held.peak_mb,), budget, note)
            note = "the mean of the last quarter over that of the one before"
            yield Figure("process", "memory, growth", "×", (held.growth,), note=note)
            for name, value in (("median", held.answer_ms(0.5)), ("99th", held.answer_ms(0.99))):
                note = "over one connection; judgements go on"
                yield Figure("process", f"answers, {name}", "ms", (value,), note=note)
            share = _scraped_share(server)
            note = f"scraped every {_SCRAPE_S:.0f} s"
            budget = BUDGETS["idle CPU %"][path]
            name = "CPU, idle, facts in the horizon"
            yield Figure("process", name, "% of a core", (share,), budget, note)
    began = time.monotonic()
    command = [sys.executable, "-m", "collector.cli.main", "check", "--help"]
    subprocess.run(command, cwd=servers.ROOT, check=True, stdout=subprocess.DEVNULL)
    yield Figure("process", "spanlint check --help", "s", (time.monotonic() - began,))


def _scraped_share(server: servers.Server) -> float:
    """CPU in percent of a core of a server whose last traces are closed and judged."""
    deadline = time.monotonic() + _MAX_AGE_S + 60
    before, now = -1, observed(server)
    while before < now and time.monotonic() < deadline:
        time.sleep(_MAX_AGE_S / 2)  # traces that await a parent close for their age
        before, now = now, observed(server)
    began, spent = time.monotonic(), server.spent()
    for _ in range(_IDLE_SCRAPES):
        time.sleep(_SCRAPE_S)
        observed(server)
    return (server.spent() - spent) / (time.monotonic() - began) * 100


@dataclass(frozen=True, slots=True)
class Held:
    """What a steady rate took: memory at its peak and with every request, CPU a span.

    cpu_us: from when the first traces are closed on, for what was sent since. late_s: how late the
    sender was at most. answers_s: how long each request waited for its answer.
    """

    cpu_us: float
    peak_mb: float
    memory_mb: list[float]
    late_s: float
    answers_s: list[float]

    def answer_ms(self, share: float) -> float:
        """So long that this share of the answers took no longer."""
        return sorted(self.answers_s)[int(share * (len(self.answers_s) - 1))] * 1e3

    @property
    def growth(self) -> float:
        """The last quarter over the third; horizons and windows are full by then, or never."""
        quarter = max(1, len(self.memory_mb) // 4)
        return fmean(self.memory_mb[-quarter:]) / fmean(self.memory_mb[-2 * quarter : -quarter])


def _post(connection: http.client.HTTPConnection, data: bytes) -> None:
    connection.request("POST", "/v1/traces", data, {"content-type": "application/x-protobuf"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"a request was refused with {answer.status}")


def load(server: servers.Server, bodies: list[Body], seconds: float) -> Held:
    """Sends at a steady rate."""
    began, round_, sent = time.monotonic(), 1_000, 0
    connection = http.client.HTTPConnection(server.http, timeout=60)
    late, memory, answers = 0.0, [], []
    steady: tuple[float, int] | None = None
    while sent < RATE * seconds:
        round_ += 1
        for body in bodies:
            due = began + sent / RATE
            late = max(late, time.monotonic() - due)
            time.sleep(max(0.0, due - time.monotonic()))
            shift = time.time_ns() - START_NS - 1_000_000_000
            data = freshen(body, round_, shift)
            asked = time.monotonic()
            _post(connection, data)
            answers.append(time.monotonic() - asked)
            sent += body.spans
            memory.append(server.memory_mb())
            if steady is None and time.monotonic() - began > _QUIET_S + 5:
                steady = server.spent(), sent
            if sent >= RATE * seconds:
                break
    spent, since = steady or (0.0, 0)
    cpu_us = (server.spent() - spent) / max(1, sent - since) * 1e6
    return Held(cpu_us, server.memory_mb("VmHWM"), memory, late, answers)

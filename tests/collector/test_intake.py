"""Requests that wait together are decoded together, and each is answered for itself."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from collector.decode.model import Counts
from collector.handover import Handover
from collector.receive import intake as module
from collector.receive.bodies import Refusal
from collector.receive.intake import RECEIVED, Intake
from collector.settings import Settings
from collector.store import STAGE_RUNS, Counters, Store
from detectors.kit.texts import Texts
from support.otlp import as_json
from support.running import as_if_now
from support.sketch import Case, Line, request


class Door:
    """An intake whose worker is held up until `open`."""

    def __init__(self, **settings: Any) -> None:
        texts = Texts()
        self.settings = Settings(**settings)
        self.handover = Handover()
        self.counters = Counters(Store(""), 100)
        self.worker = ThreadPoolExecutor(1)
        self.intake = Intake(
            self.settings, texts, self.handover, self.counters, self.worker, forwarder=None
        )
        self._taken = 0
        self._gate = threading.Event()
        self.worker.submit(self._gate.wait, 30)

    def open(self) -> None:
        self._gate.set()

    @property
    def rows(self) -> int:
        """Spans that were handed over."""
        self.worker.submit(self.intake.flush).result(30)
        return self.taken()

    def taken(self) -> int:
        self._taken += sum(len(spans) for spans, _ in self.handover.take())
        return self._taken


def spans(name: str, count: int = 1) -> Any:
    lines = [Line("shop", f"GET /books/{name}", 0, 20, []) for _ in range(count)]
    return as_if_now(request(Case(name, lines)))


async def all_of(door: Door, *coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Their results, or what they raised; the worker is held up until all have begun."""
    tasks = [asyncio.ensure_future(c) for c in coroutines]
    await asyncio.sleep(0)
    door.open()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_what_waits_is_decoded_at_once_and_answered_one_by_one() -> None:
    door = Door()
    protobuf = spans("a", 3).SerializeToString()
    written = as_json(spans("b", 2))

    async def told() -> list[Any]:
        take = door.intake.take
        return await all_of(
            door,
            take("traces", protobuf),
            take("traces", b"\xff\xff"),
            take("traces", written, json=True),
            take("traces", gzip.compress(protobuf), encoding="gzip"),
            take("traces", protobuf, encoding="br"),
            take("logs", b""),
        )

    first, broken, second, third, unknown, logs = asyncio.run(told())

    assert [c.accepted for c in (first, second, third, logs)] == [3, 2, 3, 0]
    assert isinstance(broken, Refusal)
    assert broken.reason == "malformed"
    assert isinstance(unknown, Refusal)
    assert unknown.reason == "unsupported"
    assert door.counters.value(STAGE_RUNS, ("decode",)) == 1
    assert door.rows == 8
    assert door.counters.value(RECEIVED) == 8
    assert door.intake.pending_bytes == 0


def test_a_sender_that_goes_away_is_missed_by_nobody() -> None:
    door = Door()

    async def told() -> list[Any]:
        body = spans("a").SerializeToString()
        gone, stays = (asyncio.ensure_future(door.intake.take("traces", body)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        return await all_of(door, *(asyncio.wait_for(t, 30) for t in (gone, stays)))

    gone, stays = asyncio.run(told())

    assert isinstance(gone, asyncio.CancelledError)
    assert stays == Counts(1)
    assert door.intake.pending_bytes == 0


def test_more_than_a_batch_is_answered_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH_BYTES", 1)
    door = Door()
    bodies = [spans(f"n{n}").SerializeToString() for n in range(5)]

    async def told() -> list[Any]:
        return await all_of(door, *(door.intake.take("traces", b) for b in bodies))

    assert asyncio.run(told()) == [Counts(1)] * 5
    assert door.counters.value(STAGE_RUNS, ("decode",)) == 5
    assert door.rows == 5


def test_a_frame_is_made_when_there_are_rows_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FRAME_ROWS", 4)
    door = Door()

    async def told() -> None:
        await all_of(door, door.intake.take("traces", spans("a", 3).SerializeToString()))
        before = door.taken()
        await door.intake.take("traces", spans("b", 3).SerializeToString())
        assert (before, door.taken()) == (0, 6)

    asyncio.run(told())


def test_spans_count_as_held_from_their_answer_until_they_were_analysed() -> None:
    door = Door(max_rows=3)
    body = spans("a", 3).SerializeToString()

    async def refused() -> None:
        with pytest.raises(Refusal, match="too many open spans"):
            await door.intake.take("traces", body)

    async def told() -> None:
        await all_of(door, door.intake.take("traces", body))
        await refused()  # they wait for a frame
        assert door.rows == 3
        await refused()  # they are with the analysis
        door.handover.analysed += 3
        assert await door.intake.take("traces", body) == Counts(3)

    asyncio.run(told())
    assert door.rows == 6
    assert door.handover.held == 3


def test_draining_ends_when_all_that_was_taken_is_answered_and_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BATCH_BYTES", 1)
    door = Door()
    body = spans("a", 2).SerializeToString()

    async def told() -> None:
        takes = [asyncio.ensure_future(door.intake.take("traces", body)) for _ in range(3)]
        await asyncio.sleep(0)
        draining = asyncio.ensure_future(door.intake.drain())
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="stopping"):
            await door.intake.take("traces", body)
        assert not draining.done()
        door.open()
        await asyncio.wait_for(draining, 30)
        assert [t.result() for t in takes] == [Counts(2)] * 3
        assert door.taken() == door.handover.held == 6
        await asyncio.wait_for(door.intake.drain(), 30)

    asyncio.run(told())

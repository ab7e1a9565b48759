"""The native spool: rows stay as the native decoder packs them until their slab is due."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

import polars as pl
import spanlint_native  # type: ignore[import-not-found, unused-ignore]  # may not be built

from collector.decode.bridge import COLUMNS
from collector.decode.classify import CODED
from collector.spool.model import PARTITIONS, Spool
from collector.window.native import words_of

_NO_LIMITS = (0.0, 0.0, 2**62, 1e12)
"""Of a window that closes when it is told to, and moves no times."""


class NativeSpool(Spool):
    """Takes batches of the native decoder; frames too, which costs more."""

    def __init__(self, budget_bytes: int) -> None:
        super().__init__(budget_bytes)
        self._native = _spool()
        self._dealt = [0] * PARTITIONS
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="spanlint-spill")
        self._writing: Future[list[int]] | None = None

    def close(self) -> None:
        """Ends the writing, and takes the folder away."""
        self._writer.shutdown()
        super().close()

    def add(self, spans: Sized) -> None:
        """Takes spans of any traces, in any order."""
        if not len(spans):
            return
        self.rows += len(spans)
        if isinstance(spans, pl.DataFrame):
            self._native.add_columns(*words_of(spans))
        else:
            self._native.add(cast("spanlint_native.Batch", spans))
        if self._native.bytes > self.budget_bytes // 2:  # as much may be on its way to the disk
            self._spill()

    def slabs(self, rows: int) -> Iterator[pl.DataFrame]:
        """Frames of whole traces, each by start, at most so many rows each where possible."""
        if not self.on_disk:
            window = _window()
            self._native.pour(window)
            yield from _slabs(window, rows)
            return
        self._spill()
        self._written()
        for numbers in self._gathered(rows):
            window = _window()
            for number in numbers:
                self._native.pour(window, (self.folder, number))
            yield from _slabs(window, rows)

    def _spill(self) -> None:
        """Has all rows in memory written while more are read."""
        self._written()
        full, self._native = self._native, _spool()
        self._writing = self._writer.submit(full.spill, self.folder)

    def _written(self) -> None:
        """Waits until what is on its way to the disk is there."""
        if self._writing is not None:
            for number, rows in enumerate(self._writing.result()):
                self._dealt[number] += rows
            self._writing = None

    def _gathered(self, rows: int) -> Iterator[list[int]]:
        """Partitions, as many at a time as a slab has room for: a slab has a fixed cost."""
        numbers: list[int] = []
        room = rows
        for number, size in enumerate(self._dealt):
            if not size:
                continue
            if numbers and size > room:
                yield numbers
                numbers, room = [], rows
            numbers.append(number)
            room -= size
        if numbers:
            yield numbers


def _spool() -> spanlint_native.Spool:
    return spanlint_native.Spool(COLUMNS, CODED)


def _window() -> spanlint_native.Window:
    return spanlint_native.Window(COLUMNS, CODED, _NO_LIMITS, 0)


def _slabs(window: spanlint_native.Window, rows: int) -> Iterator[pl.DataFrame]:
    window.finish(None)
    while (taken := window.take(rows)) is not None:
        yield pl.DataFrame(taken)

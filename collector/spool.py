"""Holds all spans of a recording, in memory or on disk, and gives them back as whole traces.

Below the budget everything stays in memory. Above it, rows are dealt by trace to partitions on
disk (Arrow IPC), and one partition at a time is read back: the same memory for ten times the input.
"""

from __future__ import annotations

import shutil
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from collector.window.model import SLAB_ROWS
from collector.window.slabs import Chunk, cut
from detectors.kit import forest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

PARTITIONS = 64
_SHIFT = np.uint64(58)
"""The upper 6 bits of a mixed trace id choose one of the 64 partitions."""


class Spool:
    """Takes frames of span columns, gives slabs of whole traces. Use as a context manager.

    Args:
        budget_bytes: span columns kept in memory before they go to disk.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self.rows = 0
        self._fresh: list[pl.DataFrame] = []
        self._fresh_rows = 0
        self._frames: list[pl.DataFrame] = []
        self._bytes = 0
        self._folder: Path | None = None
        self._spills = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def on_disk(self) -> bool:
        """Whether the budget was passed."""
        return self._folder is not None

    def add(self, frame: pl.DataFrame) -> None:
        """Takes spans of any traces, in any order."""
        if frame.height:
            self.rows += frame.height
            self._fresh.append(frame)
            self._fresh_rows += frame.height
            if self._fresh_rows >= SLAB_ROWS:
                self._settle()

    def slabs(self) -> Iterator[pl.DataFrame]:
        """Frames of whole traces, about `SLAB_ROWS` rows each; call once, at the end."""
        self._settle()
        if self._folder is None:
            yield from _whole(self._frames)
            return
        self._spill()
        for frames in self._gathered(self._folder):
            yield from _whole(frames)

    def _gathered(self, folder: Path) -> Iterator[list[pl.DataFrame]]:
        """Partitions, as many at a time as a slab has room for: a slab has a fixed cost."""
        frames: list[pl.DataFrame] = []
        for number in range(PARTITIONS):
            more = [pl.read_ipc(p) for p in sorted(folder.glob(f"{number:02d}-*.arrow"))]
            if frames and sum(f.height for f in (*frames, *more)) > SLAB_ROWS:
                yield frames
                frames = []
            frames += more
        yield frames

    def _settle(self) -> None:
        """Many small frames become one."""
        if self._fresh:
            frame = pl.concat(self._fresh).rechunk()
            self._fresh, self._fresh_rows = [], 0
            self._frames.append(frame)
            self._bytes += int(frame.estimated_size())
            if self._bytes > self._budget:
                self._spill()

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="spanlint-"))
        if not self._frames:
            return
        frame = pl.concat(self._frames)
        self._frames, self._bytes = [], 0
        places = _keys(frame) >> _SHIFT
        order = np.argsort(places, kind="stable")
        dealt = frame[order]
        ends = np.searchsorted(places[order], np.arange(PARTITIONS + 1, dtype=np.uint64)).tolist()
        for number, (start, end) in enumerate(pairwise(ends)):
            if start < end:
                path = self._folder / f"{number:02d}-{self._spills:06d}.arrow"
                dealt[start:end].write_ipc(path)
        self._spills += 1


def _keys(frame: pl.DataFrame) -> forest.Ids:
    return forest.spread(frame["trace_hi"].to_numpy(), frame["trace_lo"].to_numpy())


def _whole(frames: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    if frames:
        frame = pl.concat(frames)
        yield from cut(Chunk(frame, _keys(frame)))

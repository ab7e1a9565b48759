"""The spool of frames: Arrow IPC on disk."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl

from collector.spool.model import PARTITIONS, Spool
from collector.window.model import SLAB_ROWS
from collector.window.slabs import Chunk, cut
from detectors.kit import forest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized

_SHIFT = np.uint64(58)
"""The upper 6 bits of a mixed trace id choose one of the 64 partitions."""


class ReferenceSpool(Spool):
    """Takes frames of span columns."""

    def __init__(self, budget_bytes: int) -> None:
        super().__init__(budget_bytes)
        self._fresh: list[pl.DataFrame] = []
        self._fresh_rows = 0
        self._frames: list[pl.DataFrame] = []
        self._bytes = 0
        self._spills = 0

    def add(self, spans: Sized) -> None:
        """Takes spans of any traces, in any order."""
        frame = pl.DataFrame(cast("pl.DataFrame", spans))
        if frame.height:
            self.rows += frame.height
            self._fresh.append(frame)
            self._fresh_rows += frame.height
            if self._fresh_rows >= SLAB_ROWS:
                self._settle()

    def slabs(self, rows: int) -> Iterator[pl.DataFrame]:
        """Frames of whole traces, about so many rows each, but no more than `SLAB_ROWS`."""
        rows = min(rows, SLAB_ROWS)
        self._settle()
        if not self.on_disk:
            yield from _whole(self._frames)
            return
        self._spill()
        for frames in self._gathered(rows):
            yield from _whole(frames)

    def _gathered(self, rows: int) -> Iterator[list[pl.DataFrame]]:
        """Partitions, as many at a time as a slab has room for: a slab has a fixed cost."""
        frames: list[pl.DataFrame] = []
        for number in range(PARTITIONS):
            more = [pl.read_ipc(p) for p in sorted(self.folder.glob(f"{number:02d}-*.arrow"))]
            if frames and sum(f.height for f in (*frames, *more)) > rows:
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
            if self._bytes > self.budget_bytes:
                self._spill()

    def _spill(self) -> None:
        folder = self.folder
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
                path = folder / f"{number:02d}-{self._spills:06d}.arrow"
                dealt[start:end].write_ipc(path)
        self._spills += 1


def _keys(frame: pl.DataFrame) -> forest.Ids:
    return forest.spread(frame["trace_hi"].to_numpy(), frame["trace_lo"].to_numpy())


def _whole(frames: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    if frames:
        frame = pl.concat(frames)
        yield from cut(Chunk(frame, _keys(frame)))

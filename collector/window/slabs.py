"""The buffers of a window: rows of spans with their traces, by second of arrival.

A trace is known here by one mixed 64-bit number. Two traces that mix to the same number, which is
next to never, are kept and closed together and remain two traces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collector.window.model import SLAB_ROWS
from detectors.kit.forest import Ids, Mask


@dataclass(slots=True)
class Chunk:
    """Rows of spans and the mixed trace id of each row."""

    frame: pl.DataFrame
    keys: Ids

    def take(self, mask: Mask) -> Chunk:
        """The rows of a mask."""
        if mask.all():
            return self
        return Chunk(self.frame.filter(pl.Series(mask)), self.keys[mask])


@dataclass(slots=True)
class Slab:
    """The rows of one second of arrival, and its traces (sorted) with their rows."""

    chunks: list[Chunk] = field(default_factory=list)
    rows: int = 0
    _traces: tuple[Ids, NDArray[np.int64]] | None = None

    def add(self, chunk: Chunk) -> None:
        """Takes rows in."""
        if len(chunk.keys):
            self.chunks.append(chunk)
            self.rows += len(chunk.keys)
            self._traces = None

    def traces(self) -> tuple[Ids, NDArray[np.int64]]:
        """Distinct mixed trace ids, ascending, and the number of rows of each."""
        if self._traces is None:
            keys = [c.keys for c in self.chunks] or [np.empty(0, np.uint64)]
            self._traces = np.unique(np.concatenate(keys), return_counts=True)
        return self._traces

    def pull(self, wanted: Ids) -> list[Chunk]:
        """Takes the rows of some traces (sorted keys) out."""
        if not within(self.traces()[0], wanted).any():
            return []
        pulled, kept = [], []
        for chunk in self.chunks:
            mask = within(chunk.keys, wanted)
            pulled.append(chunk.take(mask))
            kept.append(chunk.take(~mask))
        self.chunks, self.rows, self._traces = [], 0, None
        for chunk in kept:
            self.add(chunk)
        return [c for c in pulled if len(c.keys)]


def within(keys: Ids, sorted_set: Ids) -> Mask:
    """Which keys are in an ascending array."""
    if not len(sorted_set):
        return np.zeros(len(keys), np.bool_)
    places = np.minimum(np.searchsorted(sorted_set, keys), len(sorted_set) - 1)
    return np.asarray(sorted_set[places] == keys)


def join(chunks: list[Chunk]) -> Chunk:
    """All rows of one or more chunks."""
    if len(chunks) == 1:
        return chunks[0]
    return Chunk(pl.concat([c.frame for c in chunks]), np.concatenate([c.keys for c in chunks]))


def cut(chunk: Chunk) -> list[pl.DataFrame]:
    """Frames of at most `SLAB_ROWS` rows, except where one trace is larger."""
    if len(chunk.keys) <= SLAB_ROWS:
        return [chunk.frame]
    order = np.argsort(chunk.keys, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(chunk.keys[order])) + 1, len(order))
    cuts = [0]
    while cuts[-1] < len(order):
        fitting = int(np.searchsorted(ends, cuts[-1] + SLAB_ROWS, side="right"))
        following = int(np.searchsorted(ends, cuts[-1], side="right"))
        cuts.append(int(ends[max(fitting - 1, following)]))
    return [chunk.frame[order[a:b]] for a, b in pairwise(cuts)]

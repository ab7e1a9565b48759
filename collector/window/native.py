"""The native window: rows stay as the native decoder packs them until their trace is closed.

Equal to `reference.ReferenceWindow`, but that each trace stands together, by start. Columns are
written once, for a whole slab: a request of 512 spans is never a frame.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sized
from dataclasses import astuple
from typing import Any, cast

import numpy as np
import polars as pl
import spanlint_native  # type: ignore[import-not-found, unused-ignore]  # may not be built

from collector.decode.bridge import COLUMNS
from collector.decode.classify import CODED
from collector.window.model import Limits, Window
from detectors.kit.columns import SPAN_SCHEMA, empty_spans
from detectors.kit.forest import Ids

_NULL = 2**64 - 1
"""What stands for null where 0 is a value."""
_LINK = 3
"""Numbers of a link: trace id in two halves, span id."""


class NativeWindow(Window):
    """Takes batches of the native decoder; frames too, which costs more."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        seed = secrets.randbits(64)
        self._native = spanlint_native.Window(COLUMNS, CODED, astuple(self.limits), seed)

    def add(self, spans: Sized, arrival_s: float) -> None:
        """Buffer spans that arrived at `arrival_s`."""
        if not len(spans):
            return
        if isinstance(spans, pl.DataFrame):
            self._native.add_columns(*words_of(spans), arrival_s)
        else:
            self._native.add(cast("spanlint_native.Batch", spans), arrival_s)

    def advance(self, now_s: float) -> None:
        """Closes the traces that are due."""
        self._native.advance(now_s)

    def finish(self, now_s: float | None = None) -> None:
        """Closes all traces."""
        self._native.finish(now_s)

    def take(self, rows: int) -> pl.DataFrame:
        """Closed traces of at most so many spans, each by start."""
        taken = self._native.take(rows)
        return empty_spans() if taken is None else pl.DataFrame(taken)

    @property
    def rows(self) -> int:
        """Spans of open traces."""
        return int(self._native.sizes()[0])

    @property
    def closed_rows(self) -> int:
        """Spans of closed traces that were not taken yet."""
        return int(self._native.sizes()[1])

    @property
    def open_traces(self) -> int:
        """Number of traces with buffered spans."""
        return int(self._native.sizes()[2])

    @property
    def counts(self) -> Counter[str]:
        """What had to be done."""
        return Counter(dict(self._native.counts()))

    @property
    def last_end_ns(self) -> int:
        """The latest end of a span."""
        return int(self._native.sizes()[3])


def words_of(spans: pl.DataFrame) -> tuple[Ids, tuple[Ids, Ids]]:
    """Spans as the native code packs them: a row of words for each column, and the links.

    Those are the row of each link and the ids of all, one after the other.
    """
    words = spans.select(_WORDS).to_numpy(order="fortran").T
    links = spans["links"]
    sizes = links.list.len().fill_null(0).to_numpy()
    rows = np.repeat(np.arange(len(links), dtype=np.uint64), sizes // _LINK)
    return words, (rows, links.drop_nulls().explode(empty_as_null=False).to_numpy())


def _word(name: str, dtype: Any) -> pl.Expr:
    """A column as 64 bits a value, nulls as what stands for them; zeros for lists."""
    if dtype.is_nested():
        return pl.lit(0, pl.UInt64).alias(name)
    column = pl.col(name).to_physical()
    if dtype.is_signed_integer():
        column = column.cast(pl.Int64).reinterpret(signed=False)
    return column.cast(pl.UInt64).fill_null(0 if dtype == pl.UInt64 else _NULL)


_WORDS = [_word(name, dtype) for name, dtype in SPAN_SCHEMA.items()]

"""What a window takes and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sized
from dataclasses import dataclass

import polars as pl

ROW_BYTES = 250
"""Bytes of a buffered span: some 290 in columns with nulls, some 180 packed."""
SLAB_ROWS = 65_536
"""Rows of a returned frame, where traces are not larger: a slab has a fixed cost.

More cost less still: who observes one slab at a time takes more (`detect.Detector`).
"""
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """When a trace is closed.

    quiet_s: when none of its spans arrived for so long.
    max_age_s: or when its first span arrived so long ago.
    max_spans: or when it has so many spans.
    max_skew_s: how far from its arrival the end of a span may lie.
    """

    quiet_s: float = 10.0
    max_age_s: float = 60.0
    max_spans: int = 50_000
    max_skew_s: float = 3_600.0


class Window(ABC):
    """Gathers spans until their traces are whole.

    A trace is closed when a second in which it had a span ended `quiet_s` ago and it had none
    later, and no span awaits its parent. A span is awaited while a span whose parent is local (flag
    `remote_parent` is False: SDKs end the parent last) names a parent that is not there; where the
    SDK does not say, nothing is awaited.

    Pure of clocks: arrival and present are passed in, in seconds since the Unix epoch.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    @abstractmethod
    def add(self, spans: Sized, arrival_s: float) -> None:
        """Buffer spans, as a decoder gives them, that arrived at `arrival_s`."""

    @abstractmethod
    def advance(self, now_s: float) -> None:
        """Closes the traces that are due."""

    @abstractmethod
    def finish(self, now_s: float | None = None) -> None:
        """Closes all traces."""

    @abstractmethod
    def take(self, rows: int) -> pl.DataFrame:
        """Closed traces of at most so many spans, or one that is larger; nobody else keeps them.

        The columns of `SPAN_SCHEMA`, one chunk. No rows when nothing is closed.
        """

    @property
    @abstractmethod
    def rows(self) -> int:
        """Spans of open traces."""

    @property
    @abstractmethod
    def closed_rows(self) -> int:
        """Spans of closed traces that were not taken yet."""

    @property
    @abstractmethod
    def open_traces(self) -> int:
        """Number of traces with buffered spans."""

    @property
    @abstractmethod
    def counts(self) -> Counter[str]:
        """What had to be done: spans `late` (their trace was closed before) and `clamped`.

        Traces closed early: `huge`, `aged`; traces closed in all: `closed`. Never decreases.
        """

    @property
    @abstractmethod
    def last_end_ns(self) -> int:
        """The latest end of a span; 0 before there is one."""

    def watermark_ns(self, now_s: float) -> int:
        """The event time up to which this window has seen spans.

        The latest end of a span seen, but never more than `quiet_s` behind the present (idle
        services must resolve) nor ahead of it (one fast clock must expire nothing).
        """
        now = int(now_s * _NS)
        return min(max(self.last_end_ns, now - int(self.limits.quiet_s * _NS)), now)

"""Decoded spans between two threads: one decodes, the other analyses, neither waits for the other.

What is held anywhere between a request that was answered and the facts is bounded by counting both
ends: `decoded` is written by the decoding thread alone, `analysed` by the analysing one alone, so
that neither number needs a lock. The difference is what `max_rows` bounds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sized


class Handover:
    """Spans on their way, as the decoder packed them, and how many spans are held in all."""

    def __init__(self) -> None:
        self._packed: deque[tuple[Sized, float]] = deque()
        self.decoded = 0
        """Spans taken from requests since the start."""
        self.analysed = 0
        """Of these, spans whose facts were taken and which nobody holds any more."""

    @property
    def held(self) -> int:
        """Spans that were decoded and not analysed yet, wherever they are."""
        return self.decoded - self.analysed

    def put(self, spans: Sized, arrival_s: float) -> None:
        """Gives spans over; for the decoding thread."""
        self._packed.append((spans, arrival_s))

    def take(self) -> Iterator[tuple[Sized, float]]:
        """Spans with their arrival, in order, until none is left; for the analysing thread."""
        while self._packed:
            yield self._packed.popleft()

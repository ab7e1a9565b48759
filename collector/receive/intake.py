"""One door for every protocol: bounds, decoding in a worker, the window, the upstream.

A request is answered after its spans are in the window, so what was accepted is counted exactly.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from collector.decode.choice import make_decoder
from collector.decode.model import Decoded, DecodeOptions
from collector.decode.otlpjson import JsonDecoder
from collector.detect import Detector
from collector.forward import Forwarder, Parcel
from collector.receive.bodies import Refusal, decode, inflate, overloaded
from collector.settings import Settings
from collector.store import Counters
from detectors.kit.texts import Texts

Signal = Literal["traces", "metrics", "logs"]

RECEIVED = "spanlint_spans_received_total"
REFUSED_SPANS = "spanlint_spans_refused_total"
REFUSED = "spanlint_requests_refused_total"
REPAIRED = "spanlint_spans_repaired_total"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request's spans: accepted, and rejected by reason."""

    accepted: int = 0
    rejected: dict[str, int] = field(default_factory=dict)


class Intake:
    """Takes requests of all receivers. Call from the event loop."""

    def __init__(  # noqa: PLR0913 - what it stands between
        self,
        settings: Settings,
        texts: Texts,
        detector: Detector,
        counters: Counters,
        worker: ThreadPoolExecutor,
        forwarder: Forwarder | None,
    ) -> None:
        self._settings = settings
        self._detector = detector
        self._counters = counters
        self._worker = worker
        self._forwarder = forwarder
        options = DecodeOptions(tuple(settings.actor_attributes), settings.decoder)
        self.decoder = make_decoder(texts, options)
        self._decoders: dict[bool, Callable[[bytes], Decoded]] = {
            False: self.decoder,
            True: JsonDecoder(texts, options),
        }
        self.pending_bytes = 0
        self.closed = False

    async def take(
        self, signal: Signal, body: bytes, *, json: bool = False, encoding: str = ""
    ) -> Taken:
        """Accepts a request, or raises Refusal, which the receiver has counted by `refused`."""
        taken = await self._take(signal, body, json=json, encoding=encoding)
        if self._forwarder is not None:
            self._forwarder.offer(Parcel(signal, body, json=json, encoding=encoding))
        return taken

    def refused(self, signal: Signal, refusal: Refusal) -> None:
        """Counts a request that is refused, whoever refused it."""
        self._counters.add(REFUSED, (signal, refusal.reason), 1)

    async def _take(self, signal: Signal, body: bytes, *, json: bool, encoding: str) -> Taken:
        if self.closed:
            raise overloaded("stopping")
        if signal != "traces":
            return Taken()
        if self._detector.window.full:
            raise overloaded("too many open spans")
        if self.pending_bytes + len(body) > self._settings.max_pending_bytes:
            raise overloaded("too many requests wait to be decoded")
        self.pending_bytes += len(body)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._worker, self._accept, body, json, encoding)
        finally:
            self.pending_bytes -= len(body)

    def _accept(self, body: bytes, json: bool, encoding: str) -> Taken:  # noqa: FBT001
        """Runs in the worker, which also owns the detector."""
        with self._detector.stage("decode"):
            plain = inflate(body, encoding, self._settings.max_body_bytes)
            decoded = decode(self._decoders[json], plain)
        self._detector.accept(decoded.frame, time.time())
        self._counters.add(RECEIVED, (), decoded.accepted)
        for reason, count in decoded.rejected.items():
            self._counters.add(REFUSED_SPANS, (reason,), count)
        for reason, count in decoded.repaired.items():
            self._counters.add(REPAIRED, (reason,), count)
        return Taken(decoded.accepted, decoded.rejected)

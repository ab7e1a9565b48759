"""One door for every protocol: bounds, decoding in a worker, the window, the upstream.

Requests that come while the worker is busy are decoded together: the way there and back, and a
frame, cost the same for one as for many. A request is answered after its spans are decoded and
about to enter the window, so what was accepted is counted exactly.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import floor
from typing import Literal

from collector.decode.choice import make_decoder, make_json_decoder
from collector.decode.model import Counts, DecodeOptions, Decoder
from collector.detect import Detector
from collector.forward import Forwarder
from collector.receive.bodies import Refusal, feed, inflate, overloaded
from collector.settings import Settings
from collector.store import Counters
from collector.upstream import Parcel
from detectors.kit.texts import Texts

log = logging.getLogger(__name__)

Signal = Literal["traces", "metrics", "logs"]

RECEIVED = "spanlint_spans_received_total"
REFUSED_SPANS = "spanlint_spans_refused_total"
REFUSED = "spanlint_requests_refused_total"
REPAIRED = "spanlint_spans_repaired_total"

_BATCH_BYTES = 2 * 1024 * 1024
"""Bodies decoded before their senders are answered."""
_FRAME_ROWS = 8_192
"""Spans decoded before they become a frame: a frame costs a quarter of a millisecond."""
_NOTHING = Counts(0)


@dataclass(eq=False, slots=True)
class _Request:
    """A trace request that waits to be decoded, and where its sender waits."""

    body: bytes
    json: bool
    encoding: str
    answer: asyncio.Future[Counts]


_Outcome = tuple[_Request, Counts | Exception]


class Intake:
    """Takes requests of all receivers. Call from the event loop, but `flush` in the worker."""

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
        self._decoders: dict[bool, Decoder] = {
            False: self.decoder,
            True: make_json_decoder(texts, options, self.decoder),
        }
        self._waiting: deque[_Request] = deque()
        self._decoding = False
        self._decoded_rows = 0
        self._arrived_s = 0.0
        self.pending_bytes = 0
        self.closed = False

    async def take(
        self, signal: Signal, body: bytes, *, json: bool = False, encoding: str = ""
    ) -> Counts:
        """Accepts a request, or raises Refusal, which the receiver has counted by `refused`."""
        taken = await self._take(signal, body, json=json, encoding=encoding)
        if self._forwarder is not None:
            self._forwarder.offer(Parcel(signal, body, json=json, encoding=encoding))
        return taken

    @property
    def left_to_reference(self) -> int:
        """Requests so far that only the reference decoder could read."""
        return sum(decoder.left_to_reference for decoder in self._decoders.values())

    def refused(self, signal: Signal, refusal: Refusal) -> None:
        """Counts a request that is refused, whoever refused it."""
        self._counters.add(REFUSED, (signal, refusal.reason), 1)

    async def _take(self, signal: Signal, body: bytes, *, json: bool, encoding: str) -> Counts:
        if self.closed:
            raise overloaded("stopping")
        if signal != "traces":
            return _NOTHING
        if self._detector.window.rows + self._decoded_rows >= self._settings.max_rows:
            raise overloaded("too many open spans")
        if self.pending_bytes + len(body) > self._settings.max_pending_bytes:
            raise overloaded("too many requests wait to be decoded")
        request = _Request(body, json, encoding, asyncio.get_running_loop().create_future())
        self.pending_bytes += len(body)
        self._waiting.append(request)
        self._decode_soon()
        return await request.answer

    def _decode_soon(self) -> None:
        if self._waiting and not self._decoding:
            self._decoding = True
            loop = asyncio.get_running_loop()
            self._worker.submit(self._decode_waiting, loop)

    def _decode_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        """Decodes what waits, up to a size. Runs in the worker, which also owns the detector."""
        outcomes: list[_Outcome] = []
        try:
            self._note_arrival(time.time())
            size = 0
            with self._detector.stage("decode"):
                while self._waiting and size < _BATCH_BYTES:
                    request = self._waiting.popleft()
                    size += len(request.body)
                    outcomes.append((request, self._outcome(request)))
            taken = [found for _, found in outcomes if isinstance(found, Counts)]
            self._count(taken)
            self._decoded_rows += sum(counts.accepted for counts in taken)
            if self._decoded_rows >= _FRAME_ROWS:
                self.flush()
        except Exception:
            log.exception("decoding failed")
        finally:
            loop.call_soon_threadsafe(self._answer, outcomes)

    def _outcome(self, request: _Request) -> Counts | Exception:
        try:
            plain = inflate(request.body, request.encoding, self._settings.max_body_bytes)
            return feed(self._decoders[request.json], plain)
        except Exception as error:  # noqa: BLE001 - it is raised where the sender waits
            return error

    def _note_arrival(self, now_s: float) -> None:
        """Frames hold what arrived in one second, as the window's slabs do."""
        if floor(now_s) != floor(self._arrived_s):
            self.flush()
        self._arrived_s = now_s

    def _count(self, taken: list[Counts]) -> None:
        refused: Counter[str] = Counter()
        repaired: Counter[str] = Counter()
        for counts in taken:
            refused.update(counts.rejected)
            repaired.update(counts.repaired)
        self._counters.add(RECEIVED, (), sum(counts.accepted for counts in taken))
        for name, reasons in ((REFUSED_SPANS, refused), (REPAIRED, repaired)):
            for reason, count in reasons.items():
                self._counters.add(name, (reason,), count)

    def _answer(self, outcomes: list[_Outcome]) -> None:
        self._decoding = False
        for request, outcome in outcomes:
            self.pending_bytes -= len(request.body)
            if request.answer.done():  # the sender went away
                continue
            if isinstance(outcome, Counts):
                request.answer.set_result(outcome)
            else:
                request.answer.set_exception(outcome)
        self._decode_soon()

    def flush(self) -> None:
        """Decoded spans go into the window. Runs in the worker."""
        for decoder in self._decoders.values():
            if len(decoder):
                self._detector.accept(decoder.take(), self._arrived_s)
        self._decoded_rows = 0

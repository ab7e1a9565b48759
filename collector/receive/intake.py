"""One door for every protocol: bounds, decoding in a thread, the hand-over, the upstream.

Requests that come while the decoding thread is busy are decoded together: the way there and back,
and a frame, cost the same for one as for many. A request is answered after its spans are decoded
and about to be handed over, so what was accepted is counted exactly; it does not wait for what the
analysing thread does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, Literal

from collector.decode.choice import make_decoder, make_json_decoder
from collector.decode.model import Counts, DecodeOptions, Decoder
from collector.handover import Handover
from collector.parcel import Parcel
from collector.receive.bodies import Refusal, feed, inflate, overloaded
from collector.settings import Settings
from collector.stages import timed
from collector.store import Counters
from detectors.kit.texts import Texts

if TYPE_CHECKING:
    from collector.forward import Forwarder

log = logging.getLogger(__name__)

Signal = Literal["traces", "metrics", "logs"]

RECEIVED = "spanlint_spans_received_total"
REFUSED_SPANS = "spanlint_spans_refused_total"
REFUSED = "spanlint_requests_refused_total"
REPAIRED = "spanlint_spans_repaired_total"
LEFT_TO_REFERENCE = "spanlint_requests_left_to_reference_total"

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
    """Takes requests of all receivers. Call from the event loop, but `flush` in the worker.

    worker: of one thread, which owns the decoders.
    """

    def __init__(  # noqa: PLR0913 - what it stands between
        self,
        settings: Settings,
        texts: Texts,
        handover: Handover,
        counters: Counters,
        worker: ThreadPoolExecutor,
        forwarder: Forwarder | None,
    ) -> None:
        self._settings = settings
        self._handover = handover
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
        self._idle = asyncio.Event()
        self._idle.set()
        self._gathered_rows = 0
        self._arrived_s = 0.0
        self._left_to_reference = 0
        self._closed = False
        self.pending_bytes = 0

    async def take(
        self, signal: Signal, body: bytes, *, json: bool = False, encoding: str = ""
    ) -> Counts:
        """Accepts a request, or raises Refusal, which the receiver has counted by `refused`."""
        taken = await self._take(signal, body, json=json, encoding=encoding)
        if self._forwarder is not None:
            self._forwarder.offer(Parcel(signal, body, json=json, encoding=encoding))
        return taken

    @property
    def gathers(self) -> bool:
        """Whether decoded spans wait for a frame: `flush` would hand them over."""
        return self._gathered_rows > 0

    async def drain(self) -> None:
        """Takes no more; ends when all that was taken is answered and handed over."""
        self._closed = True
        await self._idle.wait()
        await asyncio.get_running_loop().run_in_executor(self._worker, self.flush)

    def refused(self, signal: Signal, refusal: Refusal) -> None:
        """Counts a request that is refused, whoever refused it."""
        self._counters.add(REFUSED, (signal, refusal.reason), 1)

    async def _take(self, signal: Signal, body: bytes, *, json: bool, encoding: str) -> Counts:
        if self._closed:
            raise overloaded("stopping")
        if signal != "traces":
            return _NOTHING
        if self._handover.held >= self._settings.max_rows:
            raise overloaded("too many open spans")
        if self.pending_bytes + len(body) > self._settings.max_pending_bytes:
            raise overloaded("too many requests wait to be decoded")
        request = _Request(body, json, encoding, asyncio.get_running_loop().create_future())
        self.pending_bytes += len(body)
        self._waiting.append(request)
        if self._idle.is_set():
            self._decode_soon()
        return await request.answer

    def _decode_soon(self) -> None:
        self._idle.clear()
        self._worker.submit(self._decode_waiting, asyncio.get_running_loop())

    def _decode_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        """Decodes what waits, up to a size. Runs in the worker."""
        outcomes: list[_Outcome] = []
        try:
            self._note_arrival(time.time())
            size = 0
            with timed(self._counters.spent, "decode"):
                while self._waiting and size < _BATCH_BYTES:
                    request = self._waiting.popleft()
                    size += len(request.body)
                    outcomes.append((request, self._outcome(request)))
            taken = [found for _, found in outcomes if isinstance(found, Counts)]
            self._count(taken)
            rows = sum(counts.accepted for counts in taken)
            self._handover.decoded += rows
            self._gathered_rows += rows
            if self._gathered_rows >= _FRAME_ROWS:
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
        left = sum(decoder.left_to_reference for decoder in self._decoders.values())
        self._counters.add(LEFT_TO_REFERENCE, (), left - self._left_to_reference)
        self._left_to_reference = left
        self._counters.add(RECEIVED, (), sum(counts.accepted for counts in taken))
        for name, reasons in ((REFUSED_SPANS, refused), (REPAIRED, repaired)):
            for reason, count in reasons.items():
                self._counters.add(name, (reason,), count)

    def _answer(self, outcomes: list[_Outcome]) -> None:
        for request, outcome in outcomes:
            self.pending_bytes -= len(request.body)
            if request.answer.done():  # the sender went away
                continue
            if isinstance(outcome, Counts):
                request.answer.set_result(outcome)
            else:
                request.answer.set_exception(outcome)
        if self._waiting:
            self._decode_soon()
        else:
            self._idle.set()

    def flush(self) -> None:
        """Hands decoded spans over. Runs in the worker."""
        for decoder in self._decoders.values():
            for spans in decoder.take_packed():
                self._handover.put(spans, self._arrived_s)
        self._gathered_rows = 0

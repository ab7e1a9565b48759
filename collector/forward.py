"""The same bytes to one upstream, so that a sidecar takes telemetry away from nobody.

A bounded queue in memory; senders retry with backoff and jitter and honour what the upstream asks
for. Nothing here is waited for by the analysed path; what is dropped is counted by reason.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from contextlib import suppress

from collector.parcel import Parcel
from collector.store import Counters
from collector.upstream import Failed, upstream_of

log = logging.getLogger(__name__)

FORWARDED = "spanlint_forward_requests_total"
DROPPED = "spanlint_forward_dropped_total"

_SENDERS = 4
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0
_LONGEST_ASKED_S = 300.0
"""An upstream may ask for a pause, but not for the rest of the day."""


class Forwarder:
    """Sends parcels in the background. Call from the event loop."""

    def __init__(
        self, url: str, headers: Mapping[str, str], max_bytes: int, counters: Counters
    ) -> None:
        self._upstream = upstream_of(url, headers)
        self._max_bytes = max_bytes
        self._counters = counters
        self._queue: asyncio.Queue[Parcel] = asyncio.Queue()
        self.queued_bytes = 0
        self._senders: list[asyncio.Task[None]] = []
        self._dice = random.Random()  # noqa: S311 - jitter

    def start(self) -> None:
        """Begins to send."""
        self._senders = [asyncio.create_task(self._send_all()) for _ in range(_SENDERS)]

    def offer(self, parcel: Parcel) -> None:
        """Queues a parcel; drops and counts it when the queue is full."""
        if self.queued_bytes + len(parcel.body) > self._max_bytes:
            self._counters.add(DROPPED, (parcel.signal, "queue_full"), 1)
            return
        self.queued_bytes += len(parcel.body)
        self._queue.put_nowait(parcel)

    async def _send_all(self) -> None:
        while True:
            parcel = await self._queue.get()
            try:
                await self._deliver(parcel)
                self._counters.add(FORWARDED, (parcel.signal,), 1)
            except Failed as failed:
                self._counters.add(DROPPED, (parcel.signal, failed.reason), 1)
            except asyncio.CancelledError:  # on its way when the grace period ended
                self._counters.add(DROPPED, (parcel.signal, "stopped"), 1)
                raise
            except Exception:  # a sender that ends would send nothing any more
                log.exception("forwarding failed")
                self._counters.add(DROPPED, (parcel.signal, "internal"), 1)
            finally:
                self.queued_bytes -= len(parcel.body)
                self._queue.task_done()

    async def _deliver(self, parcel: Parcel) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return await self._upstream.send(parcel)
            except Failed as failed:
                if not failed.again:
                    raise
                asked_s = min(failed.after_s or 0.0, _LONGEST_ASKED_S)
                await asyncio.sleep(asked_s or wait_s * self._dice.uniform(0.5, 1.0))
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def stop(self, grace_s: float) -> None:
        """Sends what is queued within the grace period; drops and counts the rest."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), grace_s)
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        while not self._queue.empty():
            self._counters.add(DROPPED, (self._queue.get_nowait().signal, "stopped"), 1)
        await self._upstream.close()

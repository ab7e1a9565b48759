"""The process, wired once: what starts in which order, and how it ends.

Threads: the event loop answers; one owns the decoders, one the analysis (window, facts, findings),
so that none of these needs a lock and no answer waits for a judgement. A `Handover` is between.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn

from collector.analysis import Analysis
from collector.expose.admin import admin_app
from collector.expose.source import Snapshot, Source
from collector.handover import Handover
from collector.inline import inline
from collector.receive.grpc import otlp_server
from collector.receive.http import otlp_app
from collector.receive.intake import Intake
from collector.receive.whole import WholeBodies
from collector.settings import Settings
from collector.store import Counters, Store
from collector.version import VERSION
from collector.window.model import ROW_BYTES
from detectors.kit.texts import Texts

if TYPE_CHECKING:
    from collector.forward import Forwarder

log = logging.getLogger(__name__)

_TICK_S = 0.5
_PATIENCE_S = 0.25
"""Who asks for findings while the analysis is busy waits so long, and gets those of before."""
_LIMITS = ("max_rows", "max_pending_bytes", "forward_queue_bytes")


class StartError(Exception):
    """The process cannot start: says which address or setting is why."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the process listens, as host:port; empty for what is off."""

    otlp_grpc: str
    otlp_http: str
    admin: str


class Service:
    """A running spanlint. `start`, then `stop`; or `run` until a signal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._texts = Texts()
        self._store = Store(settings.state)
        self._counters = Counters(self._store, settings.max_series)
        self._handover = Handover()
        self._analysis = Analysis(
            settings, self._texts, self._store, self._counters, self._handover
        )
        self._decoding = ThreadPoolExecutor(1, thread_name_prefix="spanlint-decode")
        self._analysing = ThreadPoolExecutor(1, thread_name_prefix="spanlint-analyse")
        self._forwarder: Forwarder | None = None
        self._intake: Intake | None = None
        self._servers: list[uvicorn.Server] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._grpc: Any = None
        self._ready = False
        self.addresses = Addresses("", "", "")

    async def start(self) -> None:
        """Listens on all addresses; raises StartError for one that cannot be had."""
        settings = self._settings
        if settings.forward:
            self._forwarder = self._make_forwarder()
        self._intake = Intake(
            settings,
            self._texts,
            self._handover,
            self._counters,
            self._decoding,
            self._forwarder,
        )
        source = Source(self.snapshot, lambda: self._ready, settings.selected())
        admin = await self._serve_http(admin_app(source), settings.admin, "admin")
        most = settings.max_body_bytes
        http = await self._serve_http(
            otlp_app(self._intake, most),
            settings.otlp_http,
            "otlp_http",
            partial(WholeBodies, most),
        )
        self.addresses = Addresses(await self._serve_grpc(), http, admin)
        if self._forwarder is not None:
            self._forwarder.start()
        self._tasks.append(asyncio.create_task(self._keep_analysing()))
        self._ready = True
        log.info("protobuf is decoded by the %s decoder", self._intake.decoder.name)

    def _make_forwarder(self) -> Forwarder:
        from collector.forward import Forwarder  # a megabyte that only an upstream needs

        settings = self._settings
        try:
            return Forwarder(
                settings.forward,
                settings.forward_headers,
                settings.forward_queue_bytes,
                self._counters,
            )
        except ValueError as error:
            raise StartError(str(error)) from None

    async def _serve_http(self, app: Any, address: str, name: str, protocol: Any = "auto") -> str:
        if not address:
            return ""
        listener = _listen(address, name)
        config = uvicorn.Config(
            app,
            http=protocol,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,  # nobody asks who a client is
            timeout_graceful_shutdown=max(1, round(self._settings.grace_s)),
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._servers.append(server)
        self._tasks.append(asyncio.create_task(_serve(server, listener)))
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event for it
            await asyncio.sleep(0.005)
        return _address_of(listener)

    async def _serve_grpc(self) -> str:
        address = self._settings.otlp_grpc
        if not address or self._intake is None:
            return ""
        self._grpc = otlp_server(self._intake, self._settings.max_body_bytes)
        try:
            port = self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise StartError(f"otlp_grpc: cannot listen on {address}: {error}") from None
        await self._grpc.start()
        return f"{address.rpartition(':')[0]}:{port}"

    async def _keep_analysing(self) -> None:
        """Every half second: spans that wait for a frame go over, what is due is done."""
        while True:
            await asyncio.sleep(min(_TICK_S, self._settings.judge_interval_s))
            try:
                if self._intake is not None and self._intake.gathers:
                    await self._in(self._decoding, self._intake.flush)
                await self._in(self._analysing, self._step)
            except Exception:
                # What fails here would fail silently and end all judging: say it, and go on.
                log.exception("a judgement failed")

    def _step(self) -> None:
        clock_s = time.monotonic()
        if not self._analysis.idle(clock_s):
            self._run(lambda: self._analysis.step(time.time(), clock_s))

    def _run(self, work: Callable[[], None]) -> None:
        """Runs work of the analysis, which with nothing at hand asks no query."""
        if self._analysis.blank:
            work()  # `inline` alone loads 5 MB of Polars
        else:
            inline(work)

    async def _in(self, thread: ThreadPoolExecutor, work: Callable[..., None], *told: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(thread, work, *told)

    async def _analyse(self, work: Callable[[], None]) -> None:
        await self._in(self._analysing, self._run, work)

    async def snapshot(self) -> Snapshot:
        """All that may be shown now; as of a moment ago while the analysis is busy."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._analyse(self._analysis.look), _PATIENCE_S)
        return await asyncio.to_thread(self._snapshot)

    def _snapshot(self) -> Snapshot:
        counters = self._counters.commit()
        view = self._analysis.view
        held = self._handover.held
        queued = self._forwarder.queued_bytes if self._forwarder else 0
        pending = self._intake.pending_bytes if self._intake else 0
        return Snapshot(
            version=VERSION,
            counters=counters,
            cases=view.cases,
            visibility=view.visibility,
            gauges={
                "spanlint_last_judgement_timestamp_seconds": view.judged_at,
                "spanlint_open_spans": held,
                "spanlint_open_traces": view.open_traces,
                "spanlint_buffer_bytes": held * ROW_BYTES,
                "spanlint_pending_bytes": pending,
                "spanlint_forward_queue_bytes": queued,
                "spanlint_texts": len(self._texts),
            },
            facts_rows=view.facts_rows,
            parked=view.parked,
            limits={name: getattr(self._settings, name) for name in _LIMITS},
            max_series=self._settings.max_series,
            decoder=self._intake.decoder.name if self._intake else "",
        )

    async def stop(self) -> None:
        """Stops accepting, closes open traces, judges, flushes the upstream, saves."""
        self._ready = False
        if self._intake is not None:
            await self._intake.drain()
        if self._grpc is not None:
            await self._grpc.stop(grace=1)
        judging = self._tasks.pop() if self._tasks else None
        if judging is not None:
            judging.cancel()
            await asyncio.gather(judging, return_exceptions=True)
        await self._analyse(lambda: self._analysis.finish(time.time()))
        if self._forwarder is not None:
            await self._forwarder.stop(self._settings.grace_s)
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._analyse(lambda: self._analysis.save(time.time()))
        self._decoding.shutdown()
        self._analysing.shutdown()
        self._store.close()

    async def run(self, announce: Callable[[Addresses], None]) -> None:
        """Starts, announces the addresses, serves until SIGTERM or SIGINT, stops."""
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked.set)
        await self.start()
        announce(self.addresses)
        await asked.wait()
        await self.stop()


async def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    with listener:
        await server._serve([listener])  # noqa: SLF001 - `serve` would take over the signals


def _listen(address: str, name: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
        listener.listen(1024)
    except (OSError, ValueError, OverflowError) as error:
        listener.close()
        raise StartError(f"{name}: cannot listen on {address}: {error}") from None
    listener.setblocking(False)
    return listener


def _address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

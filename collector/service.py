"""The process, wired once: what starts in which order, and how it ends.

Threads: the event loop answers; one worker owns decoders, window and facts, so that none of them
needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import uvicorn

from collector.detect import Detector
from collector.expose import ratios, telemetry
from collector.expose.api import Source, admin_app
from collector.expose.metrics import STAGE_RUNS, STAGE_SECONDS, Snapshot
from collector.forward import Forwarder
from collector.ledger import Ledger
from collector.receive.grpc import otlp_server
from collector.receive.http import otlp_app
from collector.receive.intake import Intake
from collector.settings import Settings
from collector.store import Counters, Store
from collector.version import VERSION
from detectors.kit.contract import Visibility
from detectors.kit.engine import Facts, lasting
from detectors.kit.texts import Texts
from detectors.kit.wire import Push, WireError, from_bytes, to_bytes

log = logging.getLogger(__name__)

_TICK_S = 0.5
_IDLE_INTERVALS = 6
"""Where no facts came, only every so many intervals are judged: time alone changes little."""
_PARKED_AFTER = 3
"""A rule that raises so many times in a row is left out until the next start."""
_SAVED_EVERY_S = 300.0
"""So much of what instances remember is lost when the process is killed."""
_LIMITS = ("max_rows", "max_pending_bytes", "forward_queue_bytes")
_COUNTED = {
    "spans": ("spanlint_spans_observed_total", ()),
    "traces": ("spanlint_traces_observed_total", ()),
    "left_to_reference": ("spanlint_requests_left_to_reference_total", ()),
    "window:late": ("spanlint_spans_late_total", ()),
    "window:clamped": ("spanlint_spans_clamped_total", ()),
    "window:huge": ("spanlint_traces_closed_early_total", ("huge",)),
    "window:aged": ("spanlint_traces_closed_early_total", ("aged",)),
}


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
        self._ledger = Ledger(
            self._store, self._counters, settings.mutes(), int(settings.horizon_s * 1e9)
        )
        self._detector = Detector(settings, self._texts, self._add_telemetry)
        self._remember()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="spanlint")
        self._forwarder: Forwarder | None = None
        self._intake: Intake | None = None
        self._servers: list[uvicorn.Server] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._grpc: Any = None
        self._visibility: tuple[Visibility, ...] = ()
        self._counted: dict[str, float] = {}
        self._judged_at = 0.0
        self._saved_at = time.time()
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
            self._detector,
            self._counters,
            self._worker,
            self._forwarder,
        )
        source = Source(self.snapshot, lambda: self._ready, settings.selected())
        admin = await self._serve_http(admin_app(source), settings.admin, "admin")
        http = await self._serve_http(
            otlp_app(self._intake, settings.max_body_bytes), settings.otlp_http, "otlp_http"
        )
        self.addresses = Addresses(await self._serve_grpc(), http, admin)
        if self._forwarder is not None:
            self._forwarder.start()
        self._tasks.append(asyncio.create_task(self._keep_judging()))
        self._ready = True
        log.info("protobuf is decoded by the %s decoder", self._intake.decoder.name)

    def _remember(self) -> None:
        """Takes up the facts of instances that served before a restart of our own."""
        saved = self._store.facts()
        if saved is None:
            return
        try:
            self._detector.remember(from_bytes(saved).facts)
        except WireError as error:
            log.warning(
                "facts in %s are not read, as if it was empty: %s", self._settings.state, error
            )

    def _make_forwarder(self) -> Forwarder:
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

    async def _serve_http(self, app: Any, address: str, name: str) -> str:
        if not address:
            return ""
        listener = _listen(address, name)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
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

    async def _keep_judging(self) -> None:
        """Closes due traces every half second, judges every few."""
        loop = asyncio.get_running_loop()
        next_judgement = time.monotonic() + self._settings.judge_interval_s
        while True:
            await asyncio.sleep(min(_TICK_S, self._settings.judge_interval_s))
            try:
                await loop.run_in_executor(self._worker, self._tick)
                if time.monotonic() >= next_judgement:
                    await loop.run_in_executor(self._worker, self._judge_news)
                    next_judgement = time.monotonic() + self._settings.judge_interval_s
            except Exception:
                # What fails here would fail silently and end all judging: say it, and go on.
                log.exception("a judgement failed")

    def _tick(self) -> None:
        self._flush()
        self._detector.tick(time.time())

    def _flush(self) -> None:
        if self._intake is not None:
            self._intake.flush()

    def _judge_news(self) -> None:
        """Judges when facts came, and now and then when none did: findings have to resolve."""
        idle_s = _IDLE_INTERVALS * self._settings.judge_interval_s
        if self._detector.has_news or time.time() - self._judged_at >= idle_s:
            self._judge()

    def _judge(self) -> None:
        now_s = time.time()
        judgement = self._detector.judge(now_s)
        for code in judgement.failed:
            self._counters.add("spanlint_rule_failures_total", (code,), 1)
        self._detector.park(judgement, _PARKED_AFTER)
        detector = self._detector
        now_ns = int(now_s * 1e9)
        changed = self._ledger.update(judgement, now_ns, detector.operations(), detector.parked)
        for case in changed:
            log.info(
                "%s: %s %s %s %s",
                case.state,
                case.finding.code,
                case.finding.service,
                case.finding.operation,
                case.finding.subject,
            )
        self._visibility = judgement.visibility
        self._judged_at = now_s
        if now_s - self._saved_at >= _SAVED_EVERY_S:
            self._save_facts(now_s)

    def _save_facts(self, now_s: float) -> None:
        self._saved_at = now_s
        if self._store.lasts:
            push = Push("spanlint", int(now_s * 1e9), 1, lasting(self._detector.facts()))
            self._store.save_facts(to_bytes(push))

    def _add_telemetry(self, facts: Facts) -> None:
        if self._settings.service_graph:
            telemetry.add_service_graph(facts, self._counters)
        if self._settings.red_metrics:
            telemetry.add_red(facts, self._counters)
            ratios.add_ratios(facts, self._counters)

    def _count(self) -> None:
        """Carries the detector's own counts over to the counters."""
        detector = self._detector
        present: dict[str, float] = dict(detector.counts)
        present |= {f"seconds:{k}": v for k, v in detector.stage_seconds.items()}
        present |= {f"runs:{k}": v for k, v in detector.stage_runs.items()}
        if self._intake is not None:
            present["left_to_reference"] = self._intake.left_to_reference
        for key, value in present.items():
            name, labels = _counter_of(key)
            self._counters.add(name, labels, value - self._counted.get(key, 0))
            self._counted[key] = value

    async def snapshot(self) -> Snapshot:
        """All that may be shown now."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._snapshot)

    def _snapshot(self) -> Snapshot:
        self._flush()
        self._count()
        window = self._detector.window
        queued = self._forwarder.queued_bytes if self._forwarder else 0
        pending = self._intake.pending_bytes if self._intake else 0
        return Snapshot(
            version=VERSION,
            counters=self._counters.commit(),
            cases=tuple(self._ledger.cases()),
            visibility=self._visibility,
            gauges={
                "spanlint_last_judgement_timestamp_seconds": self._judged_at,
                "spanlint_open_spans": window.rows,
                "spanlint_open_traces": window.open_traces,
                "spanlint_buffer_bytes": window.buffer_bytes,
                "spanlint_pending_bytes": pending,
                "spanlint_forward_queue_bytes": queued,
                "spanlint_texts": len(self._texts),
            },
            facts_rows=self._detector.facts_rows,
            parked=frozenset(self._detector.parked),
            limits={name: getattr(self._settings, name) for name in _LIMITS},
            max_series=self._settings.max_series,
            decoder=self._intake.decoder.name if self._intake else "",
        )

    async def stop(self) -> None:
        """Stops accepting, closes open traces, judges, flushes the upstream, saves."""
        self._ready = False
        if self._intake is not None:
            self._intake.closed = True
        if self._grpc is not None:
            await self._grpc.stop(grace=1)
        loop = asyncio.get_running_loop()
        judging = self._tasks.pop() if self._tasks else None
        if judging is not None:
            judging.cancel()
            await asyncio.gather(judging, return_exceptions=True)
        await loop.run_in_executor(self._worker, self._finish)
        if self._forwarder is not None:
            await self._forwarder.stop(self._settings.grace_s)
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await loop.run_in_executor(self._worker, self._save)
        self._worker.shutdown()
        self._store.close()

    def _finish(self) -> None:
        self._flush()
        self._detector.drain(time.time())
        self._judge()

    def _save(self) -> None:
        self._save_facts(time.time())
        self._count()
        self._counters.commit()

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


def _counter_of(key: str) -> tuple[str, tuple[str, ...]]:
    """The counter that one of the detector's counts goes to."""
    kind, _, rest = key.partition(":")
    if key in _COUNTED:
        return _COUNTED[key]
    match kind:
        case "repaired":
            return "spanlint_spans_repaired_total", (rest,)
        case "overflow":
            return "spanlint_facts_overflow_total", (rest,)
        case "seconds":
            return STAGE_SECONDS, (rest,)
        case "runs":
            return STAGE_RUNS, (rest,)
        case _:
            return f"spanlint_internal_{key.replace(':', '_')}_total", ()

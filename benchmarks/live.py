"""The live server beside its peers: CPU per accepted span, in alternation, in one run.

Every server stays up from the first round to the last and gets its turn in each round, so that what
else the machine does meets all of them. The CPU of a turn is all that the server spends from the
first request until its spans are judged (spanlint) or gone (the peers).
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import servers
from benchmarks.bodies import SPANS_A_REQUEST, START_NS, Body, as_json, freshen, make_bodies
from benchmarks.figures import BUDGETS, Figure
from benchmarks.figures import Path as DecodePath
from benchmarks.flow import SPANS_A_JUDGEMENT
from benchmarks.load import CONNECTIONS, Request, over_grpc, over_http
from benchmarks.servers import Server

_SETTLED_S = 0.005
_LONGEST_S = 30.0
_OBSERVED = "spanlint_spans_observed_total"
_SMALL = 8
_SMALL_BODIES = 1_200
SPANS_A_TURN = SPANS_A_JUDGEMENT
"""A turn has one judgement, of its first spans; the next would be due long after its last."""
SPANS_A_SLOW_TURN = 40_000
"""Of JSON and of small requests, which take the sender longer; a judgement weighs more in them."""
_CLIENTS = 32
"""Connections that small requests come over: those who send eight spans at a time are many."""
_COLLECTORS = ("otelcol", "otelcol-contrib")


@dataclass(frozen=True, slots=True)
class Turn:
    """One server with one kind of requests; `variant` names what is not the usual request."""

    server: Server
    protocol: str
    variant: str = ""

    @property
    def name(self) -> str:
        """What the figure is called."""
        via = "gRPC" if self.protocol == "grpc" else "HTTP"
        return f"{via} {self.server.name}{', ' if self.variant else ''}{self.variant}"


@dataclass(slots=True)
class Sender:
    """Makes requests that no server has seen."""

    bodies: list[Body]
    small: list[Body]
    round_: int = 0
    prepared: dict[str, Callable[[], list[Request]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prepared = {"": self._plain, "gzip": self._gzip, "JSON": self._json}
        self.prepared[f"{_SMALL} spans a request"] = self._small

    def make(self, variant: str) -> list[Request]:
        """Requests of a variant, new ones."""
        return self.prepared[variant]()

    def _fresh(self, bodies: list[Body], spans: int) -> Iterator[tuple[bytes, int]]:
        """At least so many spans, the bodies again and again, never the same twice."""
        shift = time.time_ns() - START_NS - 2_000_000_000
        while spans > 0:
            self.round_ += 1
            for body in bodies:
                if spans > 0:
                    yield freshen(body, self.round_, shift), body.spans
                spans -= body.spans

    def _plain(self) -> list[Request]:
        return [Request(b, n) for b, n in self._fresh(self.bodies, SPANS_A_TURN)]

    def _gzip(self) -> list[Request]:
        fresh = self._fresh(self.bodies, SPANS_A_TURN)
        return [Request(gzip.compress(b, 6, mtime=0), n, "gzip") for b, n in fresh]

    def _json(self) -> list[Request]:
        fresh = self._fresh(self.bodies, SPANS_A_SLOW_TURN)
        return [Request(as_json(b), n, kind="application/json") for b, n in fresh]

    def _small(self) -> list[Request]:
        return [Request(b, n) for b, n in self._fresh(self.small, SPANS_A_SLOW_TURN)]


def live_figures(
    bodies: list[Body],
    path: DecodePath,
    rounds: int,
    tell: Callable[[str], None],
    *,
    quick: bool = False,
) -> Iterator[Figure]:
    """CPU per accepted span of every server and kind of requests; `quick`: the usual one only."""
    sender = Sender(bodies, make_bodies(_SMALL_BODIES, _SMALL))
    spent: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spanlint-bench-")))
        turns = _turns(stack, folder, tell)
        if quick:
            turns = [t for t in turns if not t.variant and "blackhole" not in t.server.name]
        warm: set[str] = set()
        for turn in turns:  # connections, caches, lazy imports
            if not warm & {turn.server.name + turn.protocol}:
                _take(turn, sender.make("")[:20])
            warm.add(turn.server.name + turn.protocol)
        for round_ in range(rounds):
            for turn in turns:
                tell(f"round {round_ + 1} of {rounds}: {turn.name}")
                spent[turn.name].append(_take(turn, sender.make(turn.variant)))
        yield from _figures(turns, spent, path)


def _figures(
    turns: list[Turn], spent: dict[str, list[float]], path: DecodePath
) -> Iterator[Figure]:
    for turn in turns:
        own = turn.server.name.startswith("spanlint")
        bare = turn.server.name.startswith("bare")
        usual = not turn.variant or turn.variant == "gzip"
        whole = BUDGETS["whole, HTTP" if turn.protocol == "http" else "whole"][path]
        budget = whole if own and usual else None
        budget = BUDGETS["receive"][path] if bare else budget
        values = tuple(spent[turn.name])
        yield Figure("live", turn.name, "µs/span", values, budget)
    for via in ("gRPC", "HTTP"):
        off, on = spent[f"{via} spanlint"], spent[f"{via} spanlint forward"]
        alone = tuple(a - b for a, b in zip(on, off, strict=True))
        budget, note = BUDGETS["forward"][path], "on − off, in each round"
        yield Figure("live", f"{via} forwarding alone", "µs/span", alone, budget, note)
        peer = spent.get(f"{via} rotel forward")
        if peer:
            ratios = tuple(a / b for a, b in zip(on, peer, strict=True))
            note = "spanlint forward / rotel forward, in each round"
            most = BUDGETS["ratio to rotel"].get(path)
            yield Figure("live", f"{via} ratio to rotel", "×", ratios, most, note)


def _turns(stack: ExitStack, folder: Path, tell: Callable[[str], None]) -> list[Turn]:
    def up(manager: Any) -> Server:
        server: Server = stack.enter_context(manager)
        return server

    sender_core = servers.SENDER_CORE
    grpc_sink = up(servers.floor("grpc", sender_core, "upstream"))
    http_sink = up(servers.floor("asgi", sender_core, "upstream"))
    own = up(servers.spanlint())
    to_http = up(servers.spanlint("spanlint forward", f"http://{http_sink.http}"))
    to_grpc = up(servers.spanlint("spanlint forward", f"grpc://{grpc_sink.grpc}"))
    turns = [Turn(own, "grpc"), Turn(to_grpc, "grpc"), Turn(own, "http"), Turn(to_http, "http")]
    turns += [Turn(own, "http", v) for v in ("gzip", "JSON", f"{_SMALL} spans a request")]
    turns.append(Turn(own, "grpc", f"{_SMALL} spans a request"))
    if servers.rotel_binary():
        hole = up(servers.rotel("rotel blackhole", folder))
        via_grpc = up(servers.rotel("rotel forward", folder, f"http://{grpc_sink.grpc}"))
        url = f"http://{http_sink.http}"
        via_http = up(servers.rotel("rotel forward", folder, url, "http"))
        turns += [Turn(hole, "grpc"), Turn(via_grpc, "grpc"), Turn(hole, "http")]
        turns += [Turn(via_http, "http"), Turn(hole, "http", "gzip")]
    else:
        tell("rotel is not installed: no peer from PyPI in this run")
    turns += _from_path(up, folder, http_sink, tell)
    turns.append(Turn(up(servers.floor("grpc")), "grpc"))
    turns.append(Turn(up(servers.floor("asgi")), "http"))
    return turns


def _from_path(
    up: Callable[[Any], Server], folder: Path, sink: Server, tell: Callable[[str], None]
) -> list[Turn]:
    """Peers that a person has installed. One that does not start is said and left out."""
    wanted: list[Callable[[], Any]] = []
    for name in _COLLECTORS:
        binary = shutil.which(name)
        if binary:
            wanted.append(partial(servers.collector, binary, folder))
            wanted.append(partial(servers.collector, binary, folder, f"http://{sink.http}"))
        else:
            tell(f"{name} is not on PATH")
    sentinel = shutil.which("perf-sentinel")
    if sentinel:
        wanted.append(lambda: servers.perf_sentinel(sentinel, folder))
    else:
        tell("perf-sentinel is not on PATH")
    turns: list[Turn] = []
    for make in wanted:
        try:
            server = up(make())
        except RuntimeError as error:
            tell(str(error))
            continue
        turns += [Turn(server, "grpc"), Turn(server, "http")]
    return turns


def _take(turn: Turn, requests: list[Request]) -> float:
    """µs of CPU per accepted span; raises RuntimeError when a span was not accepted."""
    server = turn.server
    before = server.spent()
    seen = observed(server) if server.admin else 0
    clients = _CLIENTS if str(_SMALL) in turn.variant else CONNECTIONS
    if turn.protocol == "grpc":
        outcome = over_grpc(server.grpc, requests, clients)
    else:
        outcome = over_http(server.http, requests, clients)
    if outcome.failed:
        raise RuntimeError(f"{turn.name}: {outcome.failed} requests were refused")
    if server.admin:
        _until_observed(server, seen + outcome.accepted)
    else:
        _until_settled(server)
    return (server.spent() - before) / outcome.accepted * 1e6


def observed(server: Server) -> int:
    """Spans that the rules have seen."""
    import urllib.request

    with urllib.request.urlopen(f"http://{server.admin}/metrics", timeout=30) as answer:
        for row in answer.read().decode().splitlines():
            if row.startswith(_OBSERVED + " "):
                return int(float(row.split()[1]))
    return 0


def _until_observed(server: Server, wanted: int) -> None:
    deadline = time.monotonic() + _LONGEST_S
    time.sleep(max(servers.QUIET_S + 1, servers.MAX_AGE_S) + 0.6)  # and a tick
    while observed(server) < wanted:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server.name}: {wanted - observed(server)} spans never observed")
        time.sleep(1)


def _until_settled(server: Server) -> None:
    """Until the server is idle: batches go out behind the answers."""
    before = server.spent()
    for _ in range(20):
        time.sleep(0.4)
        now = server.spent()
        if now - before < _SETTLED_S:
            return
        before = now


__all__ = ["SPANS_A_REQUEST", "Turn", "live_figures", "observed"]

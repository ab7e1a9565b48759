"""The processes of one form: instances under `opentelemetry-instrument`, proxies, what they export."""

from __future__ import annotations

import http.client
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from collector.demo import backing
from collector.demo.services import Telemetry, environment, instrumented
from support.receiver import Receiver, receiving
from zoo import languages, servers
from zoo.balancer import Balancer, Network, Proxy, Wire, network
from zoo.model import Dress, Form, Part

ROOT = Path(__file__).parents[2]
PRODUCTS = 100_000
_TABLES = f"""
CREATE TABLE products AS SELECT i AS id, 'Product ' || i AS name, i % 900 AS price
    FROM generate_series(1, {PRODUCTS}) i;
ALTER TABLE products ADD PRIMARY KEY (id);
CREATE TABLE orders AS SELECT i AS id, 'open' AS state FROM generate_series(0, 999) i;
ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE TABLE audit (product int, at timestamptz);
"""
_QUIET_S = 0.8
"""No body for so long: the batch processors, which wait 0.3 s, have sent all that there is."""
_DRAINED_S = 3.0
"""… and consumers have nothing left in their queues."""


@dataclass(frozen=True, slots=True)
class Servers:
    """URLs of PostgreSQL, Redis, memcached and RabbitMQ (empty when no form needs it)."""

    database: str
    redis: str
    memcached: str
    rabbitmq: str = ""


def make_tables(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLES)


@contextmanager
def all_servers(folder: Path, *, broker: bool) -> Iterator[Servers]:
    """The servers that all forms share; RabbitMQ only when asked for."""
    with ExitStack() as stack:
        database = stack.enter_context(backing.postgresql(folder))
        make_tables(database)
        yield Servers(
            database,
            stack.enter_context(backing.redis(folder)).removesuffix("/0"),
            stack.enter_context(servers.memcached(folder)),
            stack.enter_context(servers.rabbitmq(folder)) if broker else "",
        )


@dataclass(frozen=True, slots=True)
class Send:
    """One request of traffic."""

    method: str
    path: str
    user: str = ""
    mode: str = ""


@dataclass(slots=True)
class Running:
    """A service: its proxy, its instances by port, and how another one is started."""

    part: Part
    proxy: Proxy
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    number: itertools.count[int] = field(default_factory=itertools.count)


class World:
    """What a form's traffic acts on."""

    def __init__(
        self, form: Form, dress: Dress, shared: Servers, folder: Path, slot: int, stack: ExitStack
    ) -> None:
        self.form, self.dress, self.folder, self.stack = form, dress, folder, stack
        self.rng = random.Random(0)
        self.seed = 0
        self.statuses: Counter[int] = Counter()
        self.net: Network = stack.enter_context(network())
        self.receiver: Receiver = stack.enter_context(receiving())
        self._variables = {
            **environment(Telemetry(self.receiver.endpoint, dress.new_conventions)),
            "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}",
            "ZOO_DB": self._database(shared),
            "ZOO_REDIS": f"{shared.redis}/{slot}",
            "ZOO_MEMCACHED": shared.memcached,
            "ZOO_RABBITMQ": shared.rabbitmq,
            "ZOO_NAME": form.name,
            "ZOO_CLIENT": dress.client,
        }
        if form.actor:
            self._variables["OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST"] = (
                "x-user-id"
            )
        self.redis_url = self._variables["ZOO_REDIS"]
        self.services: dict[str, Running] = {}

    def _database(self, shared: Servers) -> str:
        if self.form.wired:
            address = urlsplit(shared.database)
            self.database_wire = Wire(self.net, [address.port or 0])
            behind = f"127.0.0.1:{address.port}"
            return shared.database.replace(behind, f"127.0.0.1:{self.database_wire.port}")
        if not self.form.own_database:
            return shared.database
        self.own = ExitStack()
        self.stack.callback(self.own.close)
        url = self.own.enter_context(backing.postgresql(self.folder))
        make_tables(url)
        return url

    def stop_database(self) -> None:
        """The form's own database ends, with all its connections."""
        self.own.close()

    def open(self) -> None:
        """Starts all services, the innermost first; waits until all accept connections."""
        for part in reversed(self.form.parts):
            kind = Wire if part.framework == "grpc" else partial(Balancer, sticky=part.sticky)
            running = Running(part, kind(self.net, []))
            self.services[part.name] = running
            self._variables[f"ZOO_{part.name.upper()}_URL"] = running.proxy.url
            for _ in range(part.instances):
                self.start(part.name, wait=False)
        for running in self.services.values():
            for port, process in running.processes.items():
                self._wait(running, port, process)

    def start(self, name: str, version: str = "", *, wait: bool = True) -> int:
        """One more instance, behind the proxy once it listens; gives its port."""
        running = self.services[name]
        part, port = running.part, backing.free_port()
        number = str(next(running.number))
        variables = {
            **self._variables,
            "ZOO_FORM": part.routes,
            "ZOO_FRAMEWORK": part.framework or self.dress.framework,
            "ZOO_DRIVER": part.driver or self.dress.driver,
            "ZOO_PORT": str(port),
            "ZOO_INSTANCE": number,
            "ZOO_VERSION": version,
        }
        if version:
            variables["OTEL_RESOURCE_ATTRIBUTES"] = f"service.version={version}"
        if part.framework == "linked_worker":
            variables["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = "celery"
        if part.framework in languages.VARIABLES:
            variables |= {"OTEL_SERVICE_NAME": name, **languages.VARIABLES[part.framework]}
            variables["NODE_PATH"] = f"{os.environ[languages.FETCHED]}/node_modules"
        with (self.folder / f"{name}-{number}.log").open("wb") as log:
            running.processes[port] = subprocess.Popen(
                _command(part, name),
                env=variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if wait:
            self._wait(running, port, running.processes[port])
        else:
            running.proxy.backends.append(port)
        return port

    def _wait(self, running: Running, port: int, process: subprocess.Popen[bytes]) -> None:
        logs = sorted(self.folder.glob(f"{running.part.name}-*.log"))
        backing.wait_until(lambda: backing.listening(port), process, logs[-1], servers.PATIENCE_S)
        if port not in running.proxy.backends:
            running.proxy.backends.append(port)

    def end(self, name: str, port: int, how: signal.Signals = signal.SIGINT) -> None:
        """Ends an instance: gently, or killed with SIGKILL once its spans are sent."""
        running = self.services[name]
        if len(running.proxy.backends) > 1:
            running.proxy.backends.remove(port)
        if how == signal.SIGKILL:
            self._quiet()
        backing.stop(running.processes.pop(port), how)
        if port in running.proxy.backends:
            running.proxy.backends.remove(port)

    def close(self) -> None:
        """Ends all services so that no span is lost, the outermost first."""
        for running in reversed(self.services.values()):
            for process in running.processes.values():
                process.send_signal(signal.SIGINT)
        for running in reversed(self.services.values()):
            for process in running.processes.values():
                backing.stop(process, signal.SIGINT)

    def settle(self) -> list[bytes]:
        """Waits until all spans have arrived; gives them and forgets them."""
        self._quiet()
        bodies, self.receiver.bodies[:] = list(self.receiver.bodies), []
        return bodies

    def _quiet(self) -> None:
        """Waits until something has arrived and nothing more does."""
        count = 0
        while not count or count != len(self.receiver.bodies):
            count = len(self.receiver.bodies)
            time.sleep(_DRAINED_S if self.form.rabbitmq else _QUIET_S)

    # --- traffic

    def id(self, number: int) -> int:
        """The n-th product that no other seed touches."""
        return 1 + (self.seed % 20) * 5_000 + number

    def send(self, sends: Iterable[Send], *, workers: int = 4, rate: float = 0.0) -> None:
        """Sends all to the outermost service, so many at once, at most `rate` a second."""
        work, lock, started = enumerate(sends), threading.Lock(), time.monotonic()
        port = self.services[self.form.parts[0].name].proxy.port

        def client() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
            while True:
                with lock:
                    number, send = next(work, (0, None))
                if send is None:
                    break
                if rate:
                    time.sleep(max(0.0, started + number / rate - time.monotonic()))
                status = _exchange(connection, send)
                with lock:
                    self.statuses[status] += 1
            connection.close()

        threads = [threading.Thread(target=client) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # a form whose routes are not asked as they want shows nothing of what it is for
        assert not {405, 422} & set(self.statuses), (self.form.name, self.statuses)


def _command(part: Part, name: str) -> list[str]:
    if part.framework in languages.VARIABLES:
        return languages.command(part.framework)
    module = "zoo.working" if part.framework.endswith("worker") else "zoo.serving"
    return instrumented(name, [sys.executable, "-m", module])


def _exchange(connection: http.client.HTTPConnection, send: Send) -> int:
    headers = {"x-user-id": send.user} if send.user else {}
    headers |= {"x-mode": send.mode} if send.mode else {}
    try:
        connection.request(send.method, send.path, headers=headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0
    return answer.status


@contextmanager
def world(form: Form, dress: Dress, shared: Servers, folder: Path, slot: int) -> Iterator[World]:
    """The form's services, answering; all gone afterwards."""
    with ExitStack() as stack:
        made = World(form, dress, shared, folder, slot, stack)
        _forget(f"{shared.redis}/{slot}")
        stack.callback(made.close)
        made.open()
        yield made


def _forget(url: str) -> None:
    from redis import Redis

    client: Any = Redis.from_url(url)
    client.flushdb()
    client.close()

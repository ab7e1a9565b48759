"""The demo from start to end: servers, spanlint, services, traffic, findings."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from collector.demo import backing, services, traffic, waiting
from collector.demo.backing import NotStarted
from collector.demo.cases import Case, playable
from collector.demo.services import Backing, Telemetry
from collector.demo.spanlint import serving

SERVICES = ("shop", "catalogue", "pricing")

_FAMILY = "N"
"""Rules that run: those the endpoints are about. A client that asks the same over and over, as this
one does, makes every read of the shop, the good ones too, worth a cache (C101)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for.

    postgres_url: of a database to use; else one is started when PostgreSQL is installed, else
    SQLite. admin_port: of spanlint's metrics and API; 0 for any. requests: to each form of each
    endpoint. patience_s: how long findings are awaited after the last request.
    """

    postgres_url: str = ""
    admin_port: int = 0
    requests: int = 30
    new_conventions: bool = False
    patience_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, while everything still runs."""

    admin: str
    urls: dict[str, str]
    database: str
    without: tuple[str, ...]
    rows: list[waiting.Row]
    findings: list[waiting.Found]
    seconds: float
    folder: Path

    @property
    def right(self) -> bool:
        """Whether every bad form was found, and nothing else."""
        return all(row.right for row in self.rows)


@dataclass(slots=True)
class Told:
    """Where progress goes: a line per step, and a tick per request of `total`."""

    step: Callable[[str], None] = field(default=lambda _: None)
    tick: Callable[[int], None] = field(default=lambda _: None)


@contextmanager
def demo(plan: Plan, told: Told) -> Iterator[Outcome]:
    """Runs the demo; servers and services go on until the block is left.

    Raises NotStarted with a reason when something cannot run.
    """
    absent = services.missing()
    if absent:
        raise NotStarted(
            f"the demo needs {', '.join(absent)}: install them with  pip install 'spanlint[demo]'"
        )
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="spanlint-demo-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        served = stack.enter_context(
            serving(folder, admin_port=plan.admin_port, otlp_grpc="", select=_FAMILY)
        )
        admin = served.admin
        told.step(f"spanlint serves at {admin}, OTLP/HTTP at {served.otlp_http}")
        kept, database = backing_of(plan, folder, stack)
        told.step(f"{database}, {'Redis' if kept.redis_url else 'no Redis'}")
        cases = playable(["Redis"] if kept.redis_url else [])
        names = [n for n in SERVICES if any(c.service == n for c in cases)]
        telemetry = Telemetry(served.otlp_http, plan.new_conventions)
        urls = stack.enter_context(services.running(names, kept, telemetry, folder))
        told.step(f"{', '.join(names)} run under opentelemetry-instrument")
        found = _play(plan, cases, urls, admin, told)
        seconds = time.monotonic() - started
        without = () if kept.redis_url else ("Redis",)
        rows = waiting.compare(cases, found)
        yield Outcome(admin, urls, database, without, rows, found, seconds, folder)


def _play(
    plan: Plan, cases: tuple[Case, ...], urls: dict[str, str], admin: str, told: Told
) -> list[waiting.Found]:
    total = 2 * plan.requests * len(cases)
    told.step(f"{total} requests, {plan.requests} to each of {2 * len(cases)} endpoints")
    try:
        traffic.drive(cases, urls, plan.requests, lambda: told.tick(total))
    except httpx.HTTPError as error:
        raise NotStarted(f"a service of the demo failed: {error}") from error
    told.step("waiting until spanlint has judged them")
    return waiting.wait_for(admin, cases, plan.requests, plan.patience_s)


def backing_of(plan: Plan, folder: Path, stack: ExitStack) -> tuple[Backing, str]:
    """Databases to use, filled; and the name of the one chosen."""
    from sqlalchemy.exc import SQLAlchemyError  # of the demo extra, which may be missing

    from collector.demo import store

    try:
        if plan.postgres_url:
            url = stack.enter_context(store.schema(plan.postgres_url))
            name = "PostgreSQL (given)"
        elif backing.postgres_bin():
            url, name = stack.enter_context(backing.postgresql(folder)), "PostgreSQL"
        else:
            url = f"sqlite:///{folder / 'shop.sqlite'}"
            name = "SQLite, since PostgreSQL is not installed"
        url = store.with_driver(url)
        store.fill(url)
    except SQLAlchemyError as error:
        raise NotStarted(f"the database cannot be used: {error}") from None
    redis = stack.enter_context(backing.redis(folder)) if shutil.which("redis-server") else ""
    return Backing(url, redis), name

"""What the pictures show: a shop of many services with faults of every family, and an outage.

The demo's shop and forms of the zoo run as real processes; their spans go to a real spanlint that a
real Prometheus scrapes. Each chapter ends when what it is about has been seen there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from collector.demo import services, traffic
from collector.demo.cases import playable
from collector.demo.run import SERVICES, Plan, backing_of
from collector.demo.services import Backing, Telemetry
from collector.demo.spanlint import Served, serving
from dashboards.watch.servers import Prometheus, alertmanager, inbox, prometheus
from support.feeding import PROTOBUF
from support.playing import playing, repeated
from support.upstream import upstream
from zoo.forms.caches import zipf
from zoo.model import Form, Part
from zoo.world import Send, World, all_servers

PATIENCE_S = 600.0
SETTINGS = {
    "horizon_s": "60",
    "judge_interval_s": "3",
    "service_graph": "true",
    "red_metrics": "true",
    "otlp_grpc": "",
}
SCRAPE_S = 8
FOUND = ("N101", "N102", "N103", "N104", "N105", "N106", "C101", "C103", "S101")
_PAUSE_S = 3.0
_SOME_S = 4.0
"""Traffic of a form is sent in stretches of about so long."""


_PAYING = (
    '1 - sum(rate(traces_service_graph_request_failed_total{server="payment"}[40s]))'
    ' / sum(rate(traces_service_graph_request_total{server="payment"}[40s]))'
)
"""Share of calls to payment that go well."""


@dataclass(slots=True)
class Story:
    """What runs. mode: how payment fares, `down` or well."""

    served: Served
    prometheus: Prometheus
    say: Callable[[str], None]
    started: float = field(default_factory=time.time)
    mode: str = ""
    storefront: World = field(init=False)

    def until(self, what: str, expr: str) -> None:
        """Waits until Prometheus knows it. Raises TimeoutError."""
        self.say(what)
        if not self.prometheus.wait_for(expr, PATIENCE_S):
            raise TimeoutError(f"not seen within {PATIENCE_S:.0f} s: {expr}")

    def last_scrape(self) -> float:
        """When all was last known: a machine that draws pictures may be late for a scrape."""
        (found,) = self.prometheus.wait_for("timestamp(up == 1)", PATIENCE_S)
        return float(found["value"][1])

    def deploy(self) -> None:
        """A search with a cache takes over from the one without."""
        self.say("search is deployed with a cache")
        running = self.storefront.services["search"]
        running.part = replace(running.part, routes="storefront.search_cached")
        (old,) = running.processes
        self.storefront.start("search", "2")
        self.storefront.end("search", old)

    def tell(self) -> None:
        """Findings of all families; payment fails, recovers, and fails again."""
        for code in FOUND:
            self.until(f"waiting for {code}", _active(code))
        self.mode = "down"
        self.until("payment is down", f"{_active('F101')} and on () {_active('F102')}")
        self.deploy()
        self.mode = ""
        self.until(
            "payment is up",
            f"{_changed('F101', 'resolved')} and on () {_changed('F102', 'resolved')}",
        )
        self.mode = "down"
        self.until("payment is down again", _changed("F101", "regressed|ongoing"))
        self.until("search is well", _changed("C101", "resolved", "search"))
        self.until("nobody can pay", f"{_PAYING} < 0.05")
        self.until("retries are seen", f"{_active('F102')} and on () {_active('F104')}")
        self.until(
            "its alert is awaited",
            'ALERTS{alertname="SpanlintFailureSpreadsCritical", alertstate="firing"}',
        )


def _active(code: str) -> str:
    return f'group(spanlint_finding_active{{code="{code}"}})'


def _changed(code: str, states: str, service: str = ".+") -> str:
    chosen = f'code="{code}", state=~"{states}", service_name=~"{service}"'
    return f"group(spanlint_finding_changed_timestamp_seconds{{{chosen}}})"


def storefront(story: Story) -> Form:
    """What the zoo adds to the demo's shop.

    Three attempts at each step of a checkout, reviews in a dictionary of each instance, a search
    without a cache, a cache that hits and one that does not.
    """
    parts = (
        Part("gateway", "storefront.gateway"),
        Part("orders", "storefront.orders"),
        Part("payment", "failures.payment_failing"),
        Part("reviews", "state.dict", 3),
        Part("search", "caches.uncached"),
        Part("prices", "storefront.prices"),
        Part("offers", "storefront.offers"),
    )
    return Form("storefront", "bad", "", parts, partial(_shop_around, story))


def _shop_around(story: Story, world: World) -> None:
    """Some fifty products, the first ones more often; every third visitor buys."""
    sends = [Send("GET", f"/products/{i}") for i in zipf(world, 24, distinct=50, skew=0.5)]
    sends += [Send("POST", f"/checkout/{n}", mode=story.mode) for n in range(12)]
    world.rng.shuffle(sends)
    world.send(sends, workers=6, rate=len(sends) / _SOME_S)


@contextmanager
def running(folder: Path, say: Callable[[str], None]) -> Iterator[Story]:
    """All of it, under traffic."""
    with ExitStack() as stack:
        behind = stack.enter_context(upstream("http"))
        served = stack.enter_context(serving(folder, forward=behind.url, **SETTINGS))
        shared = stack.enter_context(all_servers(_room(folder, "zoo"), broker=False))
        kept, _ = backing_of(Plan(), _room(folder, "shop"), stack)
        target = served.admin.removeprefix("http://")
        names = {
            target: "spanlint-0:9777",
            _address(shared.database): "postgresql:5432",
            _address(shared.redis): "redis:6379",
            _address(kept.database_url): "shop-postgresql:5432",
            _address(kept.redis_url): "shop-redis:6379",
        }
        told = stack.enter_context(inbox())
        manager = stack.enter_context(alertmanager(folder, told.url))
        asked = stack.enter_context(
            prometheus(
                folder, [target], manager, every_s=SCRAPE_S, hold="16s", keep="40s", names=names
            )
        )
        story = Story(served, asked, say)
        # one exporter is broken
        httpx.post(f"{served.otlp_http}/v1/traces", content=b"\xff\xff", headers=PROTOBUF)
        say("starting the services")
        stack.enter_context(_shop(folder / "shop", kept, served))
        room = _room(folder, "storefront")
        story.storefront = stack.enter_context(
            playing(storefront(story), shared, room, served.otlp_http)
        )
        story.started = time.time()
        yield story


def _address(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _room(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


@contextmanager
def _shop(folder: Path, kept: Backing, served: Served) -> Iterator[None]:
    """The demo's shop, its bad and good endpoints asked in turn."""
    cases = playable(["Redis"])
    telemetry = Telemetry(served.otlp_http)
    with services.running(SERVICES, kept, telemetry, folder) as urls:

        def ask() -> None:
            # a busy machine may be late; the next round will do
            with suppress(httpx.HTTPError):
                traffic.drive(cases, urls, 1, lambda: None)

        with repeated(ask, _PAUSE_S):
            yield

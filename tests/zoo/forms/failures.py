"""Forms of the F rules: gateway, shop, payment; what fails, hangs, slows or drops."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from zoo.balancer import Proxy
from zoo.model import Form, Kind, Part
from zoo.world import Send, World

RATES = 9.0, 16.0
"""Orders a second, by seed: enough for each rule in five seconds, and bearable for two cores."""
WELL_S, ILL_S = 8.0, 16.0
SIDE_S = 26.0
"""F107 compares stretches of 20 s."""


def buy(world: World, seconds: float, mode: str = "", rate: float = 0.0) -> None:
    """Orders for so long, at a rate of the seed unless one is given."""
    rate = rate or random.Random(world.seed).uniform(*RATES)
    count, path = int(seconds * rate), world.form.parts[0].name
    path = {"gateway": "/checkout", "shop": "/orders", "payment": "/payments"}[path]
    numbers = [world.id(world.rng.randint(0, 900)) for _ in range(count)]
    world.send([Send("POST", f"{path}/{n}", mode=mode) for n in numbers], workers=8, rate=rate)


def well_then(mode: str, world: World) -> None:
    """Healthy at first, then as `mode` says."""
    buy(world, WELL_S)
    buy(world, ILL_S + world.rng.uniform(0, 2), mode)


def well(world: World) -> None:
    """Steady, at two rates."""
    buy(world, 8, rate=10)
    buy(world, 10, rate=18)


def database_stops(world: World) -> None:
    buy(world, WELL_S)
    world.stop_database()
    buy(world, ILL_S, rate=8)


def payment_stops(world: World) -> None:
    """The port of payment is closed: nobody answers."""
    proxy = world.services["payment"].proxy
    buy(world, WELL_S)
    proxy.refuse()
    buy(world, ILL_S)
    proxy.accept()


def payment_drops(world: World) -> None:
    """Connections to payment end without an answer."""
    proxy = world.services["payment"].proxy
    buy(world, WELL_S)
    proxy.drop = True
    buy(world, ILL_S)
    proxy.drop = False


def edge_delays(name: str, world: World) -> None:
    """200 ms on the wire to that service."""
    proxy = world.services[name].proxy
    buy(world, SIDE_S, rate=9)
    proxy.delay_s = 0.2
    buy(world, SIDE_S, rate=9)
    proxy.delay_s = 0.0


def database_delays(world: World) -> None:
    """200 ms on the wire to the database."""
    buy(world, SIDE_S, rate=9)
    world.database_wire.delay_s = 0.2
    buy(world, SIDE_S, rate=9)
    world.database_wire.delay_s = 0.0


def slow_all_along(world: World) -> None:
    """The same 200 ms before and after: nothing rises."""
    buy(world, 2 * SIDE_S, "slow", rate=9)


def busier(world: World) -> None:
    """Three times the traffic from the middle on."""
    buy(world, SIDE_S, rate=6)
    buy(world, SIDE_S, rate=18)


def slows(world: World) -> None:
    buy(world, SIDE_S, rate=9)
    buy(world, SIDE_S, "slow", rate=9)


def hanging(proxy: Proxy, world: World) -> None:
    """Nine calls, one after the other, hang for 11 to 17 s while all others are quick."""
    buy(world, 8)
    proxy.delay_s, proxy.jitter_s = 11.0, 6.0
    path = "orders" if world.form.parts[0].name == "shop" else "payments"
    sends = [Send("POST", f"/{path}/{world.id(n)}") for n in range(9)]
    world.send(sends, workers=9, rate=1.5)
    proxy.delay_s = proxy.jitter_s = 0.0
    buy(world, 3)


def hangs(world: World) -> None:
    hanging(world.services["payment"].proxy, world)


def database_hangs(world: World) -> None:
    """The same of queries; connections are there, for a pool opens one for each that waits."""
    world.database_wire.delay_s = 0.3
    world.send([Send("POST", f"/payments/{world.id(n)}") for n in range(12)], workers=12)
    world.database_wire.delay_s = 0.0
    hanging(world.database_wire, world)


def polls(world: World) -> None:
    """Calls that wait for 10 to 14 s, all of them: that is how long they take."""
    proxy = world.services["payment"].proxy
    proxy.delay_s, proxy.jitter_s = 10.0, 4.0
    world.send([Send("POST", f"/orders/{world.id(n)}") for n in range(16)], workers=16)
    proxy.delay_s = proxy.jitter_s = 0.0


def times_out(world: World) -> None:
    """The same fault behind a client that waits half a second."""
    hangs(world)


def impatient(world: World) -> None:
    """Every call outlives the patience of its caller."""
    world.send([Send("POST", f"/orders/{world.id(n)}") for n in range(60)], workers=4)


def _form(  # noqa: PLR0913
    name: str,
    kind: Kind,
    what: str,
    chain: str,
    drive: Callable[[World], None],
    *expects: str,
    allows: tuple[str, ...] = (),
    own_database: bool = False,
    fresh: bool = False,
    wired: bool = False,
) -> Form:
    """`chain`: `gateway=routes shop=routes payment=routes[:framework[:driver]]`, outermost first."""
    parts = []
    for told in chain.split():
        service, _, rest = told.partition("=")
        routes, framework, driver = (*rest.split(":"), "", "")[:3]
        parts.append(Part(service, f"failures.{routes}", framework=framework, driver=driver))
    return Form(name, kind, what, tuple(parts), drive, expects, allows, fresh, own_database, wired)


_BY_WAY = ("F101", "F104")
"""A dependency that is down and called on without a breaker: true of every form that is marked so."""
_RETRIES = ("F102", "F103")
_SLOW = ("F107",)

FORMS = (
    _form(
        "dead_database", "bad", "three services, three attempts each, the database stops",
        "gateway=gateway_retrying shop=shop_retrying payment=payment_retrying::sqlalchemy",
        database_stops, "F101 - postgresql", "F102", "F104", allows=("F103", "F107", "N101"),
        own_database=True, fresh=True,
    ),
    _form(
        "dead_database_breaker", "good", "the same, and the shop breaks the circuit and falls back",
        "gateway=gateway shop=shop_breaking payment=payment::sqlalchemy", database_stops,
        allows=("F101",), own_database=True, fresh=True,
    ),
    _form(
        "cascade", "bad", "payment fails, and everybody before it",
        "gateway=gateway shop=shop payment=payment_failing", partial(well_then, "down"),
        "F101 payment", "F104 shop",
    ),
    _form(
        "cascade_refused", "bad", "payment refuses connections",
        "gateway=gateway shop=shop payment=payment_paid", payment_stops, "F101", "F104 shop",
    ),
    _form(
        "cascade_dropped", "bad", "connections to payment end without an answer",
        "gateway=gateway shop=shop payment=payment_paid", payment_drops, "F101", "F104 shop",
    ),
    _form(
        "cascade_grpc", "bad", "the same over gRPC",
        "gateway=gateway shop=shop_grpc payment=payment_failing:grpc", partial(well_then, "down"),
        "F101 payment", "F104 shop",
    ),
    _form(
        "absorbed", "good", "the gateway falls back: no error reaches a user",
        "gateway=gateway_falling_back shop=shop_breaking payment=payment_failing",
        partial(well_then, "down"),
    ),
    _form(
        "errors_alone", "distractor", "errors of one service that nobody else sees",
        "payment=payment_flaky", well,
    ),
    _form(
        "retries", "bad", "three attempts in each of two layers, payment down",
        "gateway=gateway_retrying shop=shop_retrying payment=payment_failing",
        partial(well_then, "down"), "F102", allows=(*_BY_WAY, "F103"),
    ),
    _form(
        "retries_inside", "bad", "retries hidden in the HTTP library",
        "gateway=gateway shop=shop_retrying_inside payment=payment_failing",
        partial(well_then, "down"), "F102", allows=(*_BY_WAY, "F103"),
    ),
    _form(
        "retries_grpc", "bad", "a loop around a gRPC call",
        "gateway=gateway shop=shop_grpc_retrying payment=payment_failing:grpc",
        partial(well_then, "down"), "F102", allows=(*_BY_WAY, "F103"),
    ),
    _form(
        "retries_flat", "bad", "20 ms after every failure",
        "shop=shop_retrying_flat payment=payment_failing", partial(well_then, "down"),
        "F103 shop", allows=(*_BY_WAY, "F102"),
    ),
    _form(
        "backoff", "good", "retries with growing, jittered pauses, half of the calls fail",
        "shop=shop_retrying_growing payment=payment_failing_half", partial(well_then, "down"),
        allows=("F101", "F104"),
    ),
    _form(
        "three_parts", "distractor", "a loop of three payments, healthy, then failing",
        "gateway=gateway shop=shop_three_parts payment=payment_failing",
        partial(well_then, "down"), allows=_BY_WAY,
    ),
    _form(
        "fallback_only", "bad", "a fallback without a breaker still calls",
        "shop=shop_falling_back payment=payment_failing", partial(well_then, "down"),
        "F104 shop",
    ),
    _form(
        "breaker", "good", "pybreaker with a fallback",
        "shop=shop_breaking payment=payment_failing", partial(well_then, "down"),
    ),
    _form(
        "not_found", "distractor", "payment answers 404",
        "gateway=gateway shop=shop payment=payment_unknown", well,
    ),
    _form(
        "abandoned", "bad", "the caller gives up after 100 ms, the callee works 400 ms",
        "shop=shop_impatient payment=payment_slow", impatient, "F105", allows=("F104", "F101"),
    ),
    _form(
        "deadline", "good", "the deadline goes along and the callee stops in time",
        "shop=shop_with_deadline payment=payment_slow_with_deadline", impatient,
        allows=("F104", "F101"),
    ),
    _form(
        "hanging", "bad", "calls without a timeout hang for 11 s",
        "shop=shop_patient payment=payment_paid", hangs, "F106 shop", allows=_SLOW,
    ),
    _form(
        "hanging_grpc", "bad", "the same over gRPC, without a deadline",
        "shop=shop_grpc_patient payment=payment_paid:grpc", hangs, "F106 shop", allows=_SLOW,
    ),
    _form(
        "hanging_query", "bad", "queries hang for 11 s, no statement time-out",
        "payment=payment", database_hangs, "F106 payment", allows=_SLOW, wired=True,
    ),
    _form(
        "long_poll", "distractor", "calls that always wait for 10 s and more",
        "shop=shop_patient payment=payment_paid", polls,
    ),
    _form(
        "timeout_grpc", "good", "a gRPC deadline of two seconds",
        "shop=shop_grpc payment=payment_paid:grpc", times_out, allows=(*_SLOW, "F101", "F105"),
    ),
    _form(
        "timeout", "good", "the same fault, cut off after half a second",
        "shop=shop_with_timeout payment=payment_paid", times_out, allows=(*_SLOW, "F101", "F105"),
    ),
    _form(
        "slow_edge", "bad", "200 ms on the wire between gateway and shop",
        "gateway=gateway shop=shop payment=payment_working", partial(edge_delays, "shop"),
        "F107 - shop",
    ),
    _form(
        "slow_inner_edge", "bad", "200 ms on the wire between shop and payment",
        "gateway=gateway shop=shop payment=payment_working", partial(edge_delays, "payment"),
        "F107 - payment",
    ),
    _form(
        "slow_service", "bad", "payment's own work takes 200 ms more",
        "gateway=gateway shop=shop payment=payment_working", slows, "F107 - payment",
    ),
    _form(
        "slow_query", "bad", "the database takes 200 ms more",
        "gateway=gateway shop=shop payment=payment_querying", slows, "F107",
    ),
    _form(
        "slow_edge_grpc", "bad", "200 ms on the wire between shop and payment, over gRPC",
        "gateway=gateway shop=shop_grpc payment=payment_working:grpc",
        partial(edge_delays, "payment"), "F107 - payment",
    ),
    _form(
        "slow_database_edge", "bad", "200 ms on the wire to the database",
        "gateway=gateway shop=shop payment=payment", database_delays, "F107 payment",
        wired=True,
    ),
    _form(
        "slow_all_along", "distractor", "as slow before as after",
        "gateway=gateway shop=shop payment=payment_working", slow_all_along,
    ),
    _form(
        "busier", "distractor", "three times the traffic from the middle on",
        "gateway=gateway shop=shop payment=payment_querying", busier,
    ),
    _form(
        "steady", "good", "nothing happens, at two rates",
        "gateway=gateway shop=shop payment=payment_working", well,
    ),
    _form(
        "steady_grpc", "good", "nothing happens, over gRPC",
        "gateway=gateway shop=shop_grpc payment=payment_working:grpc", well,
    ),
)  # fmt: skip

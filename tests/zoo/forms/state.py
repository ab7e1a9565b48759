"""Forms of the S rules: three instances behind a balancer, state in one process or shared."""

from __future__ import annotations

import signal
from collections.abc import Callable

from zoo.forms.caches import zipf
from zoo.model import Form, Kind, Part
from zoo.world import Send, World

INSTANCES = 3


def often(world: World) -> None:
    """Each of fifty products often enough to meet every instance, and again."""
    mix = world.rng
    ids = zipf(world, mix.randint(420, 520), distinct=mix.randint(40, 55), skew=mix.uniform(0, 0.4))
    world.send([Send("GET", f"/products/{i}") for i in ids], workers=mix.randint(3, 6))


def users(world: World, count: int) -> list[str]:
    return [f"{world.seed}-{n}" for n in range(count)]


def sessions(world: World) -> None:
    """Users log in once and are asked who they are many times."""
    names = users(world, 30)
    world.send([Send("POST", "/login", user=u) for u in names], workers=2)
    asks = [Send("GET", "/me", user=u) for u in names for _ in range(world.rng.randint(9, 12))]
    world.rng.shuffle(asks)
    world.send(asks, workers=4)


def again(world: World) -> None:
    """Users who were refused log in again now and then."""
    names = users(world, 30)
    sends = [Send("POST", "/login", user=u) for u in names]
    for _ in range(330):
        method, path = ("POST", "/login") if world.rng.random() < 0.06 else ("GET", "/me")
        sends.append(Send(method, path, user=world.rng.choice(names)))
    world.send(sends, workers=3)


def carts(world: World) -> None:
    """A cart is created, then filled."""
    numbers = [world.id(n) for n in range(30)]
    world.send([Send("PUT", f"/carts/{n}") for n in numbers], workers=2)
    sends = [Send("POST", f"/carts/{n}/items") for n in numbers for _ in range(9)]
    world.rng.shuffle(sends)
    world.send(sends, workers=4)


def restart(world: World, how: signal.Signals, version: str = "") -> None:
    """The only instance ends and a new one takes its place; users come back."""
    sessions_of = users(world, 40)
    world.send([Send("POST", "/login", user=u) for u in sessions_of])
    asks = [Send("GET", "/me", user=u) for u in sessions_of for _ in range(3)]
    world.rng.shuffle(asks)
    world.send(asks, rate=60)
    (port,) = world.services["shop"].processes
    world.end("shop", port, how)
    world.start("shop", version)
    world.rng.shuffle(asks)
    world.send(asks, rate=60)
    world.send([Send("POST", "/login", user=u) for u in sessions_of])
    world.send(asks, rate=60)


def killed(world: World) -> None:
    restart(world, signal.SIGKILL)


def deployed(world: World) -> None:
    """A new version takes over, three instances one by one."""
    often(world)
    for port in list(world.services["shop"].processes):
        world.start("shop", "2")
        world.end("shop", port)
    often(world)


def redeployed(world: World) -> None:
    restart(world, signal.SIGINT, "2")


def canary(world: World) -> None:
    """One instance of three runs the next version."""
    port = next(iter(world.services["shop"].processes))
    world.end("shop", port)
    world.start("shop", "2")
    often(world)


def _form(  # noqa: PLR0913
    name: str,
    routes: str,
    kind: Kind,
    what: str,
    drive: Callable[[World], None],
    *expects: str,
    allows: tuple[str, ...] = (),
    instances: int = INSTANCES,
    sticky: bool = False,
    fresh: bool = False,
) -> Form:
    part = Part("shop", f"state.{routes}", instances, sticky)
    return Form(name, kind, what, (part,), drive, expects, allows, fresh=fresh, actor=True)


FORMS = (
    _form("process_dict", "dict", "bad", "if key not in GLOBAL_DICT: query", often,
          "S101 shop"),
    _form("process_bounded", "bounded_dict", "bad", "the same dict, bounded", often, "S101 shop",
          allows=("C101",)),
    _form("process_lru", "lru_cache", "bad", "functools.lru_cache around the query", often,
          "S101 shop"),
    _form("shared_cache", "redis", "good", "Redis instead of the dict", often),
    _form("two_levels", "two_levels", "good", "a dict in front of Redis", often),
    _form("one_instance", "dict", "distractor", "the dict, and one instance only", often,
          instances=1),
    _form("dict_sticky", "dict", "distractor", "the dict behind a balancer that hashes the path",
          often, allows=("S103:info",), sticky=True),
    _form("canary", "canary", "distractor", "one of three runs the next version", canary,
          fresh=True, allows=("C101",)),
    _form("deploy", "redis", "distractor", "a rolling deploy of the next version", deployed,
          fresh=True),
    _form("sessions_in_dict", "sessions", "bad", "sessions in a dict of the process", sessions,
          "S102 shop"),
    _form("sessions_again", "sessions", "bad", "the same, with users who log in again", again,
          "S102 shop"),
    _form("carts_in_dict", "carts", "bad", "carts in a dict, their id in the path", carts,
          "S102 shop"),
    _form("sessions_shared", "sessions_shared", "good", "sessions in Redis", sessions),
    _form("carts_shared", "carts_shared", "good", "carts in Redis", carts),
    _form("broken_replica", "broken_replica", "distractor", "one replica fails always", sessions),
    _form("sessions_sticky", "sessions", "bad", "sessions in a dict, held together by stickiness",
          sessions, "S103 shop", sticky=True),
    _form("sessions_lost", "sessions", "bad", "the instance is killed, its sessions with it",
          killed, "S104 shop", instances=1, fresh=True),
    _form("sessions_kept", "sessions_shared", "good", "killed, with sessions in Redis", killed,
          instances=1, fresh=True),
    _form("redeployed", "sessions_shared", "distractor", "a new version takes over", redeployed,
          instances=1, fresh=True),
)  # fmt: skip

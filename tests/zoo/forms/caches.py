"""Forms of the C rules: one product service, 1 to 3 instances, Redis or memcached."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from zoo.model import Form, Kind, Part
from zoo.world import Send, World

Drive = Callable[[World], None]


def zipf(world: World, count: int, *, distinct: int, skew: float = 1.0) -> list[int]:
    """So many ids, the first ones more often than the later ones."""
    weights = [1 / (rank + 1) ** skew for rank in range(distinct)]
    return [world.id(n) for n in world.rng.choices(range(distinct), weights, k=count)]


def hot(world: World) -> None:
    """A few dozen products, some far more often than others."""
    mix = world.rng
    ids = zipf(world, mix.randint(220, 300), distinct=mix.randint(25, 40), skew=mix.uniform(0.6, 1))
    sends = [Send("GET", f"/products/{i}", user=f"u{mix.randint(1, 12)}") for i in ids]
    world.send(sends, workers=mix.randint(2, 6))


def constant(path: str, world: World) -> None:
    """The same path, again and again."""
    world.send([Send("GET", path)] * world.rng.randint(80, 150), workers=3)


def once_each(world: World, *, path: str = "/products/{}", method: str = "GET") -> None:
    """Every id once."""
    count = world.rng.randint(150, 220)
    world.send([Send(method, path.format(world.id(n)), user=f"u{n % 20}") for n in range(count)])


def by_visitors(world: World) -> None:
    """Nine in ten requests come from a visitor who comes once."""
    sends = []
    for n, i in enumerate(zipf(world, world.rng.randint(280, 340), distinct=30)):
        visitor = "" if world.rng.random() < 0.1 else f"{world.seed}-{n}"
        sends.append(Send("GET", f"/products/{i}", user=visitor))
    world.send(sends)


def mostly_new(world: World) -> None:
    """Nine in ten ids are new, the rest were seen."""
    sends = []
    for n in range(world.rng.randint(200, 260)):
        seen = n > 20 and world.rng.random() < 0.1
        sends.append(Send("GET", f"/products/{world.id(world.rng.randint(0, 9) if seen else n)}"))
    world.send(sends)


def cold(world: World) -> None:
    """Many ids, each asked for a few times in a row: mostly first misses, then hits."""
    ids = [world.id(n) for n in range(60) for _ in range(world.rng.randint(3, 5))]
    world.send([Send("GET", f"/products/{i}") for i in ids], workers=2)


def slowly_again(world: World) -> None:
    """A few ids, each asked for again after its entry has expired."""
    ids = [world.id(world.rng.randint(0, 9)) for _ in range(world.rng.randint(220, 280))]
    world.send([Send("GET", f"/products/{i}") for i in ids], workers=2, rate=60)


def crowd(world: World) -> None:
    """24 clients ask for two products while entries expire every second."""
    rate = world.rng.uniform(90, 120)
    sends = [Send("GET", f"/products/{world.id(world.rng.randint(0, 1))}") for _ in range(700)]
    world.send(sends, workers=24, rate=rate)


def reads_and_writes(world: World) -> None:
    """Of two dozen products each is read, changed, and read again a little later."""
    products = world.rng.randint(20, 26)
    sends: list[Send] = []
    for n in range(products):
        sends += [Send("GET", f"/products/{world.id(n)}")] * 3
    for _ in range(world.rng.randint(3, 4)):
        order = list(range(products))
        world.rng.shuffle(order)
        sends += [Send("PUT", f"/products/{world.id(n)}") for n in order]
        sends += [Send("GET", f"/products/{world.id(n)}") for n in order for _ in range(2)]
    world.send(sends, workers=1, rate=75)


def by_user(world: World) -> None:
    """Twenty users look at their own profile."""
    users = [world.id(n) for n in range(20)]
    count = world.rng.randint(150, 200)
    world.send([Send("GET", "/me", user=str(world.rng.choice(users))) for _ in range(count)])


def writes(path: str, world: World) -> None:
    """A write-heavy endpoint: a few rows, over and over."""
    ids = zipf(world, 180, distinct=25)
    world.send([Send("POST", path.format(i)) for i in ids])


def probes(world: World) -> None:
    """A probe every few requests."""
    sends = []
    for i in zipf(world, 150, distinct=30):
        sends += [Send("GET", f"/products/{i}"), Send("GET", "/ready")]
    world.send(sends)


def flags(world: World) -> None:
    """The flag is on for even ids."""
    from redis import Redis

    client = Redis.from_url(world.redis_url)
    client.set("flag:related:0", "1")
    client.close()
    once_each(world)


def preferences(world: World) -> None:
    """Kept once, read often."""
    mix = world.rng
    world.send([Send("PUT", f"/preferences/{world.id(n)}") for n in range(40)])
    ids = zipf(world, 160, distinct=40)
    sends = [Send("PUT" if mix.random() < 0.15 else "GET", f"/preferences/{i}") for i in ids]
    world.send(sends)


def with_second(path: str, world: World) -> None:
    """Another operation of the service, besides the hot products."""
    hot(world)
    world.send([Send("GET", path)] * 30)


def _form(  # noqa: PLR0913
    routes: str,
    kind: Kind,
    what: str,
    drive: Drive,
    *expects: str,
    allows: tuple[str, ...] = (),
    instances: int = 1,
    actor: bool = False,
) -> Form:
    part = Part("shop", f"caches.{routes}", instances)
    return Form(routes, kind, what, (part,), drive, expects, allows, actor=actor)


_STAMPEDE = ("C103",)
"""Entries that live a second are refetched as they expire: C103 may say so as well."""

FORMS = (
    _form("uncached", "bad", "no cache before a hot SELECT", hot, "C101 shop products"),
    _form(
        "uncached_list", "bad", "a constant list, read from the database every time",
        partial(constant, "/categories"), "C101 shop products",
    ),
    _form(
        "session_before_hot_read", "bad", "a session GET is no cache of the SELECT after it", hot,
        "C101 shop products", allows=("C102:info",),
    ),
    _form("unique", "distractor", "every product once", once_each),
    _form(
        "by_actor", "distractor", "reads of the user who asks", by_user,
        actor=True,
    ),
    _form("locking", "distractor", "SELECT … FOR UPDATE, then the write",
          partial(writes, "/products/{}/reservation")),
    _form("audit", "distractor", "a write-heavy table",
          partial(writes, "/products/{}/views")),
    _form("health", "distractor", "SELECT 1 of a readiness probe", probes),
    _form("setex", "good", "cache-aside with SETEX", hot, instances=3),
    _form("set_with_ttl", "good", "cache-aside with SET EX", hot),
    _form("pipeline", "good", "cache-aside with SET and EXPIRE in a pipeline", hot),
    _form("expire_later", "good", "cache-aside with SET, then EXPIRE", hot, instances=2),
    _form("memcached", "good", "cache-aside over memcached", hot),
    _form(
        "memcached_never_filled", "bad", "memcached is asked, the database answers, nobody fills",
        partial(with_second, "/categories"), "C102 shop", allows=("C101",),
    ),
    _form(
        "redis_never_filled", "bad", "the same over Redis, whose keys are masked",
        partial(with_second, "/ready"), "C102|C101 shop", allows=("C101", "C102:info"),
    ),
    _form("session_then_unrelated", "distractor", "a session GET, then an unrelated SELECT",
          once_each, allows=("C102:info",)),
    _form("flag_gates", "distractor", "a feature flag decides whether a SELECT follows",
          flags, allows=("C102:info",)),
    _form("keys_unique", "bad", "a cache whose keys hold the visitor", by_visitors,
          "C103 shop products"),
    _form("mostly_new", "distractor", "nine in ten products are asked for once", mostly_new),
    _form("ttl_too_short", "bad", "entries expire before they are asked for again", slowly_again,
          "C103 shop products"),
    _form("cold_start", "good", "first misses of a cache that works", cold),
    _form("stampede", "bad", "all clients reload what has just expired", crowd,
          "C104 shop products", allows=_STAMPEDE, instances=2),
    _form("single_flight", "good", "a lock: one loads, the others wait", crowd, instances=2),
    _form("stale_while_revalidate", "good", "the old value is served while one reloads", crowd,
          instances=2),
    _form("no_invalidation", "bad", "writes leave the cached value as it was", reads_and_writes,
          "C105 shop products"),
    _form("delete_after_write", "good", "DEL after the write", reads_and_writes),
    _form("write_through", "good", "SETEX after the write", reads_and_writes),
    _form("versioned_keys", "good", "INCR of the version that is part of the key",
          reads_and_writes),
    _form("no_expiry", "bad", "cache-aside with SET and no TTL", hot, "C106 shop"),
    _form("system_of_record", "distractor", "Redis is where preferences live", preferences),
)  # fmt: skip

"""Redis and memcached commands, masked, half masked and in clear."""

from __future__ import annotations

import pytest

from detectors.kit.shapes.cache import shape_command
from detectors.kit.traits import Trait

ONE = Trait.READ | Trait.SINGLE_KEY
FILL = Trait.WRITE | Trait.FILL
TTL = Trait.EXPIRES
P = Trait.PARAMETERS

COMMANDS: list[tuple[str | None, str, str | None, str | None, Trait]] = [
    ("GET ?", "GET", None, None, ONE | P),
    ("get user:5", "GET", "user:5", "user:{id}", ONE | P),
    ("HGET cart:5 total", "HGET", "cart:5", "cart:{id}", ONE | P),
    ("HGETALL ?", "HGETALL", None, None, ONE | P),
    ("MGET ? ?", "MGET", None, None, Trait.READ | Trait.LISTED | P),
    ("mget user:1 user:2", "MGET", "user:1 user:2", "user:{id}", Trait.READ | Trait.LISTED | P),
    ("HMGET ? ? ?", "HMGET", None, None, Trait.READ | Trait.LISTED | P),
    ("SET ? ?", "SET", None, None, FILL | P),
    ("SET ? ? ?", "SET", None, None, FILL | P),
    ("SET ? ? ? ?", "SET", None, None, FILL | TTL | P),
    ("SET user:5 [1 other arguments]", "SET", "user:5", "user:{id}", FILL | P),
    ("set user:5 [3 other arguments]", "SET", "user:5", "user:{id}", FILL | TTL | P),
    ("set user:5 v ex 60", "SET", "user:5", "user:{id}", FILL | TTL | P),
    ("SETEX ? ? ?", "SETEX", None, None, FILL | TTL | P),
    ("SETNX ? ?", "SETNX", None, None, FILL | P),
    ("MSET ? ? ? ?", "MSET", None, None, FILL | P),
    ("HMSET h f ?", "HMSET", "h", "h", FILL | P),
    ("EXPIRE ? ?", "EXPIRE", None, None, TTL | P),
    ("DEL ?", "DEL", None, None, Trait.WRITE | Trait.EVICT | P),
    ("INCR hits:2024-01-02", "INCR", "hits:2024-01-02", "hits:{id}", Trait.WRITE | P),
    ("LPUSH ? ?", "LPUSH", None, None, Trait.WRITE | P),
    ("BRPOP ? ?", "BRPOP", None, None, P),
    ("PUBLISH ? ?", "PUBLISH", None, None, P),
    ("SUBSCRIBE ?", "SUBSCRIBE", None, None, Trait.CONTROL | P),
    ("PING", "PING", None, None, Trait.PING),
    ("CLIENT SETINFO LIB-NAME x", "CLIENT", None, None, Trait.CONTROL | P),
    ("EVALSHA ? ? ?", "EVALSHA", None, None, P),
    (None, "GET", None, None, ONE),
]  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS, ids=lambda case: str(case[0]))
def test_redis(case: tuple[str | None, str, str | None, str | None, Trait]) -> None:
    statement, operation, key, template, traits = case
    got = shape_command(statement, operation, "redis", None)
    assert (got.operation, got.key, got.template) == (operation, key, template)
    assert Trait(got.traits) == traits
    assert got.commands == 1


@pytest.mark.parametrize(
    ("statement", "key", "traits"),
    [
        ("get user:5", "user:5", ONE | P),
        ("get a b", "a b", Trait.READ | Trait.LISTED | P),
        ("get_many a b", "a b", Trait.READ | Trait.LISTED | P),
        ("set user:5", "user:5", FILL | P),
        ("add user:5", "user:5", FILL | P),
        ("delete user:5", "user:5", Trait.WRITE | Trait.EVICT | P),
        ("touch user:5", "user:5", TTL | P),
        ("version", None, Trait.PING),
    ],
)
def test_memcached(statement: str, key: str | None, traits: Trait) -> None:
    got = shape_command(statement, statement.split(maxsplit=1)[0], "memcached", None)
    assert got.operation == statement.split(maxsplit=1)[0]
    assert (got.key, Trait(got.traits)) == (key, traits)


def test_pipeline_is_all_of_its_commands() -> None:
    got = shape_command("SET ? ?\nEXPIRE ? ?", "SET EXPIRE", "redis", 2)
    assert (got.operation, got.commands) == ("SET EXPIRE", 2)
    assert Trait(got.traits) == Trait.PIPELINE | FILL | TTL | P


def test_pipeline_is_told_by_lines_or_by_name() -> None:
    by_lines = shape_command("GET ?\nGET ?\nGET ?", "redis", "redis", None)
    assert (by_lines.operation, by_lines.commands) == ("GET", 3)
    assert Trait(by_lines.traits) == Trait.PIPELINE | Trait.READ | P
    by_name = shape_command(None, "GET SET", "redis", 2)
    assert (by_name.operation, by_name.commands) == ("GET SET", 2)
    # ioredis makes one span of each command in a pipeline.
    single = shape_command("get user:5", "PIPELINE get", "redis", None)
    assert (single.key, single.commands) == ("user:5", 1)
    assert Trait(single.traits) == Trait.PIPELINE | ONE | P


@pytest.mark.parametrize(
    ("key", "template"),
    [
        ("user:5", "user:{id}"),
        ("{42}:cart", "{id}:cart"),
        ("session:9f86d081884c7d65", "session:{id}"),
        ("settings", "settings"),
        ("v1:page:/users/5", "v1:page:/users/{id}"),
    ],
)
def test_key_template(key: str, template: str) -> None:
    assert shape_command(f"GET {key}", "GET", "redis", None).template == template

"""Cache commands to shapes.

Redis instrumentations mask all arguments (`SET ? ?`), only the values (`SET user:5 ?`), all but
their number (`SET user:5 [1 other arguments]`), or nothing; some give the command only.
"""

from __future__ import annotations

import re

from detectors.kit.shapes.commands import MEMCACHED, REDIS, REDIS_MANY
from detectors.kit.shapes.ids import ID, is_id
from detectors.kit.shapes.model import CacheShape
from detectors.kit.traits import Trait

__all__ = ["CacheShape", "shape_command"]

_MASK = "?"
_OTHERS = re.compile(r"\[(\d{1,9}) other arguments?\]")
_PARTS = re.compile(r"([:/|.#\s])")
_TTL_OPTIONS = frozenset(("EX", "PX", "EXAT", "PXAT"))
_ARGUMENTS_WITH_TTL = 4  # SET key value EX seconds; three are NX, XX, KEEPTTL or GET
_MOST_ARGUMENTS = 64  # that are looked at; a longer MGET is told by its first keys
_PIPELINE_PREFIX = re.compile(r"(?:redis\.)?pipelined?\b|multi\b(?=\s+\w)", re.IGNORECASE)


def _template(key: str) -> str:
    """A key with its ids replaced: `user:5` is `user:{id}`."""
    parts = _PARTS.split(key)
    before = ""
    for index in range(0, len(parts), 2):
        part = parts[index]
        if is_id(part.strip("{}"), before):
            parts[index] = ID
        before = part
    return "".join(parts)


def _arguments(text: str) -> tuple[list[str], int]:
    """The first visible or masked arguments, and how many there are in all."""
    others = _OTHERS.search(text)
    hidden = int(others[1]) if others else 0
    words = (text[: others.start()] if others else text).split()
    return words[:_MOST_ARGUMENTS], len(words) + hidden


def _keys(verb: str, arguments: list[str], *, many: bool) -> str | None:
    """The key that a command names, the keys of a command that names several; None if masked."""
    if not arguments or verb in ("EVAL", "EVALSHA", "FCALL"):
        return None
    keys = arguments if many else arguments[:1]
    return None if _MASK in keys or "[" in keys[0][:1] else " ".join(keys)


def _one(line: str, *, memcached: bool) -> CacheShape:
    """The shape of one command."""
    verb, _, rest = line.strip().partition(" ")
    verb = verb.lower() if memcached else verb.upper()
    traits = (MEMCACHED if memcached else REDIS).get(verb, Trait(0))
    arguments, count = _arguments(rest)
    many = verb in REDIS_MANY or (memcached and not traits & Trait.FILL)
    if many and count > 1:
        traits &= ~Trait.SINGLE_KEY
        if traits & Trait.READ:
            traits |= Trait.LISTED
    if verb == "SET" and (
        count >= _ARGUMENTS_WITH_TTL or any(word.upper() in _TTL_OPTIONS for word in arguments[2:])
    ):
        traits |= Trait.EXPIRES
    if count:
        traits |= Trait.PARAMETERS
    keyed = traits & (Trait.READ | Trait.WRITE | Trait.EXPIRES)
    key = _keys(verb, arguments, many=many and verb != "HMGET") if keyed else None
    template = None
    if key is not None:
        template = " ".join(dict.fromkeys(_template(part) for part in key.split(" ")))
    return CacheShape(verb or None, key, template, int(traits), 1)


def _pipeline(lines: list[str], length: int | None, *, memcached: bool) -> CacheShape:
    """The shape of a pipeline: its verbs once each, what they are together."""
    verbs: dict[str, None] = {}
    traits = int(Trait.PIPELINE)
    key = template = None
    for line in dict.fromkeys(lines):
        one = _one(line, memcached=memcached)
        traits |= one.traits
        if one.operation:
            verbs[one.operation] = None
        if key is None:
            key, template = one.key, one.template
    commands = max(length or 0, len(lines), 1)
    if commands > 1:
        traits &= ~int(Trait.SINGLE_KEY)
    return CacheShape(" ".join(verbs) or None, key, template, traits, commands)


def shape_command(
    statement: str | None, name: str, system: str, pipeline_length: int | None
) -> CacheShape:
    """The shape of a Redis or memcached span from its statement, else from its span name.

    `operation` is upper case for Redis, lower case for memcached; a pipeline has each of its verbs
    once (`SET EXPIRE`), the traits of all of them, and SINGLE_KEY only when it is one command.
    `key` is None where it is masked; of several keys all, separated by spaces. `commands` is
    `pipeline_length` (`db.redis.pipeline_length`) or the lines of the statement.
    """
    memcached = system.lower() == "memcached"
    prefix = _PIPELINE_PREFIX.match(name)
    text = (statement or "").strip()
    if not text:
        rest = name[prefix.end() :] if prefix else name
        # The span name of a pipeline lists its verbs: `GET SET`.
        verbs = rest.split() if prefix or pipeline_length else rest.split()[:1]
        if prefix or pipeline_length:
            return _pipeline(verbs, pipeline_length, memcached=memcached)
        return _one("".join(verbs), memcached=memcached)
    lines = [line for line in text.splitlines() if line.strip()]
    own = _PIPELINE_PREFIX.match(lines[0]) if len(lines[0].split()) > 1 else None
    if own is not None:
        lines[0] = lines[0][own.end() :].strip()
    table = MEMCACHED if memcached else REDIS
    listed = len(lines) > 1 and all(_is_command(line, table) for line in lines[:_MOST_ARGUMENTS])
    if prefix or own or pipeline_length or listed:
        return _pipeline(lines, pipeline_length, memcached=memcached)
    return _one(" ".join(lines), memcached=memcached)


def _is_command(line: str, table: dict[str, Trait]) -> bool:
    verb = line.split(maxsplit=1)[0]
    return verb.upper() in table or verb.lower() in table

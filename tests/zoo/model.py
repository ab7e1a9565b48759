"""What a form of the zoo is: its services, its traffic, and what must be said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from zoo.world import World

Kind = Literal["bad", "good", "distractor"]


@dataclass(frozen=True, slots=True)
class Part:
    """A service of a form: `service.name`, the routes (`theme.form`), how many instances.

    framework: overrides that of the dress (also `worker` and `linked_worker`, whose runs are joined
    to what sent them by links). driver: likewise.
    """

    name: str
    routes: str
    instances: int = 1
    sticky: bool = False
    framework: str = ""
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Dress:
    """The libraries through which a form is seen; the fault must be found in each."""

    framework: str
    driver: str
    client: str
    new_conventions: bool = False


DRESSES = (
    Dress("flask", "psycopg", "requests"),
    Dress("fastapi", "psycopg", "httpx"),
    Dress("flask", "sqlalchemy", "requests", new_conventions=True),
    Dress("fastapi", "sqlalchemy", "requests"),
    Dress("fastapi", "psycopg", "requests", new_conventions=True),
)


@dataclass(frozen=True, slots=True)
class Expect:
    """A finding that must be there: its code (any of several), service, and words that it holds."""

    codes: tuple[str, ...]
    service: str = ""
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join(("|".join(self.codes), self.service, *self.words)).strip()


def expect(text: str) -> Expect:
    """`"C101|C102 shop SELECT products"` -> codes, service (`-` for any) and words."""
    codes, *rest = text.split()
    service = rest[0] if rest and rest[0] != "-" else ""
    return Expect(tuple(codes.split("|")), service, tuple(rest[1:]))


@dataclass(frozen=True, slots=True)
class Form:
    """One row of the matrix.

    expects: findings of which each must be there (see `expect`). allows: codes that may be there
    besides, with what is true of them; `C102:info` only at that severity. fresh: every run needs
    new processes, since they are killed or remember. own_database: one that may be stopped.
    wired: the database is behind a proxy that can slow it.
    drive: sends the traffic and injects the faults. actor: the header that names the user is
    captured. polyglot: a service in another language, which needs what `tests/languages` fetches.
    """

    name: str
    kind: Kind
    what: str
    parts: tuple[Part, ...]
    drive: Callable[[World], None]
    expects: tuple[str, ...] = ()
    allows: tuple[str, ...] = ()
    fresh: bool = False
    own_database: bool = False
    wired: bool = False
    rabbitmq: bool = False
    polyglot: bool = False
    actor: bool = False

"""What a service of the zoo is written in: plain functions from an `Ask` to an answer.

A form is a dict of routes, `"GET /products/{id}" -> function`; `serving.py` puts it behind Flask or
FastAPI, so that one form is seen through both. Nothing here knows of spans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ask:
    """A request: the parameters of its path, of its query, and its headers (lower case)."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def id(self) -> int:
        """The path parameter `id`."""
        return int(self.path["id"])

    @property
    def user(self) -> str:
        """Who asks, by the header that traffic sets; empty for nobody."""
        return self.headers.get("x-user-id", "")

    @property
    def mode(self) -> str:
        """`down` or `slow` where traffic wants the innermost service to be so, else empty.

        A header, passed on by every service, so that the URLs stay what they are.
        """
        return self.headers.get("x-mode", "")


class Failed(Exception):  # noqa: N818 - reads as what happened
    """An answer that is no success; the status goes to the caller."""

    def __init__(self, status: int, why: str = "") -> None:
        super().__init__(f"{status} {why}")
        self.status = status


Handler = Callable[[Ask], Any]
Routes = Mapping[str, Handler]

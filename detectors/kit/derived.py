"""What several rules derive from the same facts is derived once a judgement.

A rule asks as if nobody had asked before: `links(facts)` is a plain function. The first call does
the work, and its result lives as long as the view of the facts, which is one judgement.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from detectors.kit.contract import FactsView

P = ParamSpec("P")
T = TypeVar("T")


def once(derive: Callable[Concatenate[FactsView, P], T]) -> Callable[Concatenate[FactsView, P], T]:
    """`derive`, whose result is shared by all who ask: they MUST NOT change it.

    It must depend on the facts and on its arguments alone, which must be hashable.
    """

    @wraps(derive)
    def shared(facts: FactsView, /, *args: P.args, **kwargs: P.kwargs) -> T:
        asked = (derive, args, tuple(sorted(kwargs.items())))
        if asked not in facts.derived:
            facts.derived[asked] = derive(facts, *args, **kwargs)
        found: T = facts.derived[asked]
        return found

    return shared

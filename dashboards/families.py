"""Rule families as the catalogue has them: nothing here lists a rule.

A family is the letter of a code. What is written here about a family is words, and whether its
critical findings should wake somebody; a family that has no words yet gets plain ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import groupby

from detectors.kit.catalogue import rules
from detectors.kit.contract import Rule


@dataclass(frozen=True, slots=True)
class Words:
    """title: of a row. alert: the middle of alert names. advice: what to do about such findings.

    paging: the fault spreads or loses data while one looks on, so that a critical one is urgent.
    """

    title: str
    alert: str
    advice: str
    paging: bool = False


_WORDS = {
    "N": Words(
        "Repeated work",
        "RepeatedWork",
        "One request does the same thing again and again. Join, batch or remember it; the finding "
        "names the statement and the line of code where the spans show it.",
    ),
    "C": Words(
        "Caches",
        "CacheMisuse",
        "A cache is missing, is never filled, or is hit too rarely to be worth its trip. Compare "
        "the hit ratio with what the writes would allow before tuning anything else.",
    ),
    "S": Words(
        "State in one process",
        "StateInOneProcess",
        "Instances do not share what they remember, so that the next request may not find it. "
        "Move the state to a shared store before adding instances or deploying.",
        paging=True,
    ),
    "F": Words(
        "Failures that spread",
        "FailureSpreads",
        "One dependency takes others down with it. Look at the origin first, not at whoever "
        "shows most errors; then at retries, time-outs and breakers on the way.",
        paging=True,
    ),
    "D": Words("Databases", "Database", "A statement or a connection is used badly."),
    "M": Words("Messaging", "Messaging", "Messages are lost, stuck or sent one by one."),
    "A": Words("Architecture", "Architecture", "Services depend on each other in a harmful way."),
}


@dataclass(frozen=True, slots=True)
class Family:
    """A letter, its words and its rules."""

    letter: str
    words: Words
    rules: tuple[Rule, ...]

    @property
    def matcher(self) -> str:
        """The PromQL matcher of its codes."""
        return f'code=~"{self.letter}.+"'


@cache
def families() -> tuple[Family, ...]:
    """The families that have rules, by letter."""
    ordered = sorted(rules(), key=lambda r: r.code)
    found = groupby(ordered, key=lambda r: r.code[0])
    return tuple(Family(letter, _words(letter), tuple(several)) for letter, several in found)


def _words(letter: str) -> Words:
    plain = Words(f"Family {letter}", f"Family{letter}", "See the page of the rule.")
    return _WORDS.get(letter, plain)

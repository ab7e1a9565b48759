"""Takes pushes of facts, each once: merging adds, so a push that is repeated would count twice.

A sender repeats a push when it saw no answer, and pushes may overtake each other. Of each (sender,
epoch) the inbox knows which sequences came: all up to a floor, and single ones above it. Memory is
bounded: what comes later than the bounds allow is given up rather than counted twice. Only a
sender that was silent while `max_senders` others spoke is forgotten altogether.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from detectors.kit.engine import Facts, merge_facts
from detectors.kit.wire import Push

_EPOCHS = 4
"""Epochs of a sender that are remembered: a push of an older one is stale."""


@dataclass(slots=True)
class _Seen:
    """Sequences of one epoch that came: 1 to `floor`, and those in `above`."""

    floor: int = 0
    above: set[int] = field(default_factory=set)

    def add(self, sequence: int, most_above: int) -> bool:
        """Whether it is new; it is not afterwards."""
        if sequence <= self.floor or sequence in self.above:
            return False
        self.above.add(sequence)
        if len(self.above) > most_above:  # those missing below are given up
            self.floor = min(self.above)
        self.above = {s for s in self.above if s > self.floor}
        while self.floor + 1 in self.above:
            self.floor += 1
            self.above.remove(self.floor)
        return True


class FactsInbox:
    """Merges pushes of many senders.

    `counts`: pushes `taken`, `repeated` (ignored), `stale` (of an epoch that is forgotten, ignored)
    and senders `forgotten` because there were more than `max_senders`.
    """

    def __init__(self, max_senders: int = 10_000, max_ahead: int = 1_024) -> None:
        self._max_senders = max_senders
        self._max_ahead = max_ahead
        self._seen: OrderedDict[str, dict[int, _Seen]] = OrderedDict()
        self._parts: list[Facts] = []
        self.counts: Counter[str] = Counter()

    def take(self, push: Push) -> bool:
        """Takes a push; False, and nothing else, when it was taken before or is stale."""
        fate = self._fate(push)
        self.counts[fate] += 1
        if fate == "taken":
            self._parts.append(push.facts)
        return fate == "taken"

    def drain(self) -> Facts:
        """The merged facts of the pushes taken since the last time."""
        parts, self._parts = self._parts, []
        return merge_facts(parts)

    def _fate(self, push: Push) -> str:
        epochs = self._seen.setdefault(push.sender, {})
        self._seen.move_to_end(push.sender)
        self._forget_senders()
        if push.epoch not in epochs:
            if len(epochs) >= _EPOCHS and push.epoch < min(epochs):
                return "stale"
            epochs[push.epoch] = _Seen()
            if len(epochs) > _EPOCHS:
                del epochs[min(epochs)]
        new = epochs[push.epoch].add(push.sequence, self._max_ahead)
        return "taken" if new else "repeated"

    def _forget_senders(self) -> None:
        while len(self._seen) > self._max_senders:
            self._seen.popitem(last=False)
            self.counts["forgotten"] += 1

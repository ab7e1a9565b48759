"""Pushes of facts, repeated and overtaking each other, are merged once each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.kit.engine import Facts
from detectors.kit.inbox import FactsInbox
from detectors.kit.wire import Push, from_bytes, to_bytes
from support.algebra import as_bytes, by_trace, drawn, whole
from support.judging import facts_of, judge_facts


def empty(sender: str, epoch: int, sequence: int) -> Push:
    return Push(sender, epoch, sequence, Facts(counts={"spans": 1}))


@settings(max_examples=10, deadline=None)
@given(parts=st.integers(2, 9), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_processes_push_in_any_order_and_more_than_once(parts: int, seed: int, data: Any) -> None:
    """Spans over processes, epochs, pushes, bytes, repeats and drains: the same findings."""
    spans, texts = drawn()
    pushes = [
        to_bytes(Push(f"pod-{i % 3}", i % 2, i // 6 + 1, facts_of(part, texts)))
        for i, part in enumerate(by_trace(spans, parts, seed))
    ]
    repeats = data.draw(st.lists(st.sampled_from(pushes), max_size=6), label="repeated")
    order = data.draw(st.permutations(pushes + repeats), label="order")
    inbox = FactsInbox()

    drained = []
    for body in order:
        inbox.take(from_bytes(body))
        if data.draw(st.booleans(), label="drained"):
            drained.append(inbox.drain())

    facts = drained[0] if drained else Facts()
    for more in (*drained[1:], inbox.drain()):
        facts = merged(facts, more)
    assert all(facts.table(name).equals(frame) for name, frame in whole()[0].frames.items())
    assert facts.counts["spans"] == spans.height
    assert as_bytes(judge_facts(facts)) == whole()[1]
    assert inbox.counts == {"taken": len(pushes), "repeated": len(repeats)} or not repeats


def merged(first: Facts, second: Facts) -> Facts:
    """Two drains put together as another process would: through an inbox of its own."""
    inbox = FactsInbox()
    inbox.take(Push("first", 1, 1, first))
    inbox.take(Push("second", 1, 1, second))
    return inbox.drain()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(1, 30))))
def test_each_push_counts_once(keys: list[tuple[str, int, int]]) -> None:
    inbox = FactsInbox()

    taken = [inbox.take(empty(*key)) for key in keys]

    assert taken == [key not in keys[:i] for i, key in enumerate(keys)]
    assert inbox.drain().counts.get("spans", 0) == len(set(keys))
    assert inbox.drain().counts == {}


def test_a_restarted_sender_begins_anew_and_its_last_words_still_count() -> None:
    inbox = FactsInbox()

    assert inbox.take(empty("pod", 1, 1))
    assert inbox.take(empty("pod", 2, 1)), "the same sequence of another epoch"
    assert inbox.take(empty("pod", 1, 2)), "overtaken by the restart"
    assert not inbox.take(empty("pod", 1, 1))


def test_an_epoch_that_is_forgotten_is_stale_and_never_counted_twice() -> None:
    inbox = FactsInbox()
    for epoch in range(1, 7):
        assert inbox.take(empty("pod", epoch, 1))

    assert not inbox.take(empty("pod", 1, 1))
    assert inbox.counts["stale"] == 1


@pytest.mark.parametrize("ahead", [1, 3])
def test_memory_is_bounded_and_gaps_are_given_up(ahead: int) -> None:
    inbox = FactsInbox(max_ahead=ahead)
    for sequence in range(2, 1_000, 2):
        assert inbox.take(empty("pod", 1, sequence))
        seen = inbox._seen["pod"][1]
        assert len(seen.above) <= ahead

    assert not inbox.take(empty("pod", 1, 3)), "given up, not counted twice"
    assert not inbox.take(empty("pod", 1, 998))


def test_senders_are_bounded() -> None:
    inbox = FactsInbox(max_senders=10)
    for number in range(25):
        inbox.take(empty(f"pod-{number}", 1, 1))

    assert len(inbox._seen) == 10
    assert inbox.counts["forgotten"] == 15
    assert not inbox.take(empty("pod-24", 1, 1))

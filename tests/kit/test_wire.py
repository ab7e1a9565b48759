"""Facts as bytes: what is read is what was written, and bytes of others do no harm."""

from __future__ import annotations

import json
import struct
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_digest

from detectors.kit.engine import Facts
from detectors.kit.wire import Push, WireError, from_bytes, to_bytes
from support.algebra import as_bytes, whole
from support.judging import judge_facts


def packed(**changes: Any) -> bytes:
    """A push of all drawn facts whose header is changed, in an envelope that is right."""
    body = to_bytes(Push("a", 1, 1, whole()[0]))
    (size,) = struct.unpack_from(">I", body, 12)
    header = json.loads(body[16 : 16 + size]) | changes
    head = json.dumps(header).encode()
    return enveloped(struct.pack(">I", len(head)) + head + body[16 + size :])


def enveloped(rest: bytes) -> bytes:
    return b"SLF1" + xxh3_64_digest(rest) + rest


def test_what_is_read_is_what_was_written() -> None:
    facts, findings = whole()

    push = from_bytes(to_bytes(Push("shop/pod-1", 7, 3, facts)))

    assert (push.sender, push.epoch, push.sequence) == ("shop/pod-1", 7, 3)
    assert all(push.facts.table(name).equals(frame) for name, frame in facts.frames.items())
    assert push.facts.texts == facts.texts
    assert push.facts.counts == facts.counts
    assert as_bytes(judge_facts(push.facts)) == findings
    assert any(frame["exemplars"].list.len().sum() for frame in [push.facts.table("repeats")])


def test_the_same_facts_are_the_same_bytes() -> None:
    facts, _ = whole()
    turned = Facts(
        dict(reversed(facts.frames.items())),
        dict(reversed(facts.texts.items())),
        dict(reversed(facts.counts.items())),
    )

    assert to_bytes(Push("a", 1, 1, turned)) == to_bytes(Push("a", 1, 1, facts))


def test_nothing_observed_is_a_push_too() -> None:
    assert from_bytes(to_bytes(Push("a", 1, 1, Facts()))).facts == Facts()


@given(text=st.text(st.characters(exclude_categories=())), code=st.integers(1, 2**64 - 1))
def test_any_text_and_code_survives(text: str, code: int) -> None:
    facts = Facts(texts={code: text})

    assert from_bytes(to_bytes(Push(text, 1, 1, facts))).facts.texts == {code: text}


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_refused(data: Any) -> None:
    body = bytearray(to_bytes(Push("a", 1, 1, whole()[0])))
    at = data.draw(st.integers(0, len(body) - 1))
    cut = data.draw(st.booleans())
    if cut:
        del body[at:]
    else:
        body[at] ^= data.draw(st.integers(1, 255))

    with pytest.raises(WireError):
        from_bytes(bytes(body))


@given(body=st.binary(max_size=200))
def test_any_bytes_are_refused(body: bytes) -> None:
    for tried in (body, b"SLF1" + body, enveloped(body)):
        with pytest.raises(WireError):
            from_bytes(tried)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"from": None}, "from wants"),
        ({"from": ["a", 1]}, "from wants"),
        ({"from": ["a", 1, 0]}, "from wants"),
        ({"from": ["a", "1", 1]}, "from wants"),
        ({"tables": None}, "tables wants"),
        ({"tables": {"repeats": -1}}, "tables wants"),
        ({"tables": {"repeats": 10**9}}, "tables of"),
        ({"tables": {}}, "tables of 0 bytes"),
        ({"texts": 5}, "texts wants"),
        ({"texts": [["1", "x"]]}, "texts wants"),
        ({"texts": [[1]]}, "texts wants"),
        ({"texts": [[1, None]]}, "texts wants"),
        ({"counts": {"spans": 1.5}}, "counts wants"),
        ({"counts": [1]}, "counts wants"),
    ],
)
def test_a_header_that_lies_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(WireError, match=said):
        from_bytes(packed(**changes))


def test_facts_of_another_version_are_refused_by_name() -> None:
    facts, _ = whole()
    fewer = facts.table("repeats").drop("busy_ns")
    wider = facts.table("repeats").with_columns(new=pl.lit(1))

    for frames, said in (
        ({"repeats": fewer}, "busy_ns"),
        ({"repeats": wider}, "other columns"),
        ({"unheard_of": fewer}, "unknown facts table 'unheard_of'; known: .*repeats"),
    ):
        with pytest.raises(WireError, match=said):
            from_bytes(to_bytes(Push("a", 1, 1, Facts(frames))))


def test_a_table_that_is_no_arrow_stream_is_refused() -> None:
    with pytest.raises(WireError, match="no Arrow stream"):
        from_bytes(
            enveloped(
                struct.pack(">I", len(_HEAD)) + _HEAD + b"x" * 9,
            )
        )


_HEAD = b'{"from": ["a", 1, 1], "tables": {"repeats": 9}, "texts": [], "counts": {}}'

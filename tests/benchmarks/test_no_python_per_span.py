"""Between columns and findings no line of Python runs once a span: only once a slab or a pattern.

Lines are counted, not calls: a loop inside one function is seen too, a comprehension as well.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bodies import START_NS, freshen, make_bodies
from collector import check
from collector.decode.choice import decoders
from collector.decode.model import Packed
from collector.decode.protobuf import ProtobufDecoder
from collector.detect import Detector
from collector.settings import Settings
from detectors.kit.texts import Texts

FEW, MANY = 24, 64
"""Requests: so many that every rule has found all it will before the first count."""
BODIES = make_bodies(4)


@contextmanager
def counting() -> Iterator[Counter[tuple[str, int]]]:
    """Counts lines that run, in whatever package, by file and number."""
    lines: Counter[tuple[str, int]] = Counter()

    def trace(frame: Any, event: str, _: Any) -> Callable[..., Any]:
        if event == "line":
            lines[frame.f_code.co_filename, frame.f_lineno] += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


def packed(requests: int, name: str) -> list[Sized]:
    """What a decoder hands over of the same patterns, however many requests.

    Ids, times and literals differ.
    """
    decoder = decoders()[name](Texts(), None)
    spans: list[Sized] = []
    for i in range(requests):
        decoder.feed(freshen(BODIES[i % len(BODIES)], i))
        if len(decoder) >= 8_192:  # as the intake does
            spans += decoder.take_packed()
    return [*spans, *decoder.take_packed()]


def lines_of_check(
    requests: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> Counter[tuple[str, int]]:
    read = packed(requests, name)
    monkeypatch.setattr(check, "read_packed", lambda *_: iter([Packed([s]) for s in read]))
    with counting() as lines:
        report = check.check_files([__file__])
    assert report.summary.spans == sum(len(spans) for spans in read)
    assert report.findings
    return lines


@pytest.mark.parametrize("name", list(decoders()))
def test_lines_do_not_grow_with_spans(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines_of_check(FEW, name, monkeypatch)  # imports, caches, lazy tables
    few = lines_of_check(FEW, name, monkeypatch)
    many = lines_of_check(MANY, name, monkeypatch)

    added = Counter({place: n - few[place] for place, n in many.items()})
    worst = [f"{Path(f).name}:{n} +{more}" for (f, n), more in added.most_common(5)]
    # Some thousand spans more cost some lines; a span more costs none.
    assert added.total() / ((MANY - FEW) * 512) < 0.5, worst
    assert max(added.values()) < (MANY - FEW) * 512 / 10, worst


def test_a_loop_over_spans_would_be_seen() -> None:
    decoder = ProtobufDecoder(Texts())
    body = BODIES[0].data
    decoder(body)
    with counting() as lines:
        decoder(body)

    assert lines.total() > 512 * 10


def lines_of_detector(requests: int, name: str) -> Counter[tuple[str, int]]:
    arrived = packed(requests, name)
    told: list[Any] = []
    detector = Detector(Settings(max_age_s=5.0), Texts(), told.append)
    at = START_NS / 1e9
    with counting() as lines:
        for spans in arrived:
            detector.accept(spans, at)
        detector.tick(at + 20)
        detector.judge(at + 20)
    assert sum(facts.counts["spans"] for facts in told) == sum(len(spans) for spans in arrived)
    return lines


@pytest.mark.parametrize("name", list(decoders()))
def test_lines_of_the_live_path_do_not_grow_with_spans(name: str) -> None:
    lines_of_detector(FEW, name)
    few, many = lines_of_detector(FEW, name), lines_of_detector(MANY, name)

    added = Counter({place: n - few[place] for place, n in many.items()})
    worst = [f"{Path(f).name}:{n} +{more}" for (f, n), more in added.most_common(5)]
    assert added.total() / ((MANY - FEW) * 512) < 0.5, worst

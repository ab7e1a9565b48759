"""The native window closes what the reference closes, whatever comes in whatever order.

Skipped, visibly, where it is not built; never in CI.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from collector.window.model import Limits, Window
from collector.window.reference import ReferenceWindow
from decode.making import linked
from detectors.kit import native
from detectors.kit.columns import SPAN_SCHEMA
from detectors.kit.texts import Texts
from support.frames import frame, span
from support.recordings import recorded

if find_spec("spanlint_native") is None and not os.environ.get("CI"):
    pytest.skip("the native decoder is not built; ./dev setup tells why", allow_module_level=True)

from collector.decode.bridge import NativeDecoder  # noqa: E402
from collector.window.native import NativeWindow  # noqa: E402

NS = 1_000_000_000
BODIES = [*recorded(), linked().SerializeToString()]
LIMITS = Limits(quiet_s=4, max_age_s=20, max_spans=12, max_skew_s=30)
CANONICAL = [pl.col("trace_hi", "trace_lo", "start_ns"), -pl.col("duration_ns"), "span_id"]
REMOTE = st.sampled_from([True, False, False, None])

SPANS = st.builds(
    lambda trace, number, parent, remote, start, lasts: span(
        number,
        parent,
        trace=trace,
        remote_parent=remote,
        flags=0 if remote is None else 0x100 | remote << 9,
        at=(start, start + lasts),
        links=[1, 2, 3, 4, 5, 6] if number == 3 else None,
        rows=number,
        hit=remote,
    ),
    st.integers(1, 4),
    st.integers(1, 9),
    st.none() | st.integers(1, 9),
    REMOTE,
    st.sampled_from([0, 940 * NS, 1_000 * NS, 1_001 * NS, 1_040 * NS, 2_000 * NS, 1 << 62]),
    st.sampled_from([0, 5, NS]),
)
"""Few ids, so that spans repeat, wait for each other and come late."""
STEPS = st.lists(
    st.tuples(st.lists(SPANS, max_size=8), st.floats(0, 5), st.sampled_from("aattf")), max_size=30
)


@dataclass
class Both:
    """The same spans through both, and what left."""

    windows: tuple[Window, Window] = field(
        default_factory=lambda: (ReferenceWindow(LIMITS), NativeWindow(LIMITS))
    )

    def agree(self, now_s: float) -> None:
        told = [
            (w.rows, w.closed_rows, w.open_traces, +w.counts, w.watermark_ns(now_s))
            for w in self.windows
        ]
        assert told[1] == told[0]

    def taken(self) -> None:
        left = []
        for window in self.windows:
            frames = [pl.DataFrame(schema=SPAN_SCHEMA)]
            while window.closed_rows:
                frames.append(window.take(10))
            left.append(pl.concat(frames))
        # Copies of a span may differ, and have no order then.
        whole = [f.sort(*CANONICAL, "parent_span_id", "hit", "rows") for f in left]
        assert_frame_equal(whole[1], whole[0])


@settings(max_examples=300)
@given(STEPS)
def test_the_same_traces_leave_at_the_same_time(steps: list[Any]) -> None:
    both, now_s = Both(), 1_000.0
    for spans, later_s, what in steps:
        now_s += later_s
        for window in both.windows:
            if what == "a":
                window.add(frame(*spans), now_s)
            elif what == "t":
                window.advance(now_s)
            else:
                window.finish(now_s)
        both.agree(now_s)
        both.taken()
    for window in both.windows:
        window.advance(now_s + 100)
    both.agree(now_s)
    both.taken()
    assert both.windows[1].rows == 0


def test_decoded_rows_and_frames_are_the_same_spans_with_each_trace_in_its_order() -> None:
    decoder = NativeDecoder(Texts())
    bodies = BODIES
    frames = [decoder(body).frame for body in bodies]
    expected = pl.concat(frames)
    packed, framed = NativeWindow(), NativeWindow()
    now_s = expected["start_ns"].max() / NS  # type: ignore[operator]
    limits = Limits(max_skew_s=1e12, max_spans=1_000_000)
    packed, framed = NativeWindow(limits), NativeWindow(limits)

    for body, decoded in zip(bodies, frames, strict=True):
        assert decoder.feed(body).accepted == decoded.height
        for spans in decoder.take_packed():
            assert len(spans) == decoded.height
            packed.add(spans, now_s)
        framed.add(decoded, now_s)

    assert packed.rows == framed.rows == expected.height
    for window in (packed, framed):
        window.finish()
        assert window.closed_rows == expected.height
        found = window.take(expected.height)
        assert native.lay_out(found) is not None
        assert_frame_equal(found.unique(), expected.unique(), check_row_order=False)
        assert found.height == expected.height
        assert (window.rows, window.closed_rows, window.take(1).height) == (0, 0, 0)


def test_a_batch_is_read_once() -> None:
    decoder = NativeDecoder(Texts())
    decoder.feed(recorded()[0])
    (spans,) = decoder.take_packed()
    window = NativeWindow()
    window.add(spans, 1_000)

    with pytest.raises(ValueError, match="read before"):
        window.add(spans, 1_000)
    assert decoder.take_packed() == []


def test_slabs_have_whole_traces_and_no_more_rows_than_asked_for() -> None:
    window = NativeWindow(Limits(max_skew_s=1e9))
    window.add(frame(*(span(n + 1, trace=n // 7) for n in range(70)), span(1, trace=99)), 100)
    window.finish()

    sizes = []
    while window.closed_rows:
        slab = window.take(20)
        assert slab["trace_lo"].n_unique() * 7 in (slab.height, slab.height + 6)
        sizes.append(slab.height)
    assert sum(sizes) == 71
    assert max(sizes) <= 20
    assert len(sizes) <= 6

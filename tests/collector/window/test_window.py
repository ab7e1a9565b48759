"""Windows: which traces leave when, whole, whatever the order and cut of what arrived."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode.choice import NATIVE, REFERENCE, decoders
from collector.window.choice import make_window
from collector.window.model import SLAB_ROWS, Limits, Window
from support.frames import frame, span

pytestmark = pytest.mark.parametrize("kind", list(decoders()))

NS = 1_000_000_000


def at(second: float) -> tuple[int, int]:
    return int(second * NS) - 10, int(second * NS)


def window_of(kind: str, **limits: float) -> Window:
    """The native window, where it is built, and the reference."""
    decoder = REFERENCE if kind == REFERENCE else "auto"
    window = make_window(Limits(**limits), decoder)  # type: ignore[arg-type]
    assert type(window).__name__ == ("NativeWindow" if kind == NATIVE else "ReferenceWindow")
    return window


def close_due(window: Window, now_s: float) -> list[pl.DataFrame]:
    """Whole traces that are closed by then."""
    window.advance(now_s)
    return taken(window)


def close_all(window: Window) -> list[pl.DataFrame]:
    """Everything that is left."""
    window.finish()
    return taken(window)


def taken(window: Window) -> list[pl.DataFrame]:
    frames = []
    while window.closed_rows:
        frames.append(window.take(SLAB_ROWS))
    return frames


def ids(frames: list[pl.DataFrame]) -> list[int]:
    return sorted(i for f in frames for i in f["span_id"].to_list())


def traces(frames: list[pl.DataFrame]) -> set[tuple[int, frozenset[int]]]:
    """Each trace of each frame with its span ids."""
    return {
        (trace, frozenset(rows["span_id"].to_list()))
        for f in frames
        for (trace,), rows in f.group_by("trace_lo")
    }


def test_a_trace_closes_after_quiet_and_not_before(kind: str) -> None:
    window = window_of(kind, quiet_s=10)
    window.add(frame(span(1, at=at(100))), 100.5)
    assert close_due(window, 110.9) == []
    assert ids(close_due(window, 111.0)) == [1]
    assert window.rows == 0
    assert window.open_traces == 0


def test_ten_parts_in_ten_seconds_are_one_trace(kind: str) -> None:
    window = window_of(kind, quiet_s=3)
    closed: list[pl.DataFrame] = []
    for second in range(10):
        window.add(frame(span(second + 1, 99, at=at(100))), 100.0 + second)
        closed += close_due(window, 100.5 + second)
    assert closed == []
    closed = close_due(window, 113.0)
    assert traces(closed) == {(1, frozenset(range(1, 11)))}
    assert window.counts["closed"] == 1


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.floats(0, 9.9), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
def test_any_split_within_the_quiet_time_gives_the_same_traces(
    kind: str,
    arrivals: list[tuple[int, float, bool]],
) -> None:
    window, closed, now = window_of(kind, quiet_s=10), [], 1_000.0
    wanted: dict[int, set[int]] = {}
    for number, (trace, late_s, tick) in enumerate(arrivals, 1):
        wanted.setdefault(trace, set()).add(number)
        arrival = 1_000.0 + late_s
        window.add(frame(span(number, 77, trace=trace, at=at(1000))), arrival)
        now = max(now, arrival)
        if tick:
            closed += close_due(window, now)
    closed += close_due(window, now + 11)
    assert traces(closed) == {(t, frozenset(s)) for t, s in wanted.items()}
    assert window.rows == 0
    assert window.counts["late"] == 0


def test_late_spans_are_counted_and_form_a_trace_of_their_own(kind: str) -> None:
    window = window_of(kind, quiet_s=5)
    window.add(frame(span(1, at=at(100))), 100)
    assert ids(close_due(window, 106)) == [1]
    window.add(frame(span(2, 1, at=at(100)), span(3, trace=2, at=at(100))), 107)
    assert window.counts["late"] == 1
    assert ids(close_due(window, 113)) == [2, 3]


def test_a_trace_waits_for_a_local_parent(kind: str) -> None:
    window = window_of(kind, quiet_s=5, max_age_s=60)
    window.add(frame(span(2, 1, remote_parent=False, at=at(100))), 100)
    assert close_due(window, 120) == []
    assert window.open_traces == 1
    window.add(frame(span(1, at=at(100))), 121)
    assert close_due(window, 123) == []
    assert traces(close_due(window, 127)) == {(1, frozenset({1, 2}))}
    assert window.counts["aged"] == 0


@pytest.mark.parametrize("remote", [True, None])
def test_nothing_is_awaited_when_the_parent_is_remote_or_not_known_to_be_local(
    kind: str,
    remote: bool | None,
) -> None:
    window = window_of(kind, quiet_s=5)
    window.add(frame(span(2, 1, remote_parent=remote, at=at(100))), 100)
    assert ids(close_due(window, 106)) == [2]


def test_waiting_ends_at_the_age_limit(kind: str) -> None:
    window = window_of(kind, quiet_s=5, max_age_s=60)
    window.add(frame(span(2, 1, remote_parent=False, at=at(100))), 100)
    assert close_due(window, 159) == []
    assert ids(close_due(window, 160)) == [2]
    assert window.counts["aged"] == 1


def test_a_trace_that_never_rests_closes_at_the_age_limit_with_all_its_rows(kind: str) -> None:
    window = window_of(kind, quiet_s=5, max_age_s=30)
    closed: list[pl.DataFrame] = []
    for second in range(31):
        window.add(frame(span(second + 1, 99, at=at(100))), 100.0 + second)
        closed += close_due(window, 100.0 + second)
    assert traces(closed) == {(1, frozenset(range(1, 32)))}
    assert window.counts["aged"] == 1


def test_a_huge_trace_closes_early_and_others_stay(kind: str) -> None:
    window = window_of(kind, quiet_s=10, max_spans=100)
    for second in range(4):
        rows = [span(second * 30 + n + 1, 999, at=at(100)) for n in range(30)]
        window.add(frame(*rows, span(1, trace=2, at=at(100))), 100.0 + second)
    assert ids(close_due(window, 104)) == list(range(1, 121))
    assert window.counts["huge"] == 1
    assert window.rows == 4


def test_frames_hold_whole_traces_of_at_most_a_slab(kind: str) -> None:
    window = window_of(kind)
    small = frame(*(span(n + 1, trace=n // 7, at=at(100)) for n in range(700)))
    parts = [
        small.with_columns(pl.col("trace_hi") + i, pl.col("span_id") + i * 700) for i in range(120)
    ]
    for part in parts:
        window.add(part, 100)
    closed = close_due(window, 200)
    assert len(closed) == 2
    assert all(f.height <= SLAB_ROWS for f in closed)
    keys = pl.concat([f.select("trace_hi", "trace_lo").unique() for f in closed])
    assert keys.is_unique().all()
    assert sum(f.height for f in closed) == 84_000


def test_close_all_leaves_nothing(kind: str) -> None:
    window = window_of(kind)
    window.add(frame(span(2, 1, remote_parent=False, at=at(100))), 100)
    close_due(window, 115)
    window.add(frame(span(3, trace=4, at=at(100))), 116)
    assert ids(close_all(window)) == [2, 3]
    assert (window.rows, window.open_traces) == (0, 0)
    assert close_all(window) == []


def test_an_old_trace_is_moved_as_a_whole(kind: str) -> None:
    window = window_of(kind, max_skew_s=60)
    window.add(frame(span(1, at=(0, 100)), span(2, 1, at=(10, 30))), 1_000)
    (closed,) = close_all(window)
    moved = dict(zip(closed["span_id"], closed["start_ns"], strict=True))
    assert moved[1] + 100 == 940 * NS
    assert moved[2] - moved[1] == 10
    assert window.counts["clamped"] == 2


def test_a_future_trace_is_moved_back(kind: str) -> None:
    window = window_of(kind, max_skew_s=60)
    window.add(frame(span(1, at=at(9_000))), 1_000)
    (closed,) = close_all(window)
    assert (closed["start_ns"] + closed["duration_ns"]).to_list() == [1_060 * NS]


def test_one_bad_clock_in_a_good_trace_moves_only_its_own_spans(kind: str) -> None:
    window = window_of(kind, max_skew_s=60)
    window.add(frame(span(1, at=at(1_000)), span(2, 1, at=at(5_000))), 1_000)
    (closed,) = close_all(window)
    ends = dict(zip(closed["span_id"], closed["start_ns"] + closed["duration_ns"], strict=True))
    assert ends == {1: 1_000 * NS, 2: 1_060 * NS}
    assert window.counts["clamped"] == 1


def test_the_watermark_follows_events_within_the_quiet_time_of_the_present(kind: str) -> None:
    window = window_of(kind, quiet_s=10)
    assert window.watermark_ns(1_000) == 990 * NS
    window.add(frame(span(1, at=at(995))), 996)
    assert window.watermark_ns(1_000) == 995 * NS
    assert window.watermark_ns(2_000) == 1_990 * NS
    window.add(frame(span(2, at=at(5_000))), 1_001)
    assert window.watermark_ns(1_001) == 1_001 * NS

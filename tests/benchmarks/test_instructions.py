"""No stage needs over a tenth more instructions a span than is committed. Nothing is timed."""

from __future__ import annotations

import os
import shutil

import pytest

from benchmarks import instructions
from benchmarks.counted import YARDSTICK
from benchmarks.instructions import Counts, advice, changes, committed, table, unlike

MADE_WITH = {"polars": "2.1.0", "machine": "x86_64 avx2"}


def cannot(reason: str) -> None:
    """CI has all that is needed and what was used for the committed counts; a person may not."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def test_no_stage_needs_more_than_is_committed(capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("valgrind") is None:
        cannot("valgrind, of tests/servers, is not on PATH")
    before = committed()
    if reasons := unlike(before, Counts(instructions.made_with(), {})):
        cannot(instructions.incomparable(reasons))

    now = instructions.count()

    if reasons := unlike(before, now):
        cannot(instructions.incomparable(reasons))
    found = changes(before, now)
    told = f"{advice(found)}\n{table(found)}"
    if {change.verdict for change in found} & {"over", "new", "gone"}:
        pytest.fail(told, pytrace=False)
    if advice(found):
        with capsys.disabled():
            print(f"\n{told}")


def test_a_stage_is_over_or_less_beyond_a_tenth() -> None:
    before = Counts(MADE_WITH, {"decode": 1_000, "window": 1_000, "merge": 1_000, "gone": 1})
    now = Counts(MADE_WITH, {"decode": 1_101, "window": 1_099, "merge": 899, "new": 2_500})

    found = changes(before, now)

    assert [(change.stage, change.verdict) for change in found] == [
        ("decode", "over"), ("window", ""), ("merge", "less"), ("new", "new"), ("gone", "gone"),
    ]  # fmt: skip
    assert table(found).splitlines()[1:] == [
        "decode                            1,000      1,101   +10.1% over",
        "window                            1,000      1,099    +9.9%",
        "merge                             1,000        899   -10.1% less",
        "new                                   –      2,500          new",
        "gone                                  1          –          gone",
    ]
    assert "10% more" in advice(found)


@pytest.mark.parametrize(
    ("now", "told"), [(1_050, ""), (950, ""), (800, "./dev bench --instructions --write")]
)
def test_fewer_instructions_are_to_be_committed(now: float, told: str) -> None:
    found = changes(Counts({}, {"decode": 1_000}), Counts({}, {"decode": now}))

    assert (told in advice(found)) if told else not advice(found)


def test_counts_are_compared_only_where_they_are_comparable() -> None:
    before = Counts(MADE_WITH, {YARDSTICK: 100, "decode": 1_000})

    assert unlike(before, Counts(MADE_WITH, {YARDSTICK: 102, "decode": 2_000})) == []
    assert unlike(before, Counts(MADE_WITH, {YARDSTICK: 1})) == ["the yardstick took -99.0%"]
    other = Counts({"polars": "2.2.0", "python": "3.14.0"}, {})
    assert unlike(before, other) == [
        "polars is 2.2.0, was 2.1.0",
        "machine is none, was x86_64 avx2",
        "python is 3.14.0, was none",
    ]


def test_what_is_written_is_what_is_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(instructions, "FILE", tmp_path / "instructions.toml")
    counts = Counts(MADE_WITH, {"decode, native": 12_167, "merge": 21_529})

    instructions.write(counts)

    assert committed() == counts

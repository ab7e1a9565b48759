"""Work whose queries run in the thread that asks: once, with its result or its error."""

from __future__ import annotations

import subprocess
import sys
import threading

import polars as pl
import pytest

from collector.inline import inline


def test_work_is_done_once_in_the_calling_thread_and_its_result_comes_back() -> None:
    done: list[int] = []

    def work() -> list[int]:
        done.append(threading.get_native_id())
        return done

    assert inline(work) is done
    assert done == [threading.get_native_id()]


def test_what_it_raises_comes_back_as_it_was() -> None:
    class Broken(Exception):  # noqa: N818 - reads as what happened
        pass

    def work() -> None:
        raise Broken("as it was")

    with pytest.raises(Broken, match="^as it was$"):
        inline(work)


def test_it_may_be_asked_for_again_within() -> None:
    frame = pl.DataFrame({"a": [1, 2]})
    assert inline(lambda: inline(lambda: frame.filter(pl.col("a") > 1)))["a"].to_list() == [2]


SWITCHES = """
import resource
import polars as pl
from collector.inline import inline

frame = pl.DataFrame({"a": range(1_000)})

def work():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    found = sum(frame.filter(pl.col("a") % 7 == n % 7).sort("a").height for n in range(300))
    return found, resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before

print(*work(), *inline(work))
"""


def test_no_query_waits_for_another_thread() -> None:
    """Polars does so for functions that it calls; the gain would be gone without a word."""
    done = subprocess.run(
        [sys.executable, "-c", SWITCHES],
        env={"POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found, by_pool, again, inline_ = map(int, done.stdout.split() or pytest.fail(done.stderr))
    assert found == again == 42_858
    assert inline_ < 60 <= by_pool

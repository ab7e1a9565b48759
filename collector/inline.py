"""Work that is many small queries, without Polars' pool of threads.

A query is handed to the pool and its result handed back: some 45 µs of switching for 15 of work, a
thousand times between two judgements; and where each thread observes a slab, more threads are of no
use. A function that Polars calls from a query runs its own ones where it is, since they might wait
for each other otherwise. So the work is called from a query.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import polars as pl

T = TypeVar("T")
_ONCE = pl.LazyFrame({"once": [0]})


def inline(work: Callable[[], T]) -> T:
    """What `work` gives, or what it raises; its queries run one by one in the calling thread."""
    outcome: list[tuple[Any, BaseException | None]] = []

    def run(frame: pl.DataFrame) -> pl.DataFrame:
        try:
            outcome.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - Polars would dress it up
            outcome.append((None, error))
        return frame

    _ONCE.map_batches(run).collect()
    ((result, raised),) = outcome
    if raised is not None:
        raise raised
    return result  # type: ignore[no-any-return]

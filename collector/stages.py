"""How long the stages of the flow take: whoever keeps count is told of each run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def timed(tell: Callable[[str, float], None], stage: str) -> Iterator[None]:
    """Tells of a run of `stage` the wall seconds that what runs inside took, whatever it raises."""
    started = time.perf_counter()
    try:
        yield
    finally:
        tell(stage, time.perf_counter() - started)

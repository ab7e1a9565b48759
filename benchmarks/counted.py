"""Runs the stages, with marks around what is counted; `benchmarks.instructions` starts it.

`python -m benchmarks.counted GIVEN` under callgrind with `--dump-before=getsid`: at each mark the
counts since the one before are written. The last line printed tells whose they are, in order.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import flow
from benchmarks.bodies import Body
from benchmarks.flow import Encoding, Stage
from collector.decode.choice import NATIVE

YARDSTICK = "yardstick"
"""A stage of Python, Polars and numpy alone: it differs where counts are not comparable."""
_ROUNDS = 2
"""The last is counted, those before fill caches."""
_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Given:
    """What is made outside, where making it is fifty times faster.

    fresh: bodies by encoding and round, for decoding.
    """

    bodies: list[Body]
    fresh: dict[tuple[Encoding, int], list[bytes]]


def give(bodies: list[Body], decoded: int) -> Given:
    """All bodies, and the first of them made new for each round."""
    fresh = flow.fresh_of(bodies[:decoded])
    encodings: tuple[Encoding, ...] = ("protobuf", "JSON")
    return Given(bodies, {(e, n): fresh(e, n) for e in encodings for n in range(_ROUNDS)})


def stages(given: Given) -> Iterator[tuple[Stage, bool]]:
    """The yardstick and the flow, each with whether it ran before: `prepare` runs most of them.

    Decoding is that of the native decoder, where it is installed.
    """
    yield Stage(YARDSTICK, _ROWS, lambda _: _yardstick), False
    some = given.bodies[: len(given.fresh["protobuf", 0])]
    for name, stage in flow.decoding(some, lambda encoding, number: given.fresh[encoding, number]):
        if name == NATIVE:
            yield stage, False
    material = flow.prepare(given.bodies)
    yield flow.window(material), True
    for stage in flow.columns(material.slabs):
        yield stage, True
    yield flow.observing(material.slabs, material.texts), True
    small = flow.prepare(given.bodies[:1])
    slab = flow.observing(small.slabs, small.texts)
    yield Stage(f"observe, a slab of {slab.spans} rows", slab.spans, slab.make), True
    yield flow.merging(material), False
    yield flow.judging(material.facts[0]), False


def _yardstick() -> None:
    keys = [number * number % 1_009 for number in range(_ROWS)]
    frame = pl.DataFrame({"key": keys, "value": np.sort(np.array(keys) * 7 % 1_013)})
    frame.lazy().group_by("key").agg(pl.col("value").sum()).sort("key").collect()


def main(given: Path) -> None:
    """Runs all stages."""
    told = []
    for stage, ran in stages(pickle.loads(given.read_bytes())):  # noqa: S301 - written by us
        if not ran:
            stage.make(0)()
        call = stage.make(_ROUNDS - 1)
        gc.collect()
        _mark()
        call()
        _mark()
        told.append((stage.name, stage.spans))
    print(json.dumps(told))


def _mark() -> None:
    """Calls a function of libc that nothing else does; callgrind would not see a call by ctypes."""
    os.getsid(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Millions of keys that nobody has used before: what each facts table keeps of them.

Spans of the workload, decoded once, are made new by the frame: every request is about an entity of
its own and by an actor of its own, every cache key, value and message is new. They go through
`observe`, `merge_facts` and `since` as in `spanlint serve`, a horizon of event time in all.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.bodies import make_bodies
from collector.decode.choice import make_decoder
from collector.window.model import SLAB_ROWS
from detectors.kit.catalogue import tables
from detectors.kit.contract import FactsTable
from detectors.kit.engine import Facts, levels, merge_facts, observe, since
from detectors.kit.texts import Texts

_NS = 1_000_000_000
HORIZON_S = 900
_MERGED_AT_ONCE = 16
"""Slabs, as `collector.detect` merges them."""
_NEW = {
    "entity": pl.col("kind") == "server",
    "actor": pl.col("kind") == "server",
    "key": pl.col("category") == "cache",
    "values": pl.col("category") == "db",
    "message_id": pl.col("category") == "messaging",
}
"""Column -> the spans that get a value of their own in it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a facts table holds. level: one subject in 2**level is kept."""

    table: str
    rows: int
    max_rows: int
    level: int
    overflow: int
    megabytes: float

    def told(self) -> str:
        """One line."""
        kept = f"1 in {2**self.level}" if self.level else "all"
        return (
            f"{self.table:12} {self.rows:9,} of {self.max_rows:7,} rows {self.megabytes:7.1f} MB  "
            f"subjects kept: {kept}, rows left out: {self.overflow:,}"
        )


def offer(keys: int, seed: int = 1) -> tuple[list[Kept], int]:
    """Offers at least so many distinct keys; gives what is kept, and how many they were."""
    texts = Texts()
    decoder = make_decoder(texts)
    template = pl.concat([decoder(body.data).frame for body in make_bodies(SLAB_ROWS // 512)])
    a_slab = sum(template.filter(chosen).height for chosen in _NEW.values())
    slabs = -(-keys // a_slab)
    facts, waiting, overflow = Facts(), list[Facts](), dict[str, int]()
    for number, slab in enumerate(_slabs(template, slabs, seed)):
        waiting.append(observe(slab, texts.select, levels(facts)))
        if len(waiting) == _MERGED_AT_ONCE or number == slabs - 1:
            merged = merge_facts([facts, *(Facts(w.frames, w.texts) for w in waiting)])
            for name, lost in merged.counts.items():
                overflow[name] = overflow.get(name, 0) + lost
            last_ns = int(slab["start_ns"].max())  # type: ignore[arg-type]
            facts = since(Facts(merged.frames, merged.texts), last_ns - HORIZON_S * _NS)
            waiting = []
    return [_kept(table, facts, overflow) for table in tables()], slabs * a_slab


def _slabs(template: pl.DataFrame, count: int, seed: int) -> Iterator[pl.DataFrame]:
    """The template made new so often, spread over a horizon."""
    dice = np.random.default_rng(seed)
    rows = template.height
    for number in range(count):
        shift_ns = HORIZON_S * _NS * number // count

        def new(rows: int = rows) -> pl.Series:
            return pl.Series(dice.integers(1, 2**63, rows, dtype=np.uint64))

        salt = int(dice.integers(1, 2**63))
        yield template.with_columns(
            (pl.col("trace_hi") ^ salt).alias("trace_hi"),
            pl.col("start_ns") + shift_ns,
            *(
                pl.when(chosen).then(new()).otherwise(name).alias(name)
                for name, chosen in _NEW.items()
            ),
        )


def _kept(table: FactsTable, facts: Facts, overflow: dict[str, int]) -> Kept:
    frame = facts.table(table.name)
    level = int(frame["level"].max() or 0) if "level" in frame.columns else 0  # type: ignore[arg-type]
    return Kept(
        table.name,
        frame.height,
        table.max_rows,
        level,
        overflow.get(f"overflow:{table.name}", 0),
        frame.rechunk().estimated_size() / 1e6,
    )


def run(keys: int) -> bool:
    """Prints what is kept and the most memory used; whether all tables are within their caps.

    A tenth of the keys goes first: what is bounded needs no more memory for the rest.
    """
    _, tenth = offer(keys // 10)
    before_mb = _most_mb()
    kept, offered = offer(keys)
    print(f"{offered:,} distinct keys offered over {HORIZON_S} s of event time")
    for table in kept:
        print(table.told())
    rows = sum(k.rows for k in kept)
    print(
        f"{rows:,} rows in all; resident at most {_most_mb():,.0f} MB, "
        f"{before_mb:,.0f} MB after {tenth:,} keys"
    )
    return all(k.rows <= k.max_rows for k in kept)


def _most_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

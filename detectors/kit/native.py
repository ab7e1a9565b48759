"""What is done to whole traces natively, where `spanlint_native` is installed and of this version.

Everything here answers None where numpy has to do it: without the extension, for rows that are not
in canonical order, and for columns with nulls that no decoder writes. Both give the same columns
(`tests/kit/test_kernels.py`); they differ in speed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from detectors.kit.columns import CATEGORIES, KINDS, MISSING_ENTRY, STATUSES
from detectors.kit.forest import Ids, Mask, Rows
from detectors.kit.texts import code
from detectors.kit.traits import Trait

INTERFACE = 4
"""What both sides have to speak; `collector/decode/native/src/lib.rs` has the other half."""

_FOREST = ("trace_hi", "trace_lo", "span_id", "parent_span_id", "start_ns", "duration_ns")
_REPAIRS = (
    *_FOREST,
    *("service", "scope", "kind", "category", "operation", "peer", "shape", "traits"),
)


@cache
def kernels() -> Any | None:
    """The native kernels, None where there are none."""
    try:
        import spanlint_native  # type: ignore[import-not-found, unused-ignore]  # may not be built
    except ImportError:
        return None
    if getattr(spanlint_native, "INTERFACE", 1) != INTERFACE:
        return None  # `collector.decode.choice` says so
    return spanlint_native.Kernels(_constants())


def _constants() -> dict[str, Any]:
    from detectors.kit.aside import BUMPS, EXPIRIES, MEMCACHED  # these modules import this one
    from detectors.kit.work import NO_WORK, WORKS

    return {
        "kinds": KINDS,
        "statuses": STATUSES,
        "categories": CATEGORIES,
        "works": WORKS,
        "expiries": EXPIRIES,
        "traits": {**{t.name: int(t) for t in Trait}, "NO_WORK": int(NO_WORK)},
        "codes": {"missing": [code(MISSING_ENTRY)], "memcached": [MEMCACHED], "bumps": BUMPS},
    }


def columns_of(frame: pl.DataFrame, names: Sequence[str]) -> Any:
    """Some columns of a frame, as kernels read them."""
    import spanlint_native

    return spanlint_native.Columns(frame.select(names).rechunk())


def made(
    kernel: Callable[[Any], Any], frame: pl.DataFrame, names: Sequence[str]
) -> pl.DataFrame | None:
    """The columns that a kernel makes of some columns of a frame."""
    batch = kernel(columns_of(frame, names))
    return None if batch is None else pl.DataFrame(batch)


@dataclass(frozen=True, slots=True)
class Laid:
    """Spans in canonical order: who is whose parent.

    parent: row of the parent or -1. doubled: whether a span id occurs twice in a trace. cuts: rows
    to be cut so that no cycle is left. traits: all that occur. columns: for the kernels, or None.
    """

    parent: Rows
    doubled: bool
    cuts: Rows
    traits: int
    columns: Any | None = None


def lay_out(spans: pl.DataFrame) -> Laid | None:
    """Parents of spans."""
    if kernels() is None:
        return None
    columns = columns_of(spans, _REPAIRS)
    parent = np.empty(spans.height, np.int64)
    found = columns.parents(parent)
    if found is None:
        return None
    doubled, cuts = found
    return Laid(parent, doubled, np.array(cuts, np.int64), columns.bits("traits"), columns)


def suspects(kernel: str, laid: Laid, parents: tuple[Ids, Mask], alive: Mask) -> Rows | None:
    """Rows that a repair has to look at, by `nested_clients` or `statements`.

    parents: id of the parent of each row, and whether there is one; `laid.parent` is its row.
    """
    native = kernels()
    if native is None or laid.columns is None:
        return None
    ids, named = parents
    bench = (laid.parent, ids, named.view(np.uint8), alive.view(np.uint8))
    rows = getattr(native, kernel)(laid.columns, bench)
    return None if rows is None else np.frombuffer(rows, np.int64)

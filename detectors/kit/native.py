"""What is done to whole traces natively, where `spanlint_native` is installed and of this version.

Everything here answers None where numpy has to do it: without the extension, for rows that are not
in order (`forest.canonical_order`, though traces may come in any), and for columns with nulls that
no decoder writes. Both give the same columns (`tests/kit/test_kernels.py`); they differ in speed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from detectors.kit.columns import CATEGORIES, KINDS, MISSING_ENTRY, STATUSES
from detectors.kit.forest import Ids, Mask, Rows
from detectors.kit.texts import code
from detectors.kit.traits import Trait

log = logging.getLogger(__name__)

INTERFACE = 5
"""What both sides have to speak; `collector/decode/native/src/lib.rs` has the other half."""

_FOREST = ("trace_hi", "trace_lo", "span_id", "parent_span_id", "start_ns", "duration_ns")
_REPAIRS = (
    *_FOREST,
    *("service", "scope", "kind", "category", "operation", "peer", "shape", "traits"),
)


@cache
def kernels() -> Any | None:
    """The native kernels, None where there are none that fit."""
    try:
        import spanlint_native  # type: ignore[import-not-found, unused-ignore]  # may not be built

        if spanlint_native.INTERFACE == INTERFACE:
            return spanlint_native.Kernels(_constants())
    except ModuleNotFoundError:
        return None
    except (ImportError, AttributeError, TypeError, ValueError, LookupError) as error:
        log.warning("spanlint-native does not fit this spanlint: %s; using numpy", error)
    return None  # of another interface: `collector.decode.choice` says so


def _constants() -> dict[str, Any]:
    from detectors.kit.aside import BUMPS, EXPIRIES, MEMCACHED  # these modules import this one
    from detectors.kit.loads import NO_VALUES
    from detectors.kit.work import CREATING, NO_WORK, WORKS, WRITING

    return {
        "kinds": KINDS,
        "statuses": STATUSES,
        "categories": CATEGORIES,
        "works": WORKS,
        "expiries": EXPIRIES,
        **_named(),
        "traits": {**{t.name: int(t) for t in Trait}, "NO_WORK": int(NO_WORK)},
        "codes": {
            "missing": [code(MISSING_ENTRY)],
            "memcached": [MEMCACHED],
            "bumps": BUMPS,
            "no_values": [NO_VALUES],
            "creating": CREATING,
            "writing": WRITING,
        },
    }


def _named() -> dict[str, list[str]]:
    """The names in columns of facts, by table and column."""
    from detectors.kit.catalogue import tables  # tables are made of what imports this

    return {
        f"{table.name}.{column.name}": column.dtype.categories.to_list()
        for table in tables()
        for column in table.columns
        if isinstance(column.dtype, pl.Enum)
    }


def columns_of(frame: pl.DataFrame, names: Sequence[str]) -> Any:
    """Some columns of a frame, as kernels read them."""
    import spanlint_native

    return spanlint_native.Columns(frame[list(names)].rechunk())


def distinct(frame: pl.DataFrame, names: Sequence[str]) -> list[int] | None:
    """The values of some columns of codes (UInt64), each once."""
    return None if kernels() is None else columns_of(frame, names).distinct(list(names))


def made(
    kernel: Callable[[Any], Any], frame: pl.DataFrame, names: Sequence[str]
) -> pl.DataFrame | None:
    """The columns that a kernel makes of some columns of a frame."""
    batch = kernel(columns_of(frame, names))
    return None if batch is None else pl.DataFrame(batch)


@dataclass(frozen=True, slots=True)
class Laid:
    """Spans in order: who is whose parent.

    parent: row of the parent or -1; parent_id, named: its id and whether there is one. doubled:
    rows whose span id another row of the trace has. cuts: rows to be cut so that no cycle is left.
    traits: all that occur. columns: for the kernels, or None.
    """

    parent: Rows
    parent_id: Ids
    named: Mask
    doubled: Rows
    cuts: Rows
    traits: int
    columns: Any | None = None


def lay_out(spans: pl.DataFrame) -> Laid | None:
    """Parents of spans."""
    if kernels() is None:
        return None
    columns = columns_of(spans, _REPAIRS)
    parent = np.empty(spans.height, np.int64)
    ids, named = np.empty(spans.height, np.uint64), np.empty(spans.height, np.bool_)
    found = columns.parents(parent, ids, named.view(np.uint8))
    if found is None:
        return None
    doubled, cuts = (np.array(rows, np.int64) for rows in found)
    return Laid(parent, ids, named, doubled, cuts, columns.bits("traits"), columns)


def read_again(laid: Laid, spans: pl.DataFrame, column: str) -> Laid:
    """For the kernels, once a column has other values."""
    if laid.columns is None or column not in _REPAIRS:
        return laid
    return replace(laid, columns=columns_of(spans, _REPAIRS))


def suspects(kernel: str, laid: Laid, alive: Mask) -> Rows | None:
    """Rows that a repair has to look at, by `nested_clients` or `statement_pairs`.

    laid: parents as they are by now. alive: which rows are still there.
    """
    native = kernels()
    if native is None or laid.columns is None:
        return None
    bench = (laid.parent, laid.parent_id, laid.named.view(np.uint8), alive.view(np.uint8))
    rows = getattr(native, kernel)(laid.columns, bench)
    return None if rows is None else np.frombuffer(rows, np.int64)


@cache
def _observed() -> Sequence[str]:
    import spanlint_native

    return tuple(spanlint_native.Kernels.observed())


def facts_of(
    spans: pl.DataFrame, tables: Mapping[str, tuple[int | None, list[str]]]
) -> dict[str, pl.DataFrame]:
    """Whole traces with all columns -> the facts of those of the tables that are made natively.

    tables: by name, the level at which to observe a sampled one (None for others) and its columns.
    Facts are those that `observe` of the table gives, as `merge.regroup` leaves them.
    """
    native = kernels()
    if native is None:
        return {}
    made = native.observe(columns_of(spans, _observed()), dict(tables))
    return {name: pl.DataFrame(batch) for name, batch in made}

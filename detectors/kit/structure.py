"""Assembles traces: which span works for which entry, who called, what a span did itself.

No recursion and no loop over spans or traces: a chain of 100,000 spans takes 17 passes.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from detectors.kit import forest, native
from detectors.kit.columns import (
    KINDS,
    MISSING_ENTRY,
    STATUSES,
    STRUCTURE_SCHEMA,
    Kind,
    Status,
)
from detectors.kit.forest import Ids, Mask, Rows
from detectors.kit.texts import code

_NEEDED = (
    *("trace_hi", "trace_lo", "span_id", "parent_span_id", "start_ns", "duration_ns"),
    *("service", "label", "kind", "status"),
)
"""The columns that STRUCTURE is made of."""
_MAX_DEPTH = 65_535
_ENTRY_COLUMNS = {
    "span_id": "entry_span",
    "label": "entry_label",
    "kind": "entry_kind",
    "start_ns": "entry_start_ns",
    "duration_ns": "entry_duration_ns",
    "status": "entry_status",
}


def assemble(spans: pl.DataFrame) -> pl.DataFrame:
    """Adds the STRUCTURE columns to the span columns of whole traces.

    Rows may come in any order; each trace leaves as a whole, by (start_ns, -duration_ns, span_id).
    Span ids are expected to be unique within a trace (see `repairs.repair`). Cycles of
    parents are cut at their first row. A child that starts before its parent, which clocks of
    different hosts do, is nothing special: only the part of it inside its parent counts there.
    """
    if not spans.height:
        return spans.with_columns(
            pl.Series(name, [], dtype) for name, dtype in STRUCTURE_SCHEMA.items()
        )
    made = _made(spans)
    if made is not None:
        return spans.hstack(made)
    order = forest.canonical_order(spans)
    if order.rows is not None:
        spans = spans[order.rows]
        made = _made(spans)
    return spans.hstack(_columns(spans, order.trace) if made is None else made)


def _made(spans: pl.DataFrame) -> pl.DataFrame | None:
    """The STRUCTURE columns, made natively; None where numpy has to make them."""
    kernels = native.kernels()
    return None if kernels is None else native.made(kernels.structure, spans, _NEEDED)


def _columns(spans: pl.DataFrame, trace: Rows) -> pl.DataFrame:
    """The STRUCTURE columns of spans in order. trace: dense numbers of their traces."""
    parent = _parents(spans, trace)
    top, depth = _roots(parent)
    service = forest.ids(spans, "service")
    return pl.DataFrame(
        [
            pl.Series("trace", trace.astype(np.uint32)),
            *_entries(spans, trace, parent, service),
            pl.Series("root", top.astype(np.uint32)),
            pl.Series("depth", np.minimum(depth, _MAX_DEPTH).astype(np.uint16)),
            pl.Series("parent_row", parent.astype(np.int32)),
            pl.Series("self_ns", _self_ns(spans, parent)),
            _callers(parent, service),
            pl.Series("error_origin", _error_origins(spans, parent)),
        ]
    ).select(*STRUCTURE_SCHEMA)


def _parents(spans: pl.DataFrame, trace: Rows) -> Rows:
    parent = forest.find_rows(
        trace,
        forest.ids(spans, "span_id"),
        forest.ids(spans, "parent_span_id"),
        forest.present(spans, "parent_span_id"),
    )
    parent[forest.cycle_cuts(parent)] = -1
    return parent


def _roots(parent: Rows) -> tuple[Rows, Rows]:
    """Topmost known ancestor-or-self and the number of ancestors, of each row."""
    step, depth = forest.upward(parent), (parent >= 0).astype(np.int64)
    while True:
        further = step[step]
        if np.array_equal(further, step):
            return step, depth
        depth = depth + depth[step]
        step = further


def _entries(spans: pl.DataFrame, trace: Rows, parent: Rows, service: Ids) -> list[pl.Series]:
    """The entry_* columns and is_entry."""
    kind, own = forest.physical(spans, "kind"), np.arange(len(parent))
    serves = (kind == KINDS.index("server")) | (kind == KINDS.index("consumer"))
    here = _same_service(parent, service)
    top = forest.climb(np.where(serves | ~here, own, parent))
    named = forest.present(spans, "parent_span_id")
    orphan = ~serves & named & (parent < 0)
    if not orphan.any():
        return _entry_columns(spans, top, None)
    first = own.copy()
    tops = np.flatnonzero(orphan)
    first[tops] = _first_of_group(spans, trace, service, tops)
    return _entry_columns(spans, first[top], orphan[top])


def _same_service(parent: Rows, service: Ids) -> Mask:
    """Rows whose parent is known and in the same service."""
    return np.asarray((parent >= 0) & (service[parent] == service))


def _first_of_group(spans: pl.DataFrame, trace: Rows, service: Ids, tops: Rows) -> Rows:
    """For rows without their parent: the first row of the same trace, service and parent id."""
    keys = (trace[tops], service[tops], forest.ids(spans, "parent_span_id")[tops])
    order = np.lexsort((tops, *keys))
    new = np.zeros(len(tops), np.bool_)
    new[0] = True
    for key in keys:
        new[1:] |= key[order][1:] != key[order][:-1]
    first = np.empty_like(tops)
    first[order] = tops[order][new][np.cumsum(new) - 1]
    return first


def _entry_columns(spans: pl.DataFrame, entry_row: Rows, missing: Mask | None) -> list[pl.Series]:
    is_entry = entry_row == np.arange(len(entry_row))
    number = (np.cumsum(is_entry) - 1)[entry_row]
    if missing is not None:
        is_entry = is_entry & ~missing
    found = spans.select(*_ENTRY_COLUMNS)[entry_row].rename(_ENTRY_COLUMNS)
    if missing is not None:
        found = _blank_missing(spans, found, number, missing)
    return [
        pl.Series("entry", number.astype(np.uint32)),
        *found.get_columns(),
        pl.Series("is_entry", is_entry),
    ]


def _blank_missing(
    spans: pl.DataFrame, found: pl.DataFrame, number: Rows, missing: Mask
) -> pl.DataFrame:
    """Entries whose span is missing get the name `(missing)` and the extent of their spans."""
    rows = np.flatnonzero(missing)
    start = forest.times(spans, "start_ns")
    first = np.full(int(number.max()) + 1, forest.MAX_TIME_NS)
    last = np.zeros(len(first), np.int64)
    np.minimum.at(first, number[rows], start[rows])
    np.maximum.at(last, number[rows], (start + forest.times(spans, "duration_ns"))[rows])
    gone = pl.Series("gone", missing)
    blanks: dict[str, pl.Expr | pl.Series] = {
        "entry_span": pl.lit(None, pl.UInt64),
        "entry_label": pl.lit(code(MISSING_ENTRY), pl.UInt64),
        "entry_kind": pl.lit("unspecified", Kind),
        "entry_start_ns": pl.Series(first[number]),
        "entry_duration_ns": pl.Series((last - first)[number]),
        "entry_status": pl.lit("unset", Status),
    }
    return found.with_columns(
        pl.when(gone).then(blank).otherwise(pl.col(name)).alias(name)
        for name, blank in blanks.items()
    )


def _callers(parent: Rows, service: Ids) -> pl.Series:
    own = np.arange(len(parent))
    top = forest.climb(np.where(_same_service(parent, service), parent, own))
    above = parent[top]
    called = above >= 0
    caller = pl.Series("caller", service[above])
    if called.all():
        return caller
    return caller.set(pl.Series(~called), None)


def _self_ns(spans: pl.DataFrame, parent: Rows) -> Rows:
    """Duration minus the union of the children's intervals clipped to the parent's."""
    start, duration = (
        forest.times(spans, "start_ns"),
        forest.times(spans, "duration_ns"),
    )
    children = np.flatnonzero(parent >= 0)
    if not len(children):
        return duration
    bits = len(parent).bit_length()
    keys = (parent[children] << bits) | children  # rows are in order of start within a trace
    keys.sort()
    children = keys & ((1 << bits) - 1)
    above = keys >> bits
    begin = start[children] - start[above]
    return duration - forest.covered(above, begin, begin + duration[children], duration)


def _error_origins(spans: pl.DataFrame, parent: Rows) -> Mask:
    error = forest.physical(spans, "status") == STATUSES.index("error")
    above = np.zeros(len(parent) + 1, np.bool_)  # the last place takes the rows without a parent
    above[parent[error]] = True
    return np.asarray(error & ~above[:-1])

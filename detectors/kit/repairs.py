"""Repairs spans before any rule looks: one operation becomes one span.

Instrumentations duplicate, split and multiply operations. Each case has one written rule here, and
each is counted (`repaired:duplicate`, `:cycle`, `:asgi`, `:driver_step`, `:cursor`, `:orm_driver`,
`:nested_client`; whole numbers of spans taken out or, for a cycle, cut from their parent). The
result depends on the set of spans, never on the order of rows.

Children of a span that is taken out move to the span that stands for it: its parent, or the span
it was folded into.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from detectors.kit import forest
from detectors.kit.bench import Bench, grouped
from detectors.kit.columns import CATEGORIES, KINDS, STATUSES
from detectors.kit.forest import Mask, Rows
from detectors.kit.pairs import merge_orm_and_driver
from detectors.kit.texts import code
from detectors.kit.traits import Trait

MAX_ATTEMPTS = 10
"""Inner HTTP spans that one call explains: botocore's legacy retry mode makes up to 10 attempts."""

_MONGODB = code("mongodb")


def repair(spans: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Span columns of whole traces, any row order -> the same columns, traces in order, counts.

    In order: each trace stands together, by (start_ns, -duration_ns, span_id). Clean input costs a
    look at the order, a sort where there is none, and a look at the candidates' columns.
    """
    if not spans.height:
        return spans, {}
    bench = Bench.lay_out(spans)
    for step in _STEPS:
        step(bench)
    return bench.result(), bench.counts


def _cut_cycles(bench: Bench) -> None:
    """The earliest span of a cycle of parents becomes a root."""
    cuts = bench.laid.cuts
    if len(cuts):
        bench.parent[cuts] = -1
        bench.parent_id[cuts] = 0
        bench.named[cuts] = False
        bench.moved = True
        bench.count("cycle", len(cuts))


def _drop_asgi(bench: Bench) -> None:
    """ASGI send and receive events are no operations."""
    bench.remove("asgi", bench.rows_with(Trait.NOISE))


def _drop_driver_steps(bench: Bench) -> None:
    """Prepare, rows and reset belong to the query that has its own span."""
    bench.remove("driver_step", bench.rows_with(Trait.LOCAL_STEP))


def _fold_get_more(bench: Bench) -> None:
    """A MongoDB getMore continues the last read of its collection under the same parent."""
    more = bench.rows_with(Trait.CURSOR)
    if len(more):
        more = more[bench.ids("system", more) == np.uint64(_MONGODB)]
    if not len(more):
        return
    reads = bench.rows_with(Trait.READ)
    reads = reads[bench.ids("system", reads) == np.uint64(_MONGODB)]
    rows = np.sort(np.concatenate((np.setdiff1d(reads, more), more)))
    group, rows = grouped((*bench.siblings(rows), bench.ids("target", rows)), rows)
    is_more = np.isin(rows, more)
    place = np.arange(len(rows))
    last_read = np.maximum.accumulate(np.where(is_more, -1, place))
    found = is_more & (last_read >= 0)
    found &= group[np.maximum(last_read, 0)] == group
    folded, heads = rows[found], rows[last_read[found]]
    _extend(bench, folded, heads)
    bench.remove("cursor", folded, heads)


def _collapse_cursors(bench: Bench) -> None:
    """The fetches of one cursor become one query from the first start to the last end."""
    rows = bench.rows_with(Trait.CURSOR)
    if not len(rows):
        return
    keys = (bench.ids(n, rows) for n in ("scope", "shape", "target", "values"))
    group, rows = grouped((*bench.siblings(rows), *keys), rows)
    heads = rows[np.flatnonzero(np.diff(group, prepend=-1))][group]
    later = rows != heads
    _extend(bench, rows[later], heads[later])
    bench.set("repeat", np.unique(heads), pl.Series([1], dtype=pl.Int32))
    bench.remove("cursor", rows[later], heads[later])


def _extend(bench: Bench, folded: Rows, heads: Rows) -> None:
    """Heads last until the last folded span ends, and fail when one of them failed."""
    start, duration = (forest.times(bench.spans, n) for n in ("start_ns", "duration_ns"))
    end = start + duration
    np.maximum.at(end, heads, end[folded])
    ends = np.unique(heads)
    bench.set("duration_ns", ends, pl.Series((end - start)[ends]))
    status = forest.physical(bench.spans, "status")
    failed = (status[folded] == STATUSES.index("error")) & (status[heads] != status[folded])
    order = np.lexsort((folded[failed], heads[failed]))
    failing, places = np.unique(heads[failed][order], return_index=True)
    source = folded[failed][order][places]
    for column in ("status", "error_type"):
        bench.set(column, failing, bench.spans[column][source])


def _drop_nested_clients(bench: Bench) -> None:
    """One HTTP call seen by two libraries of one process: the outer span stays."""
    rows = bench.suspects("nested_clients")
    if rows is None:
        rows = _nested_clients(bench)
    if not len(rows):
        return
    attempts = np.bincount(bench.parent[rows], minlength=len(bench.parent))
    bench.remove("nested_client", rows[attempts[bench.parent[rows]] <= MAX_ATTEMPTS])


def _nested_clients(bench: Bench) -> Rows:
    """Rows of inner HTTP spans that may be the call of the client span above."""
    kind = forest.physical(bench.spans, "kind")
    category = forest.physical(bench.spans, "category")
    client = kind == KINDS.index("client")
    calls = client & (category == CATEGORIES.index("http")) & bench.alive & (bench.parent >= 0)
    rows = np.flatnonzero(calls & client[bench.parent])
    return rows[_same_call(bench, rows, category)]


def _same_call(bench: Bench, rows: Rows, category: np.ndarray) -> Mask:
    """Which inner spans are the call of the span above: service, peer, method; another library."""
    above = bench.parent[rows]

    def agree(name: str) -> Mask:
        one, two = bench.ids(name, rows), bench.ids(name, above)
        return np.asarray((one == two) | (one == 0) | (two == 0))

    http = category[above] == CATEGORIES.index("http")
    other = np.isin(category[above], [CATEGORIES.index(c) for c in ("rpc", "db", "messaging")])
    same = (http & agree("operation")) | other
    same &= bench.ids("service", rows) == bench.ids("service", above)
    return np.asarray(
        same & agree("peer") & (bench.ids("scope", rows) != bench.ids("scope", above))
    )


_STEPS: tuple[Callable[[Bench], None], ...] = (
    _cut_cycles,
    _drop_asgi,
    _drop_driver_steps,
    _fold_get_more,
    _collapse_cursors,
    merge_orm_and_driver,
    _drop_nested_clients,
)

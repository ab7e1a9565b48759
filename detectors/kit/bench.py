"""What spans lie on while they are repaired: columns, parents, and what was taken out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from detectors.kit import forest, native
from detectors.kit.forest import Ids, Mask, Rows
from detectors.kit.traits import Trait


@dataclass(slots=True)
class Bench:
    """The spans under repair: columns in order, changes noted until the end.

    laid: their parents, as they are by now. alive: what is still there.
    """

    spans: pl.DataFrame
    laid: native.Laid
    alive: Mask
    counts: dict[str, int] = field(default_factory=dict)
    moved: bool = False

    @classmethod
    def lay_out(cls, spans: pl.DataFrame) -> Bench:
        """Puts the spans in order, takes exact duplicates out and finds the parents."""
        spans = spans.rechunk()  # what has many chunks takes twice as long to gather
        laid = native.lay_out(spans)
        if laid is None:
            order = forest.canonical_order(spans)
            if order.rows is not None:
                spans = spans[order.rows]
            laid = _laid(spans)
        kept = spans
        if len(laid.doubled):
            kept = _without(spans, _doubles(spans, laid.doubled))
            laid = _laid(kept)
        bench = cls(kept, laid, np.ones(kept.height, np.bool_))
        bench.count("duplicate", spans.height - kept.height)
        return bench

    @property
    def parent(self) -> Rows:
        """Row of the parent of each row, or -1."""
        return self.laid.parent

    @property
    def parent_id(self) -> Ids:
        """Its id, 0 for none."""
        return self.laid.parent_id

    @property
    def named(self) -> Mask:
        """Whether there is one, be it known or not."""
        return self.laid.named

    def count(self, reason: str, spans: int) -> None:
        """Note that so many spans were repaired."""
        if spans:
            name = f"repaired:{reason}"
            self.counts[name] = self.counts.get(name, 0) + spans

    def rows_with(self, trait: Trait) -> Rows:
        """Rows still there that have the trait."""
        if not self.laid.traits & trait:
            return np.empty(0, np.int64)
        traits = self.spans["traits"].fill_null(0).to_numpy()
        return np.flatnonzero(self.alive & ((traits & int(trait)) != 0))

    def ids(self, name: str, rows: Rows) -> Ids:
        """A UInt64 column at some rows, nulls as 0."""
        return forest.ids(self.spans, name)[rows]

    def siblings(self, rows: Rows) -> tuple[Ids, ...]:
        """Key columns that spans of one parent in one service share."""
        return (
            _traces(self.spans)[rows].astype(np.uint64),
            self.named[rows].astype(np.uint64),
            self.parent_id[rows],
            self.ids("service", rows),
        )

    def suspects(self, kernel: str) -> Rows | None:
        """Rows that a repair has to look at, None where numpy has to find them."""
        return native.suspects(kernel, self.laid, self.alive)

    def set(self, column: str, rows: Rows, values: pl.Series) -> None:
        """New values of a column at some rows."""
        if len(rows):  # a clone, because scatter works in place
            changed = self.spans[column].clone().scatter(pl.Series(rows), values)
            self.spans = self.spans.with_columns(changed.alias(column))
            self.laid = native.read_again(self.laid, self.spans, column)

    def remove(self, reason: str, rows: Rows, heirs: Rows | None = None) -> None:
        """Take spans out. Their children go to `heirs`, which stay, or to their own parents."""
        if not len(rows):
            return
        self.count(reason, len(rows))
        self.alive[rows] = False
        step = np.arange(len(self.parent))
        if heirs is not None:
            step[rows] = heirs
        else:  # one whose own parent is unknown stands for that unknown parent
            step[rows] = np.where(self.parent[rows] >= 0, self.parent[rows], rows)
        heir = forest.climb(step)
        moved = np.flatnonzero(self.alive & (self.parent >= 0) & ~self.alive[self.parent])
        if not len(moved):
            return
        self.moved = True
        above = heir[self.parent[moved]]
        there = self.alive[above]
        span = forest.ids(self.spans, "span_id")
        self.parent_id[moved] = np.where(there, span[above], self.parent_id[above])
        self.named[moved] = there | self.named[above]
        self.parent[moved] = np.where(there, above, -1)

    def result(self) -> pl.DataFrame:
        """The spans that are left, with all changes."""
        frame = self.spans
        if self.moved:
            ids = pl.Series("parent_span_id", self.parent_id)
            named = pl.Series("named", self.named)
            frame = frame.with_columns(pl.when(named).then(ids).alias("parent_span_id"))
        return frame if self.alive.all() else frame.filter(pl.Series(self.alive))


def _traces(spans: pl.DataFrame) -> Rows:
    return forest.numbers(forest.ids(spans, "trace_hi"), forest.ids(spans, "trace_lo"))


def _laid(spans: pl.DataFrame) -> native.Laid:
    """Spans in order, looked at."""
    found = native.lay_out(spans)
    if found is not None:
        return found
    trace, span = _traces(spans), forest.ids(spans, "span_id")
    doubled = _doubled(trace, span)
    parent_id = forest.ids(spans, "parent_span_id").copy()  # these are changed in place
    named = forest.present(spans, "parent_span_id").copy()
    parent = forest.find_rows(trace, span, parent_id, named)
    traits = int(np.bitwise_or.reduce(spans["traits"].fill_null(0).to_numpy()))
    return native.Laid(parent, parent_id, named, doubled, forest.cycle_cuts(parent), traits)


def _without(spans: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    kept = np.ones(spans.height, np.bool_)
    kept[rows] = False
    return spans.filter(pl.Series(kept))


def _doubled(trace: Rows, span: Ids) -> Rows:
    """Rows whose span id another row of the trace has."""
    keys = np.sort(forest.spread(trace.astype(np.uint64), span))
    if not np.any(keys[1:] == keys[:-1]):
        return np.empty(0, np.int64)
    order = np.lexsort((np.arange(len(span)), span, trace))
    same = (span[order][1:] == span[order][:-1]) & (trace[order][1:] == trace[order][:-1])
    involved = np.zeros(len(span), np.bool_)
    involved[order[1:][same]] = True
    involved[order[:-1][same]] = True
    return np.flatnonzero(involved)


def _doubles(spans: pl.DataFrame, rows: Rows) -> Rows:
    """Those to be taken out of rows that share span ids: the earliest, then longest is kept."""
    # Copies may differ in any column: comparing all of them makes the choice independent of order.
    among = spans[rows].with_columns(
        pl.col("links").list.eval(pl.element().cast(pl.String)).list.join(",")
    )
    ranked = among.select(
        pl.struct(
            "start_ns",
            -pl.col("duration_ns"),
            pl.all().exclude("start_ns", "duration_ns"),
        )
        .rank("ordinal")
        .alias("rank")
    )["rank"].to_numpy()
    keys = tuple(forest.ids(among, name) for name in ("span_id", "trace_lo", "trace_hi"))
    best = np.lexsort((ranked, *keys))
    again = np.zeros(len(rows), np.bool_)
    again[1:] = np.all([key[best][1:] == key[best][:-1] for key in keys], axis=0)
    return rows[best[again]]


def grouped(keys: tuple[Ids, ...], rows: Rows) -> tuple[Rows, Rows]:
    """Dense group numbers and the rows, ordered by group, then as they came."""
    order = np.lexsort((rows, *keys))
    new = np.zeros(len(rows), np.int64)
    for key in keys:
        ordered = key[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    return np.cumsum(new), rows[order]

"""Where errors come from and how far they go.

An *origin* is an error span that no error below it explains: the deepest of its causal path. From
there an error climbs, span by span, as long as those above are errors too; spans of the application
in between that carry no status of their own (most do not) are climbed over. It ends at an entry
that is fine, which *absorbed* it, at a producer, since nobody waits for a message's consumer, or at
the top of the trace.

::

    gateway   GET /orders        502  |=====================|    affected, 2 services away
    shop        GET /pay         503    |=================|      affected, 1 service away
    payment       POST /charge   503        |=======|            origin
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from detectors.kit import forest
from detectors.kit.columns import KINDS
from detectors.kit.forest import Ids, Mask, Rows

MAX_HOPS = 32
"""Segments that an error is followed over."""
_TOLERATED_NS = 1_000_000
"""A child of the same service that ends later than this after its parent did not make it fail."""

NEEDED = (
    *("parent_row", "entry", "is_entry", "service", "kind", "status", "http_status"),
    *("start_ns", "duration_ns", "shape", "label", "values", "trace"),
)
"""Columns that `in_trouble` and `climb` read."""


@dataclass(frozen=True, slots=True)
class Climb:
    """How errors climb, by row of the frame.

    bad: errors. up: the span above of any weight, -1 at the top. good: errors that a retry made
    good. late: errors after the span above had ended. entry: row of the span's entry span, -1 when
    that is missing. origins: rows of errors that no other explains.
    """

    bad: Mask
    up: Rows
    good: Mask
    late: Mask
    entry: Rows
    origins: Rows

    def path(self, origin: int, entry: int) -> list[int]:
        """Rows of the errors from `origin` up to `entry`, which may be an absorber."""
        rows, at = [origin], origin
        while at != entry and self.bad[at] and self.up[at] >= 0 and len(rows) < 4 * MAX_HOPS:
            at = int(self.up[at])
            rows.append(at)
        return rows


def in_trouble(spans: pl.DataFrame) -> pl.DataFrame:
    """The spans (`NEEDED`) of traces with an error, `parent_row` by their own rows."""
    troubled = np.zeros(int(spans["trace"].max() or 0) + 1, np.bool_)  # type: ignore[arg-type]
    trace = spans["trace"].to_numpy()
    troubled[trace[_errors(spans)]] = True
    kept = troubled[trace]
    if kept.all():
        return spans
    place = np.cumsum(kept) - 1
    parent = spans["parent_row"].to_numpy()[kept]
    moved = np.where(parent >= 0, place[np.maximum(parent, 0)], -1).astype(np.int32)
    return spans.filter(kept).with_columns(pl.Series("parent_row", moved))


def climb(spans: pl.DataFrame, group: Ids) -> Climb:
    """Spans (`NEEDED`) in order. group: of attempts of one call, see `attempts`."""
    bad = _errors(spans)
    up = _up(spans, bad)
    good = _made_good(spans, bad, group)
    late = bad & (up >= 0) & _outlives(spans, np.maximum(up, 0))
    goes = np.flatnonzero(bad & ~good & ~late & (up >= 0))
    caused = np.zeros(len(bad), np.bool_)
    caused[up[goes]] = True
    return Climb(bad, up, good, late, _entry_rows(spans), np.flatnonzero(bad & ~caused))


def _errors(spans: pl.DataFrame) -> Mask:
    return spans.select(_ERROR).to_series().to_numpy()


_ERROR = (pl.col("status") == "error").fill_null(value=False) | (
    pl.col("http_status").fill_null(0) >= 500
)


def _up(spans: pl.DataFrame, bad: Mask) -> Rows:
    """The next span above that carries weight: spans of the application that are fine have none."""
    parent = spans["parent_row"].to_numpy().astype(np.int64)
    kind = forest.physical(spans, "kind")
    light = ~bad & ~spans["is_entry"].to_numpy() & (kind <= KINDS.index("internal"))
    top = forest.climb(np.where(light & (parent >= 0), parent, np.arange(len(parent))))
    up: Rows = np.where(parent >= 0, top[np.maximum(parent, 0)], -1)
    return up


def _made_good(spans: pl.DataFrame, bad: Mask, group: Ids) -> Mask:
    """Failed calls after which the same call succeeded: a retry absorbed them."""
    kind = forest.physical(spans, "kind")
    called = (kind == KINDS.index("client")) | (kind == KINDS.index("producer"))
    failing = np.flatnonzero(bad & called)
    good = np.zeros(len(bad), np.bool_)
    fine = np.flatnonzero(~bad & called & np.isin(group, group[failing]))
    if not len(failing) or not len(fine):
        return good
    order = np.lexsort((fine, group[fine]))
    keys, rows = group[fine][order], fine[order]
    last = rows[np.searchsorted(keys, group[failing], side="right") - 1]
    good[failing] = (group[last] == group[failing]) & (last > failing)
    return good


def _outlives(spans: pl.DataFrame, up: Rows) -> Mask:
    """Whether a span ends well after the one above it, in one service: it ran on by itself."""
    service = forest.ids(spans, "service")
    end = forest.times(spans, "start_ns") + forest.times(spans, "duration_ns")
    return np.asarray((service == service[up]) & (end > end[up] + _TOLERATED_NS))


def _entry_rows(spans: pl.DataFrame) -> Rows:
    entry = spans["entry"].to_numpy().astype(np.int64)
    rows = np.flatnonzero(spans["is_entry"].to_numpy())
    place = np.full(int(entry.max()) + 1 if len(entry) else 0, -1, np.int64)
    place[entry[rows]] = rows
    found: Rows = place[entry]
    return found


def pairs(spans: pl.DataFrame, climbed: Climb) -> pl.DataFrame:
    """Which entries each origin reached: origin, entry (rows), hops (Int64), absorbed (Boolean).

    hops: services between the span of the origin and the entry, 0 in its own. An absorber is an
    entry that is fine.
    """
    bad, up, entry = climbed.bad, climbed.up, climbed.entry
    is_entry, service = spans["is_entry"].to_numpy(), forest.ids(spans, "service")
    producer = forest.physical(spans, "kind") == KINDS.index("producer")
    own = np.arange(len(up))
    above = np.maximum(up, 0)
    goes = bad & ~is_entry & ~climbed.good & ~climbed.late & (up >= 0) & bad[above]
    ends = forest.climb(np.where(goes, above, own))  # an error entry, or the last error before none
    found = []
    origin, at, hops = climbed.origins, ends[climbed.origins], np.zeros(len(climbed.origins), int)
    for _ in range(MAX_HOPS):
        failed = is_entry[at]
        found.append((origin[failed], at[failed], hops[failed], False))
        kept = ~failed & ~climbed.late[at] & (entry[at] >= 0)
        kept &= ~bad[np.maximum(entry[at], 0)]
        found.append((origin[kept], entry[at][kept], hops[kept], True))
        on = failed & (up[at] >= 0) & ~producer[above[at]]
        origin, hops, below, at = origin[on], hops[on], at[on], above[at[on]]
        hops = hops + (service[below] != service[at])
        calm = ~bad[at] & (entry[at] >= 0) & ~bad[np.maximum(entry[at], 0)]
        found.append((origin[calm], entry[at][calm], hops[calm], True))
        goes_on = bad[at]
        origin, hops, at = origin[goes_on], hops[goes_on], ends[at[goes_on]]
        if not len(origin):
            break
    parts = [(o, e, h, np.full(len(o), absorbed)) for o, e, h, absorbed in found if len(o)]
    names = ("origin", "entry", "hops", "absorbed")
    if not parts:
        return pl.DataFrame(schema=dict.fromkeys(names[:3], pl.Int64) | {"absorbed": pl.Boolean})
    columns = (np.concatenate(values) for values in zip(*parts, strict=True))
    return pl.DataFrame(dict(zip(names, columns, strict=True)))

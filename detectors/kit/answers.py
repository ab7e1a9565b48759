"""What each span does for its entry and who answered it: columns that most facts tables ask for.

Found once for whole traces: a join of each table's own costs more than all that the table counts.

::

    shop       GET /orders               |====================|
    shop         GET stock/items            |=============|         a call: `callee` stock,
    stock          GET /items                 |=========|           `server_ns` of this span
"""

from __future__ import annotations

import numpy as np
import polars as pl

from detectors.kit import forest, native
from detectors.kit.columns import KINDS, Column
from detectors.kit.forest import Mask, Rows
from detectors.kit.work import Work, failed, outgoing, work

WORKED: tuple[Column, ...] = (
    Column("row", pl.UInt32, "number", "place of the span in the frame"),
    Column("work", Work, "enum", "kind of work, null for spans that are none"),
    Column("failed", pl.Boolean, "flag", "it failed, by status or by protocol"),
    Column("outgoing", pl.Boolean, "flag", "it asks something of another process"),
    Column("callee", pl.UInt64, "text", "service of the answering spans, where they are known"),
    Column("callee_label", pl.UInt64, "text", "label of the answer"),
    Column("server_ns", pl.Int64, "number", "the longest answer", "ns"),
    Column("servers", pl.UInt32, "number", "answers: several are a hidden retry or a broadcast"),
    Column("tries", pl.UInt32, "number", "answers of one route: attempts that a library hides"),
    Column("answer_span", pl.UInt64, "id", "span id of the last answer, in order of start"),
    Column("answer_start_ns", pl.Int64, "number", "its start", "ns"),
    Column("answer_end_ns", pl.Int64, "number", "end of the answer that ends last", "ns"),
)
"""Columns beside `SPAN_COLUMNS` and `STRUCTURE`; those of the answer are null without one."""

_NEEDED = (
    *("span_id", "service", "label", "kind", "category", "status", "traits", "parent_row"),
    *("http_status", "rpc_status", "start_ns", "duration_ns"),
)
"""The columns that `WORKED` is made of."""


def tell_work(spans: pl.DataFrame) -> pl.DataFrame:
    """Structured spans in order (`structure.assemble`) -> with the columns `WORKED`."""
    if (kernels := native.kernels()) is not None:
        made = native.made(kernels.worked, spans, _NEEDED)
        if made is not None:
            return spans.hstack(made)
    row = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
    return spans.with_columns(
        row, work(), failed(), outgoing().alias("outgoing"), *_answers(spans).get_columns()
    )


def _answers(spans: pl.DataFrame) -> pl.DataFrame:
    """The columns of the answer, for every span: SERVER and CONSUMER spans are their parent's."""
    kind, parent = forest.physical(spans, "kind"), spans["parent_row"].to_numpy()
    serves = (kind == KINDS.index("server")) | (kind == KINDS.index("consumer"))
    rows = np.flatnonzero(serves & (parent >= 0))
    answered = parent[rows]
    last = np.full(spans.height, -1)
    last[answered] = rows  # rows are in order of start: the last one stays
    servers = np.bincount(answered, minlength=spans.height)
    start = pl.col("start_ns")
    found = spans.select(
        pl.col("service").alias("callee"),
        pl.col("label").alias("callee_label"),
        pl.col("duration_ns").alias("server_ns"),
        pl.col("span_id").alias("answer_span"),
        start.alias("answer_start_ns"),
        (start + pl.col("duration_ns")).alias("answer_end_ns"),
        (pl.col("kind") == "server").cast(pl.UInt32).alias("tries"),
    )[_known(last, last >= 0)].with_columns(_known(servers, servers > 0).alias("servers"))
    several = rows[servers[answered] > 1]
    if len(several):
        found = _with_several(found, spans, several)
    return found.select(c.name for c in WORKED if c.name in found.columns)


def _known(numbers: Rows, known: Mask) -> pl.Series:
    """`numbers` as UInt32, null where they are not known."""
    series = pl.Series(numbers)
    return series.set(~pl.Series(known), None).cast(pl.UInt32)


def _with_several(found: pl.DataFrame, spans: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    """Corrects the calls that have several answers, whose rows are given."""
    label, kind = pl.col("label"), pl.col("kind")
    summed = (
        spans[rows]
        .group_by("parent_row")
        .agg(
            pl.col("service").min().alias("callee"),
            label.min().alias("callee_label"),
            pl.col("duration_ns").max().alias("server_ns"),
            (pl.col("start_ns") + pl.col("duration_ns")).max().alias("answer_end_ns"),
            pl.when(label.min() == label.max()).then((kind == "server").sum()).alias("tries"),
        )
    )
    at = summed["parent_row"]
    return found.with_columns(
        found[name].scatter(at, summed[name]) for name in summed.columns if name != at.name
    )

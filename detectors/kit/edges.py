"""Facts `edges` as the F rules read them: callees by their best names, and which calls are lost.

What is called is a service where any trace shows its answer; a service that is down answers
nothing, and then only an address is left. The name it had while it was up is taken.
"""

from __future__ import annotations

import re

import polars as pl

from detectors.kit.contract import FactsView
from detectors.kit.derived import once

_CONNECTION = re.compile(
    r"connect|timed?.?out|unavailable|refused|reset|broken.?pipe|closed|shutdown|deadline"
    r"|too.?many|pool|network|socket|serverselection|autoreconnect|econn|etimedout|ehost|enotfound"
    r"|eof|operationalerror|interfaceerror|^57p0|^08\d|^53\d",
    re.IGNORECASE,
)
_CANCELLED = re.compile(r"cancel|abort|generatorexit|keyboardinterrupt", re.IGNORECASE)
_TIMED_OUT = re.compile(r"time.?out|timed|deadline|etimedout", re.IGNORECASE)
_NO_CONNECTION = ("sqlite3.", "sqlite")
"""Their OperationalError tells of locks and syntax: there is no other side."""


def timed_out(error_type: str) -> bool:
    """Whether an error or exception type tells of a time-out."""
    return bool(_TIMED_OUT.search(error_type))


def lost_connection(category: str, error_type: str) -> bool:
    """Whether an error without any status of a protocol means that the other side was not there.

    An HTTP or RPC client that raises without a status had no answer. A database raises for bad
    statements too: there the type has to tell of the connection.
    """
    if category == "connection":
        return not _CANCELLED.search(error_type)
    if not error_type or _CANCELLED.search(error_type):
        return False
    if category in ("http", "rpc"):
        return True
    if error_type.startswith(_NO_CONNECTION):
        return False
    return bool(_CONNECTION.search(error_type))


def names_of_calls(edges: pl.DataFrame) -> pl.DataFrame:
    """(caller, label) -> known_callee, known_operation: the service that mostly answers."""
    return (
        edges.filter("instrumented")
        .group_by("caller", "label", "callee", "operation")
        .agg(pl.col("calls").sum())
        .sort("calls", "callee", "operation", descending=[True, False, False])
        .unique(["caller", "label"], keep="first", maintain_order=True)
        .select(
            "caller",
            "label",
            pl.col("callee").alias("known_callee"),
            pl.col("operation").alias("known_operation"),
        )
    )


@once
def resolved_edges(facts: FactsView) -> pl.DataFrame:
    """Facts `edges` with the best names in `callee` and `operation`, and `lost` (Boolean)."""
    edges = facts.table("edges")
    kinds = edges.select("category", "error_type").unique()
    gone = [lost_connection(category, facts.text(error)) for category, error in kinds.iter_rows()]
    kinds = kinds.with_columns(pl.Series("_gone", gone, dtype=pl.Boolean))
    named = edges.join(names_of_calls(edges), on=["caller", "label"], how="left")
    named = named.join(kinds, on=["category", "error_type"], how="left", nulls_equal=True)
    bare = pl.col("failed") & ~pl.col("unavailable")
    silent = bare & (pl.col("error_type").is_not_null() | (pl.col("category") == "connection"))
    use = ~pl.col("instrumented") & pl.col("known_callee").is_not_null()
    return named.with_columns(
        pl.when(use).then("known_callee").otherwise("callee").alias("callee"),
        pl.when(use).then("known_operation").otherwise("operation").alias("operation"),
        (pl.col("unavailable") | (silent & pl.col("_gone"))).alias("lost"),
    ).sort(pl.all().exclude("_gone", "known_callee", "known_operation"))

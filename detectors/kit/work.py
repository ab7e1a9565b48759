"""What a span does for its entry: kinds of work that can be repeated, and who answers a call."""

from __future__ import annotations

import polars as pl

from detectors.kit.traits import Trait, has, has_any

WORKS = ("query", "write", "call", "cache_read", "publish")
Work = pl.Enum(WORKS)

_NO_WORK = Trait.PING | Trait.CONTROL | Trait.DDL | Trait.NOISE | Trait.LOCAL_STEP | Trait.HEALTH


def work() -> pl.Expr:
    """The kind of work (`Work`) of a span; null for spans that are none."""
    category, kind = pl.col("category"), pl.col("kind")
    is_db, is_cache = category == "db", category == "cache"
    single_key = has(Trait.SINGLE_KEY) & has(Trait.READ)
    is_call = category.is_in(["http", "rpc"]) & (kind == "client")
    return (
        pl.when(has_any(_NO_WORK))
        .then(None)
        .when((is_db | is_cache) & single_key)
        .then(pl.lit("cache_read"))
        .when(is_db & has(Trait.WRITE))
        .then(pl.lit("write"))
        .when(is_db & has(Trait.READ))
        .then(pl.lit("query"))
        .when(is_call)
        .then(pl.lit("call"))
        .when((category == "messaging") & (kind == "producer"))
        .then(pl.lit("publish"))
        .cast(Work)
        .alias("work")
    )


def failed() -> pl.Expr:
    """Whether the operation of a span failed, by status or by protocol."""
    return (
        (pl.col("status") == "error")
        | (pl.col("http_status").fill_null(0) >= 400)
        | (pl.col("rpc_status").fill_null(0) != 0)
    ).alias("failed")


def with_callee(spans: pl.LazyFrame) -> pl.LazyFrame:
    """Adds who answered a CLIENT or PRODUCER span, where the answering span is known.

    callee (UInt64 service code), callee_label (UInt64), server_ns (Int64, the longest answer),
    servers (UInt32, how many answered: more than one is a hidden retry or a broadcast).
    """
    answers = (
        spans.filter(pl.col("kind").is_in(["server", "consumer"]) & (pl.col("parent_row") >= 0))
        .group_by(pl.col("parent_row").cast(pl.UInt32).alias("row"))
        .agg(
            pl.col("service").min().alias("callee"),
            pl.col("label").min().alias("callee_label"),
            pl.col("duration_ns").max().alias("server_ns"),
            pl.len().alias("servers"),
        )
    )
    return spans.with_row_index("row").join(answers, on="row", how="left", maintain_order="left")

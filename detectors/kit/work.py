"""What a span does for its entry: kinds of work that can be repeated, and who answers a call."""

from __future__ import annotations

import polars as pl

from detectors.kit.texts import code
from detectors.kit.traits import Trait, has, has_any

WORKS = ("query", "write", "call", "cache_read", "publish")
Work = pl.Enum(WORKS)

NO_WORK = Trait.PING | Trait.CONTROL | Trait.DDL | Trait.NOISE | Trait.LOCAL_STEP | Trait.HEALTH
"""Traits of spans that are no work for an entry."""


def work() -> pl.Expr:
    """The kind of work (`Work`) of a span; null for spans that are none."""
    category, kind = pl.col("category"), pl.col("kind")
    is_db, is_cache = category == "db", category == "cache"
    single_key = has(Trait.SINGLE_KEY) & has(Trait.READ)
    is_call = category.is_in(["http", "rpc"]) & (kind == "client")
    return (
        pl.when(has_any(NO_WORK))
        .then(None)
        .when((is_db | is_cache) & single_key)
        .then(pl.lit("cache_read", Work))
        .when(is_db & has(Trait.WRITE))
        .then(pl.lit("write", Work))
        .when(is_db & has(Trait.READ))
        .then(pl.lit("query", Work))
        .when(is_call)
        .then(pl.lit("call", Work))
        .when((category == "messaging") & (kind == "producer"))
        .then(pl.lit("publish", Work))
        .alias("work")
    )


def failed() -> pl.Expr:
    """Whether the operation of a span failed, by status or by protocol."""
    return (
        (pl.col("status") == "error")
        | (pl.col("http_status").fill_null(0) >= 400)
        | (pl.col("rpc_status").fill_null(0) != 0)
    ).alias("failed")


CALLED = ("http", "rpc", "db", "cache", "messaging")
"""Categories of spans that ask something of another process."""
REFUSALS = (408, 429)
"""HTTP statuses below 500 by which a server says that it cannot serve just now."""
_UNAVAILABLE_RPC = (4, 14)
_CANCELLED_RPC = 1


def outgoing() -> pl.Expr:
    """Spans that call another process, connections that could not be made among them."""
    called = pl.col("category").is_in(CALLED) & pl.col("kind").is_in(["client", "producer"])
    refused = (pl.col("category") == "connection") & (pl.col("status") == "error")
    return called | refused


def unavailable() -> pl.Expr:
    """Whether the protocol says that the other side cannot serve: 5xx, 408, 429, gRPC 4 and 14."""
    http = pl.col("http_status")
    told = (http >= 500) | http.is_in(REFUSALS) | pl.col("rpc_status").is_in(_UNAVAILABLE_RPC)
    return told.fill_null(value=False).alias("unavailable")


def unanswered() -> pl.Expr:
    """Whether a call failed and the other side said nothing.

    There is no status, or a gRPC status that the caller sets itself: cancelled, deadline exceeded.
    """
    own_rpc = pl.col("rpc_status").is_in((_CANCELLED_RPC, _UNAVAILABLE_RPC[0]))
    silent = pl.col("http_status").is_null() & (pl.col("rpc_status").fill_null(0) == 0)
    alone = (pl.col("status") == "error") & silent
    return (alone | own_rpc.fill_null(value=False)).alias("unanswered")


CREATING = [code(m) for m in ("POST", "PUT", "PATCH")]
WRITING = [*CREATING, code("DELETE")]
"""Methods by which a request makes something, or changes it."""


def answered() -> pl.Expr:
    """Whether a request was answered with success: 2xx, or no error where there is no status."""
    http = pl.col("http_status").is_null() | pl.col("http_status").is_between(200, 299)
    return (http & (pl.col("status") != "error") & (pl.col("rpc_status").fill_null(0) == 0)).alias(
        "answered"
    )


def refused() -> pl.Expr:
    """Whether a request failed as one does whose state is elsewhere: not there, not known, broken.

    Bad input (400, 422), limits (429) and redirects tell nothing of state.
    """
    http = pl.col("http_status").fill_null(0)
    refusal = http.is_in([401, 403, 404, 409, 410]) | (http >= 500)
    broken = pl.col("http_status").is_null() & (pl.col("status") == "error")
    return (refusal | broken | (pl.col("rpc_status").fill_null(0) != 0)).alias("refused")

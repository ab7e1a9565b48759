"""n-plus-one-call: one request to another service per item.

What it does
    Finds requests that call the same endpoint of another service again and again, each time for
    another id.

        GET /orders                      |==============================|
          SELECT orders                   |=|
          GET users /users/{id}  ×20         |==========================|

Why is this bad?
    Each call pays a network round trip, serialisation and the callee's own overhead, and takes a
    connection and a worker there. The callee sees load that grows with the caller's data, and one
    slow answer delays the whole loop.

Example
    Bad:

        for order in orders:
            order["user"] = client.get(f"/users/{order['user_id']}").json()

    Better, a bulk endpoint:

        ids = ",".join(str(o["user_id"]) for o in orders)
        users = client.get("/users", params={"ids": ids}).json()

How it decides
    HTTP and RPC CLIENT spans are grouped within one entry by method, peer and path template (ids
    replaced), or by RPC method. From `min_repeats` on, with different ids or with ids that cannot
    be seen (a POST, an RPC), they are a fault. The callee's service and route are named when its
    SERVER span is there. Wasted is the time in which at least one call ran, less the slowest one.

Not flagged
    Paging by cursor, page or offset; chunked uploads; attempts of one call; loops of which more
    than `max_failed_percent` fails; the same URL each time; health checks; polling; calls that go
    to another host each time, since shards and tenants differ by design.

References
    https://google.aip.dev/231 (batch get)
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from detectors.kit.contract import (
    Context,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    Verdict,
)
from detectors.kit.repetition import (
    FAILING,
    PAGING,
    POLLING,
    RETRIES,
    TOGETHER,
    Clause,
    Repetition,
    RepetitionSettings,
    judge_repetition,
)
from detectors.kit.sightlines import Looking
from detectors.kit.wording import evidence_of, growth, times

UPLOAD_WORDS = ("upload", "chunk", "multipart", "/parts", "/blocks")
SENDING = ("PUT", "PATCH", "POST")


class NPlusOneCall:
    """N102: the same call once per item."""

    code = "N102"
    name = "n-plus-one-call"
    scope: Scope = "local"
    needs = ("repeats", "entries", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(RepetitionSettings):
        """Knobs of N102."""

    repetition = Repetition(
        Looking(
            "outgoing calls",
            categories=("http", "rpc"),
            works=("call",),
            kinds=("client",),
            statement="the URL or method (url.full, http.url, rpc.method)",
            reveal_statement="record url.full (http.url) or rpc.method on CLIENT spans",
        ),
        (TOGETHER, PAGING, RETRIES, FAILING, POLLING),
    )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Groups of calls that reach `min_repeats` and that no clause exempts."""
        uploads = Clause("chunks of one upload", _uploads(facts))
        repetition = Repetition(self.repetition.looking, (uploads, *self.repetition.clauses))
        return judge_repetition(self, repetition, facts, context)

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        source = f", once per row of {d['source']}" if d["source"] else ""
        answered = (
            f" {d['callee']} answers as {d['callee_operation']}." if d["callee_operation"] else ""
        )
        return Explanation(
            f"{finding.subject} is called {times(d)} in one {finding.operation}{source}",
            f"{evidence_of(finding)}{answered} {growth(d)}".strip(),
            "Ask once for all: a bulk endpoint (`GET /users?ids=…`, a BatchGet RPC), a GraphQL "
            "query with batching on the server, or keep what is needed beside the data. Where "
            "neither is possible, send the calls concurrently with a bound and cache the answers.",
        )


def _uploads(facts: FactsView) -> pl.Expr:
    """Rows that send to a path whose words tell of an upload in pieces."""
    rows = facts.table("repeats").filter(pl.col("work") == "call")
    targets = [
        code
        for code in rows["target"].drop_nulls().unique().to_list()
        if any(word in facts.text(code).lower() for word in UPLOAD_WORDS)
    ]
    sending = [
        code
        for code in rows["operation"].drop_nulls().unique().to_list()
        if facts.text(code) in SENDING
    ]
    return pl.col("target").is_in(targets) & pl.col("operation").is_in(sending)


RULE: Rule = NPlusOneCall()

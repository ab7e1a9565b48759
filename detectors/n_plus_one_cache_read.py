"""n-plus-one-cache-read: one round trip to the cache per key.

What it does
    Finds requests that read single keys from Redis, memcached or DynamoDB one by one.

        GET /basket                      |==============================|
          GET price:{id}  ×25              |============================|

Why is this bad?
    A cache answers in microseconds; the network between does not. 25 reads one after the other cost
    25 round trips where one MGET costs one, and can make a cache slower than what it hides.

Example
    Bad:

        prices = [redis.get(f"price:{i}") for i in item_ids]

    Better:

        prices = redis.mget([f"price:{i}" for i in item_ids])

How it decides
    Commands that read one key are grouped within one entry by command (and key pattern, where keys
    are visible). From `min_repeats` on they are a fault. Wasted is the time in which at least one
    read ran, less the slowest one.

Not flagged
    Commands of a pipeline or transaction; MGET, HMGET, get_many and other reads of many keys;
    attempts of one call; loops of which more than `max_failed_percent` fails; polling.

References
    https://redis.io/docs/latest/develop/use/pipelining/
"""

from __future__ import annotations

from dataclasses import dataclass

from detectors.kit.contract import (
    Context,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    Verdict,
)
from detectors.kit.knobs import knob
from detectors.kit.repetition import (
    FAILING,
    POLLING,
    RETRIES,
    TOGETHER,
    Repetition,
    RepetitionSettings,
    judge_repetition,
)
from detectors.kit.sightlines import Looking
from detectors.kit.wording import evidence_of, growth, times


class NPlusOneCacheRead:
    """N103: single keys read one by one."""

    code = "N103"
    name = "n-plus-one-cache-read"
    scope: Scope = "local"
    needs = ("repeats", "entries", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(RepetitionSettings):
        """Knobs of N103."""

        min_repeats: int = knob(10, "reads in one entry from which on it is a fault", low=2)

    repetition = Repetition(
        Looking(
            "reads of single cache keys",
            categories=("cache", "db"),
            works=("cache_read",),
            statement="the command (db.query.text, db.statement)",
            reveal_statement="record the command: db.query.text, db.statement or the span name",
        ),
        (TOGETHER, RETRIES, FAILING, POLLING),
    )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Groups of single-key reads that reach `min_repeats` and that no clause exempts."""
        return judge_repetition(self, self.repetition, facts, context)

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        return Explanation(
            f"{d['system']} {finding.subject} reads one key {times(d)} in one {finding.operation}",
            f"{evidence_of(finding)} {growth(d)}".strip(),
            "Read the keys together: MGET or HMGET in Redis, get_many in memcached, BatchGetItem "
            "in DynamoDB; or send the commands in one pipeline.",
        )


RULE: Rule = NPlusOneCacheRead()

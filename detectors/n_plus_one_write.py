"""n-plus-one-write: one statement per row written.

What it does
    Finds requests that insert, update or delete rows one statement at a time.

        POST /import                     |==============================|
          INSERT items  ×200               |============================|

Why is this bad?
    Each statement pays a round trip; outside a transaction each also waits for its own commit on
    disk, and a failure in the middle leaves half of the work done.

Example
    Bad:

        for item in items:
            cursor.execute("INSERT INTO items (name) VALUES (%s)", (item.name,))

    Better:

        cursor.executemany("INSERT INTO items (name) VALUES (%s)", [(i.name,) for i in items])

How it decides
    Writes of one shape are counted within one entry. From `min_repeats` on they are a fault,
    whatever their values. Whether one transaction holds them is said where transactions are visible
    in the spans (asyncpg, Node, Go, JDBC). Wasted is the time in which a write ran, less the
    slowest one.

Not flagged
    Statements that write several rows (`VALUES (…), (…)`, `INSERT … SELECT`, COPY, `IN` with many
    values); batches and pipelines of the driver; executemany, which is one span; attempts of one
    call; loops of which more than `max_failed_percent` fails; writes spread evenly over time;
    schema changes.

References
    https://docs.sqlalchemy.org/en/20/orm/queryguide/dml.html (bulk INSERT)
    https://www.postgresql.org/docs/current/populate.html
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
from detectors.kit.repetition import (
    BATCHES,
    FAILING,
    POLLING,
    RETRIES,
    TOGETHER,
    Clause,
    Repetition,
    RepetitionSettings,
    form,
    judge_repetition,
)
from detectors.kit.sightlines import Looking
from detectors.kit.traits import Trait
from detectors.kit.wording import evidence_of, growth, times

MANY_ROWS = Clause("statements that write several rows each", form(Trait.MULTI_ROW))


class NPlusOneWrite:
    """N104: rows written one statement at a time."""

    code = "N104"
    name = "n-plus-one-write"
    scope: Scope = "local"
    needs = ("repeats", "entries", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(RepetitionSettings):
        """Knobs of N104."""

    repetition = Repetition(
        Looking(
            "database writes",
            categories=("db",),
            works=("write",),
            statement="the statement (db.query.text, db.statement)",
            reveal_statement="record statements (Cassandra: include_db_statement=True; Go: leave "
            "DisableQuery off) and let no processor delete db.query.text or db.statement",
        ),
        (TOGETHER, MANY_ROWS, BATCHES, RETRIES, FAILING, POLLING),
    )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Groups of writes that reach `min_repeats` and that no clause exempts."""
        return judge_repetition(self, self.repetition, facts, context)

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        commits = {
            "outside": "Each is a transaction of its own: every row waits for a commit.",
            "inside": "One transaction holds them.",
        }.get(d["transaction"], "")
        return Explanation(
            f"{finding.subject} runs {times(d)} in one {finding.operation}, a row each time",
            " ".join(p for p in (evidence_of(finding), commits, growth(d)) if p),
            "Write the rows together: executemany or a bulk insert (`INSERT … VALUES (…), (…)`, "
            "bulk_create, saveAll with JDBC batching), an upsert, `UPDATE … WHERE id IN (…)`, or "
            "COPY for many; and in one transaction.",
        )


RULE: Rule = NPlusOneWrite()

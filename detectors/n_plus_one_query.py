"""n-plus-one-query: one query per row of another query.

What it does
    Finds requests (or jobs) that run the same read again and again, once for each row of a read
    before it.

        GET /books                       |==============================|
          SELECT books                    |=|
          SELECT authors by id  ×12          |==========================|

Why is this bad?
    Each query pays a round trip and the database's fixed cost, so the request grows with the data:
    12 books in staging are 1,200 in production. It is the most common reason for a page that was
    fast when it was written.

Example
    Bad, SQLAlchemy loads each author when the template touches it:

        books = session.scalars(select(Book)).all()
        return [{"title": b.title, "author": b.author.name} for b in books]

    Better, one query more whatever the number of books:

        books = session.scalars(select(Book).options(selectinload(Book.author))).all()

How it decides
    Reads of one shape (statement without values) are counted within one entry: the SERVER, CONSUMER
    or root span of a service, wherever under it they are, one after the other or at once. From
    `min_repeats` on, with different values or values that the spans do not show, they are a fault.
    The source is the last different read that ended before the first repeat. Wasted is the time in
    which at least one repeat ran, less the slowest single one.

Not flagged
    Pages of one larger read (OFFSET or a keyset bound); batches (`IN` with several values each);
    polling (repeats spread evenly over time); attempts of one call; loops of which more than
    `max_failed_percent` fails; the same values each time (N106); pings, session and transaction
    control, reads of the catalogue, fetches of one cursor. Workers and scripts, and a count that
    is the same in every one of 20 traces or more, are one severity lower.

References
    https://docs.sqlalchemy.org/en/20/orm/queryguide/relationships.html
    https://docs.djangoproject.com/en/stable/topics/db/optimization/
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
    PAGING,
    POLLING,
    RETRIES,
    SAME_VALUES,
    TOGETHER,
    Repetition,
    RepetitionSettings,
    judge_repetition,
)
from detectors.kit.sightlines import Looking
from detectors.kit.wording import evidence_of, growth, times


class NPlusOneQuery:
    """N101: the same read once per row of a read before it."""

    code = "N101"
    name = "n-plus-one-query"
    scope: Scope = "local"
    needs = ("repeats", "entries", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(RepetitionSettings):
        """Knobs of N101."""

    repetition = Repetition(
        Looking(
            "database reads",
            categories=("db",),
            works=("query",),
            statement="the statement (db.query.text, db.statement)",
            reveal_statement="record statements (Cassandra: include_db_statement=True; Go: leave "
            "DisableQuery off) and let no processor delete db.query.text or db.statement",
        ),
        (TOGETHER, BATCHES, PAGING, RETRIES, FAILING, SAME_VALUES, POLLING),
    )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Groups of reads that reach `min_repeats` and that no clause exempts."""
        return judge_repetition(self, self.repetition, facts, context)

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        source = f", once per row of {d['source']}" if d["source"] else ""
        return Explanation(
            f"{finding.subject} runs {times(d)} in one {finding.operation}{source}",
            f"{evidence_of(finding)} {growth(d)}".strip(),
            "Load the rows together: a join, an eager load (selectinload or joinedload in "
            "SQLAlchemy, select_related or prefetch_related in Django, JOIN FETCH in JPA), one "
            "query with `IN (…)` over the collected ids, or a DataLoader in GraphQL resolvers.",
        )


RULE: Rule = NPlusOneQuery()

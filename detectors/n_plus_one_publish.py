"""n-plus-one-publish: one message per item.

What it does
    Finds requests (or jobs) that publish many messages to one destination, one at a time.

        POST /orders                     |==============================|
          publish order-lines  ×40         |============================|

Why is this bad?
    Each publish pays a round trip (and, with confirms, waits for the broker); each message pays
    headers, an acknowledgement and a wake-up of a consumer. A request that dies in the middle has
    published half.

Example
    Bad:

        for line in order.lines:
            index_line.delay(line.id)

    Better:

        index_lines.delay([line.id for line in order.lines])

How it decides
    PRODUCER spans are grouped within one entry by destination (queue, topic or task). From
    `min_repeats` on they are a fault. Wasted is the time in which a publish ran, less the
    slowest one.

Not flagged
    Batches that one span reports as such; attempts of one publish; loops of which more than
    `max_failed_percent` fails; publishes spread evenly over time. Workers and scripts are one
    severity lower.

References
    https://docs.celeryq.dev/en/stable/userguide/canvas.html#chunks
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


class NPlusOnePublish:
    """N105: messages published one by one."""

    code = "N105"
    name = "n-plus-one-publish"
    scope: Scope = "local"
    needs = ("repeats", "entries", "sight")

    @dataclass(frozen=True, slots=True)
    class Settings(RepetitionSettings):
        """Knobs of N105."""

        min_repeats: int = knob(10, "publishes in one entry from which on it is a fault", low=2)

    repetition = Repetition(
        Looking(
            "published messages",
            categories=("messaging",),
            works=("publish",),
            kinds=("producer",),
            statement="the destination (messaging.destination.name)",
            reveal_statement="record messaging.destination.name on PRODUCER spans",
        ),
        (TOGETHER, RETRIES, FAILING, POLLING),
    )

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Groups of publishes that reach `min_repeats` and that no clause exempts."""
        return judge_repetition(self, self.repetition, facts, context)

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        return Explanation(
            f"{finding.subject}: {times(d)} in one {finding.operation}, a message each time",
            f"{evidence_of(finding)} {growth(d)}".strip(),
            "Publish once: one message that carries the list, the broker's batch call "
            "(send_batch, publish_batch, SendMessageBatch), or chunks of a fixed size when the "
            "list is long.",
        )


RULE: Rule = NPlusOnePublish()

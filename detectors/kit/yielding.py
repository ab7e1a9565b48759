"""When two rules see one cause, one of them yields: what another rule says of the same facts."""

from __future__ import annotations

from detectors.kit.catalogue import rules
from detectors.kit.contract import Context, FactsView, Finding, Rule, Verdict
from detectors.kit.derived import once


@once
def verdict_of(facts: FactsView, rule: Rule, context: Context) -> Verdict:
    """What the rule says, for whoever asks: the engine, and the rules that yield to it."""
    return rule.judge(facts, context)


def findings_of(code: str, facts: FactsView, context: Context) -> tuple[Finding, ...]:
    """The findings of the rule with that code; none when there is no such rule."""
    found = next((r for r in rules() if r.code == code), None)
    return verdict_of(facts, found, context).findings if found is not None else ()

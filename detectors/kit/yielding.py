"""When two rules see one cause, one of them yields: what another rule says of the same facts."""

from __future__ import annotations

from detectors.kit.catalogue import rules
from detectors.kit.contract import Context, FactsView, Finding


def findings_of(code: str, facts: FactsView, context: Context) -> tuple[Finding, ...]:
    """The findings of the rule with that code; none when there is no such rule."""
    return next((r.judge(facts, context).findings for r in rules() if r.code == code), ())

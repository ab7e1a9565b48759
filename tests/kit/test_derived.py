"""What rules share is derived once a judgement, and is gone with it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from detectors.kit import yielding
from detectors.kit.catalogue import rules
from detectors.kit.contract import Context, FactsView
from detectors.kit.derived import once
from detectors.kit.engine import Facts, default_settings, judge

CONTEXT = Context(1_000, 0, default_settings)


def test_one_derivation_for_equal_arguments() -> None:
    asked: Counter[Any] = Counter()

    @once
    def tables(facts: FactsView, name: str, *, share: float = 1.0) -> list[str]:
        asked[name, share] += 1
        return [name, facts.text(None)]

    facts, others = Facts(), Facts()
    assert tables(facts, "links") is tables(facts, "links")
    assert tables(facts, "reads", share=0.5) == ["reads", ""]
    assert tables(facts, "reads", share=0.6) == ["reads", ""]
    assert tables(others, "links") is not tables(facts, "links")
    assert asked == {("links", 1.0): 2, ("reads", 0.5): 1, ("reads", 0.6): 1}


def test_what_raises_is_not_kept() -> None:
    answers = iter([KeyError("first"), 2])

    @once
    def derive(facts: FactsView) -> int:  # noqa: ARG001
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    facts = Facts()
    with pytest.raises(KeyError):
        derive(facts)
    assert derive(facts) == 2


def test_each_rule_judges_once_although_others_yield_to_it(monkeypatch: Any) -> None:
    judged: Counter[str] = Counter()
    yielding_to = {rule.code: rule for rule in rules()}
    for rule in rules():
        cls = type(rule)

        def counting(self: Any, facts: Any, context: Any, _judge: Any = cls.judge) -> Any:
            judged[self.code] += 1
            return _judge(self, facts, context)

        monkeypatch.setattr(cls, "judge", counting)
    facts = Facts()
    judge(facts, CONTEXT)
    assert judged == Counter(dict.fromkeys(yielding_to, 1))
    assert not facts.derived
    judge(facts, CONTEXT)
    assert judged == Counter(dict.fromkeys(yielding_to, 2))


def test_a_rule_that_is_asked_first_by_another_has_one_verdict() -> None:
    facts = Facts()
    c102 = next(r for r in rules() if r.code == "C102")
    found = yielding.findings_of("C102", facts, CONTEXT)
    assert yielding.verdict_of(facts, c102, CONTEXT).findings is found
    assert yielding.findings_of("X999", facts, CONTEXT) == ()

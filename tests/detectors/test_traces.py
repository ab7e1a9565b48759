"""Every drawn case of every rule, through the real decoder, structure, facts and rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detectors.kit.catalogue import rules
from detectors.kit.contract import Finding
from detectors.kit.engine import Judgement
from support.judging import judge_request
from support.sketch import Case, read_cases, request

HERE = Path(__file__).parent
STATES = ("seen", "blind", "below_threshold", "exempt")
CASES = [
    pytest.param(case, id=f"{path.stem}: {case.title}")
    for path in sorted(HERE.glob("*.trace"))
    for case in read_cases(path)
]


@pytest.mark.parametrize("case", CASES)
def test_case_gives_what_it_says(case: Case) -> None:
    judgement = judge_request(request(case))

    wanted = [e for e in case.expected if e != "nothing"]
    visibility = [e for e in wanted if _words(e)[2] in STATES]
    findings = [e for e in wanted if e not in visibility]
    assert sorted(_matched(e, judgement.findings) for e in findings) == sorted(
        f.fingerprint for f in judgement.findings
    ), "\n".join(f"{f.code} {f.service} {f.operation!r} {f.subject}" for f in judgement.findings)
    for expected in visibility:
        _assert_visible(expected, judgement)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.code)
def test_every_rule_has_more_silent_cases_than_firing_ones(rule: object) -> None:
    stem = rule.name.replace("-", "_")  # type: ignore[attr-defined]
    cases = read_cases(HERE / f"{stem}.trace")
    silent = sum("nothing" in c.expected for c in cases)

    assert silent > 0
    assert silent >= len(cases) - silent


def _words(expected: str) -> list[str]:
    return re.findall(r'"[^"]*"|\S+', expected)


def _matched(expected: str, findings: tuple[Finding, ...]) -> str:
    """The fingerprint of the finding that `expected` describes; itself when there is none."""
    described, *checks = re.split(r"\s{2,}", expected)
    code, service, operation, *subject = _words(described)
    for finding in findings:
        seen = (finding.code, finding.service, finding.operation, finding.subject)
        if seen == (code, service, operation.strip('"'), " ".join(subject)):
            for check in " ".join(checks).split():
                name, _, value = check.partition("=")
                actual = getattr(finding, name, finding.details.get(name))
                assert str(actual) == value, f"{name} of {expected}: {actual}"
            return finding.fingerprint
    return expected


def _assert_visible(expected: str, judgement: Judgement) -> None:
    code, service, state, *reason = _words(expected)
    found = [v for v in judgement.visibility if (v.code, v.service) == (code, service)]
    assert [v.state for v in found] == [state], found
    assert found[0].reason.startswith(" ".join(reason)), found[0].reason

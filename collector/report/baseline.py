"""Findings that are known and accepted, each with a reason and, as a rule, an end.

A JSON file: `{"version": 1, "findings": [{"fingerprint", "code", "service", "operation", "subject",
"reason", "expires"}]}`. Only the fingerprint identifies; `expires` is a date (the finding counts
again from the day after) or null.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from collector.report.model import Report
    from detectors.kit.contract import Finding

_FORMAT = 1


class BaselineError(ValueError):
    """A baseline file that cannot be used; says which entry and why."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted finding."""

    fingerprint: str
    reason: str
    expires: date | None


def load(path: Path) -> tuple[Accepted, ...]:
    """The entries of a file; raises BaselineError when it is none."""
    try:
        data = json.loads(path.read_text("utf-8"))
        entries = data["findings"]
        if data["version"] != _FORMAT:
            raise BaselineError(f"{path}: version {data['version']!r} is not known")
        return tuple(_accepted(entry, f"{path}: findings[{i}]") for i, entry in enumerate(entries))
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise BaselineError(f"{path} is no baseline: {error}") from None


def _accepted(entry: dict[str, Any], where: str) -> Accepted:
    reason = entry.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise BaselineError(f"{where}: an accepted finding needs a reason")
    expires = entry.get("expires")
    try:
        end = None if expires is None else date.fromisoformat(expires)
    except (TypeError, ValueError):
        raise BaselineError(f"{where}: expires must be a date like 2027-01-31") from None
    return Accepted(str(entry["fingerprint"]), reason, end)


def apply(report: Report, accepted: Iterable[Accepted], today: date) -> Report:
    """The report with accepted findings set aside; what ran out is noted and counts again."""
    valid: set[str] = set()
    ended: dict[str, Accepted] = {}
    for entry in accepted:
        if entry.expires is None or today <= entry.expires:
            valid.add(entry.fingerprint)
        else:
            ended[entry.fingerprint] = entry
    notes = [
        f"baseline: {f.code} {f.service} {f.operation} was accepted until "
        f"{ended[f.fingerprint].expires}: {ended[f.fingerprint].reason}"
        for f in report.findings
        if f.fingerprint in ended and f.fingerprint not in valid
    ]
    return replace(
        report,
        findings=tuple(f for f in report.findings if f.fingerprint not in valid),
        muted=(*report.muted, *(f for f in report.findings if f.fingerprint in valid)),
        notes=(*report.notes, *notes),
    )


def dump(
    findings: Iterable[Finding],
    known: Iterable[Accepted],
    reason: str,
    expires: date | None,
) -> str:
    """A baseline of these findings; those known before keep their reason and end."""
    before = {entry.fingerprint: entry for entry in known}
    entries = []
    for finding in sorted(findings, key=lambda f: (f.code, f.service, f.operation, f.fingerprint)):
        entry = before.get(finding.fingerprint, Accepted(finding.fingerprint, reason, expires))
        entries.append(
            {
                "fingerprint": finding.fingerprint,
                "code": finding.code,
                "service": finding.service,
                "operation": finding.operation,
                "subject": finding.subject,
                "reason": entry.reason,
                "expires": None if entry.expires is None else entry.expires.isoformat(),
            }
        )
    document = {"version": _FORMAT, "findings": entries}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

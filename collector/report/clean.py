"""Keeps what spans say from steering a terminal: whoever sends spans names operations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collector.report.model import Report
    from detectors.kit.contract import Finding, Visibility

_REPLACED = "\N{REPLACEMENT CHARACTER}"
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), _REPLACED)
# What reorders text in a terminal or a diff: https://trojansource.codes.
_CONTROLS |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), _REPLACED)


def clean(text: str) -> str:
    """The text on one line, control characters replaced."""
    return text.translate(_CONTROLS)


def cleaned(report: Report) -> Report:
    """The report with every text that came from spans or paths made harmless to print."""
    return replace(
        report,
        findings=tuple(_finding(f) for f in report.findings),
        muted=tuple(_finding(f) for f in report.muted),
        visibility=tuple(_row(v) for v in report.visibility),
        notes=tuple(clean(n) for n in report.notes),
        errors=tuple(clean(e) for e in report.errors),
    )


def _finding(finding: Finding) -> Finding:
    return replace(
        finding,
        service=clean(finding.service),
        operation=clean(finding.operation),
        subject=clean(finding.subject),
        waterfall=tuple(
            replace(b, service=clean(b.service), label=clean(b.label)) for b in finding.waterfall
        ),
        details={name: _value(value) for name, value in finding.details.items()},
    )


def _row(row: Visibility) -> Visibility:
    return replace(row, service=clean(row.service), reason=clean(row.reason))


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    return [_value(v) for v in value] if isinstance(value, list) else value

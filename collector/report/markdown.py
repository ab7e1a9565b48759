"""The report as Markdown, for job summaries and pull request comments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.report.model import unjudged
from collector.report.phrases import duration, summary_line
from collector.report.statements import statements_of

if TYPE_CHECKING:
    from collector.report.model import Report
    from detectors.kit.contract import Finding


def render(report: Report) -> str:
    """A table of findings, each in a section, then what could not be seen."""
    lines = ["# spanlint", "", summary_line(report), ""]
    if unjudged(report):
        lines += [f"**{_cell(unjudged(report))}**", ""]
    if report.findings:
        lines += ["| severity | rule | service | operation | subject | wasted |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [_row(f) for f in report.findings]
        for finding in report.findings:
            lines += ["", *_section(report, finding)]
    blind = [row for row in report.visibility if row.state == "blind"]
    if blind:
        lines += ["", "## Blind", ""]
        lines += [
            f"- **{row.code}** {_cell(row.service)}: {_cell(row.reason)}; {_cell(row.reveal)}"
            for row in blind
        ]
    if report.errors:
        lines += ["", "## Errors", "", *(f"- {_cell(text)}" for text in report.errors)]
    return "\n".join(lines).rstrip() + "\n"


def _row(finding: Finding) -> str:
    cells = (
        finding.severity,
        f"{finding.code} {finding.rule}",
        finding.service,
        finding.operation,
        finding.subject,
        duration(finding.wasted_ns),
    )
    return f"| {' | '.join(_cell(c) for c in cells)} |"


def _section(report: Report, finding: Finding) -> list[str]:
    words = report.rule(finding.code).explain(finding)
    traces = ", ".join(f"`{e.trace_id}`" for e in finding.exemplars)
    return [
        f"## {finding.code} {_cell(finding.service)} · {_cell(finding.operation)}",
        "",
        f"**{_cell(words.headline)}**",
        "",
        _cell(words.evidence),
        "",
        *_statements(finding),
        f"Traces: {traces}",
        "",
        f"Fix: {_cell(words.fix)}",
    ]


def _statements(finding: Finding) -> list[str]:
    """Statements as code; a fence in one cannot end the block."""
    told = [line.replace("```", "'''") for s in statements_of(finding) for line in (s, "")]
    return ["```sql", *told[:-1], "```", ""] if told else []


def _cell(text: str) -> str:
    for mark in "\\|<>*_[]":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")

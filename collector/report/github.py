"""The report as GitHub workflow commands: annotations of a run.

Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.report.model import unjudged

if TYPE_CHECKING:
    from collector.report.model import Report

_COMMAND = {"info": "notice", "warning": "warning", "critical": "error"}


def render(report: Report) -> str:
    """One line for each finding, blind rule and broken file."""
    lines = []
    for finding in report.findings:
        words = report.rule(finding.code).explain(finding)
        properties = [f"title={_property(f'{finding.code} {finding.rule}')}"]
        if finding.details.get("code_file"):
            properties.append(f"file={_property(str(finding.details['code_file']))}")
            properties.append(f"line={finding.details.get('code_line') or 1}")
        text = f"{finding.service}: {words.headline}. {words.fix}"
        lines.append(f"::{_COMMAND[finding.severity]} {','.join(properties)}::{_data(text)}")
    lines += [
        f"::notice title={row.code} is blind::{_data(f'{row.service}: {row.reason}; {row.reveal}')}"
        for row in report.visibility
        if row.state == "blind"
    ]
    if unjudged(report):
        lines.append(f"::warning title=spanlint::{_data(unjudged(report))}")
    lines += [f"::error title=spanlint::{_data(text)}" for text in report.errors]
    return "".join(f"{line}\n" for line in lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

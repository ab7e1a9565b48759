"""The report as SARIF 2.1.0, for code scanning and editors.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. A finding of a running
system has a service and an operation, hence logical locations; where spans carry `code.file.path`
the result points there too. What is blind is a notification: an empty list of results is not green.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collector.report.model import Report
    from detectors.kit.contract import Finding, Rule

_LEVEL = {"info": "note", "warning": "warning", "critical": "error"}


def render(report: Report) -> str:
    """One SARIF log with one run."""
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "spanlint",
                        "version": report.version,
                        "rules": [_rule(r) for r in report.rules],
                    }
                },
                "results": [_result(report, f) for f in report.findings],
                "invocations": [_invocation(report)],
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _invocation(report: Report) -> dict[str, Any]:
    return {
        "executionSuccessful": not report.errors and not report.failed,
        "toolExecutionNotifications": [
            *({"level": "error", "message": {"text": text}} for text in report.errors),
            *(
                _about(code, "error", f"failed: {why}")
                for code, why in sorted(report.failed.items())
            ),
            *(
                _about(v.code, "warning", f"blind for {v.service}: {v.reason}. Reveal: {v.reveal}")
                for v in report.visibility
                if v.state == "blind"
            ),
        ],
    }


def _about(code: str, level: str, text: str) -> dict[str, Any]:
    return {
        "level": level,
        "message": {"text": f"{code} {text}"},
        "associatedRule": {"id": code},
    }


def _rule(rule: Rule) -> dict[str, Any]:
    page = inspect.getdoc(inspect.getmodule(type(rule))) or rule.name
    first = page.partition("\n")[0]
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": first.partition(": ")[2] or first},
        "help": {"text": page},
    }


def _result(report: Report, finding: Finding) -> dict[str, Any]:
    words = report.rule(finding.code).explain(finding)
    location: dict[str, Any] = {
        "logicalLocations": [
            {
                "name": finding.operation,
                "fullyQualifiedName": f"{finding.service}/{finding.operation}",
                "kind": "function",
            }
        ]
    }
    # Code scanning refuses a result without a file: where spans name none, the service stands in.
    source = finding.details.get("code_file") or finding.service
    line = finding.details.get("code_line") or 1
    location["physicalLocation"] = {
        "artifactLocation": {"uri": quote(str(source).replace("\\", "/"))},
        "region": {"startLine": max(int(line), 1)},
    }
    return {
        "ruleId": finding.code,
        "level": _LEVEL[finding.severity],
        "message": {
            "text": f"{finding.service}: {words.headline}. {words.evidence} Fix: {words.fix}"
        },
        "locations": [location],
        "partialFingerprints": {"spanlint/v1": finding.fingerprint},
        "properties": {
            "occurrences": finding.occurrences,
            "wasted_ms": round(finding.wasted_ns / 1_000_000, 3),
            "exemplars": [e.trace_id for e in finding.exemplars],
        },
    }

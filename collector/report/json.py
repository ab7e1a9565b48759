"""The report as JSON: stable, described by `docs/check.schema.json`."""

from __future__ import annotations

import json

from collector.report.model import Report, as_data


def render(report: Report) -> str:
    """One JSON document, indented, ending in a newline."""
    return json.dumps(as_data(report), indent=2, ensure_ascii=False) + "\n"

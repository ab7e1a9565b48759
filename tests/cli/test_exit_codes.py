"""When a check is green, and when silence is not: docs/decisions/0013."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.check import check_files
from collector.report.model import exit_code, unjudged
from support.recordings import JOINED, LAZY, drawn, without

CALLS = """
# calls that can be judged, statements that cannot
shop  GET /home  0..90
  shop  GET http://users:8000/users/{i}  2..6
  shop  SELECT * FROM authors WHERE id = %s  8..80  x4
"""
PAGES = """
# paging is exempt by a clause
shop  GET /export  0..400
  shop  SELECT * FROM books ORDER BY id LIMIT 100 OFFSET {i}00  2..380  x6
"""
INTERNAL = """
# nothing that any rule looks at
shop  GET /health-page  0..90
  shop  render  2..60
"""


def report_of(text: str, folder: Path):
    path = folder / "drawn.pb"
    path.write_bytes(drawn(text, folder).SerializeToString())
    return check_files([str(path)])


@pytest.mark.parametrize(
    ("text", "code"),
    [(LAZY, 1), (JOINED, 0), (PAGES, 0), (INTERNAL, 3)],
    ids=lambda v: str(v)[2:20],
)
def test_exit_codes(text: str, code: int, tmp_path: Path) -> None:
    assert exit_code(report_of(text, tmp_path), "warning") == code


def test_findings_below_fail_on_are_green(tmp_path: Path) -> None:
    report = report_of(LAZY.replace("8..230", "8..9"), tmp_path)
    [finding] = report.findings
    assert finding.severity != "critical"
    assert exit_code(report, "critical") == 0
    assert exit_code(report, finding.severity) == 1


def test_a_blind_category_is_not_green_though_another_was_judged(tmp_path: Path) -> None:
    path = tmp_path / "stripped.pb"
    path.write_bytes(without(("db.statement", "db.query.text"), drawn(CALLS, tmp_path)))
    report = check_files([str(path)])
    states = {row.code: row.state for row in report.visibility}
    assert (states["N101"], states["N102"]) == ("blind", "seen")
    assert unjudged(report) == "not green: every rule about db is blind"
    assert exit_code(report, "warning") == 3

"""Statements as people write them: one that was repeated is read before it is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detectors.kit.contract import Finding

_LONGEST = 2_000
"""Characters: what is longer is left as it is, since laying out takes more than linear time."""
_VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH")


def statements_of(finding: Finding) -> list[str]:
    """The SQL statements of a finding, each over several lines; none where it is about others."""
    found = finding.details.get("statements") or ()
    return [_laid_out(s) for s in found if s.lstrip("( ").upper().startswith(_VERBS)]


def _laid_out(statement: str) -> str:
    import sqlparse  # here: only a report with statements needs its 20 ms

    if len(statement) > _LONGEST:
        return statement
    try:
        return str(sqlparse.format(statement, reindent=True, keyword_case="upper"))
    except sqlparse.exceptions.SQLParseError:  # too many tokens, nested too deep
        return statement

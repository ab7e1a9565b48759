"""Our scanner beside sqlparse's lexer, where the two have to agree: plain statements."""

from __future__ import annotations

import sqlparse
from sqlparse import tokens as T  # noqa: N812 - as sqlparse itself does

from detectors.kit.shapes.lexer import NUMBER, PARAM, VALUE, lex
from support.recordings import recorded_texts

PLAIN = (
    "SELECT a, b FROM t WHERE c = 5 AND d = 'it''s' AND e IN (1, 2.5, '3')",
    "INSERT INTO t (a, b) VALUES ('x', 7), ('y', 8) /* it's 9 */",
    "UPDATE t SET a = $$it's$$, b = $tag$ $$ 5 $tag$ WHERE c = 0x1F -- 'no' 6",
    "SELECT * FROM t WHERE a BETWEEN 1 AND 2 AND b = ? AND c = %s AND d = :d AND e = $1",
)


def _ours(text: str) -> list[str]:
    return [t.raw for t in lex(text, "postgresql") if t.kind in (VALUE, NUMBER, PARAM)]


def _theirs(text: str) -> list[str]:
    (statement,) = sqlparse.parse(text)
    values = (T.Literal, T.Name.Placeholder)
    found = (t for t in statement.flatten() if any(t.ttype in kind for kind in values))
    return [t.value for t in found if t.ttype not in T.Literal.String.Symbol]


def test_values_of_plain_statements() -> None:
    for text in PLAIN:
        assert _ours(text) == _theirs(text)


def test_values_of_recorded_statements() -> None:
    """What instrumentations sent: cache commands, casts and backticks are no common ground."""
    texts = recorded_texts("db.statement", "db.query.text")
    texts = [
        t for t in texts if t.startswith(("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "))
    ]
    texts = [t for t in texts if not any(odd in t for odd in ("`", "::", "%("))]

    assert len(texts) > 50
    for text in texts:
        assert _ours(text) == _theirs(text)


def test_the_tag_of_a_dollar_quote_ends_it() -> None:
    assert _ours("SELECT $A$ it's $a$ 5 $A$, 6") == ["$A$ it's $a$ 5 $A$", "6"]
    assert _ours("SELECT $$ cut 'off") == ["$$ cut 'off"]

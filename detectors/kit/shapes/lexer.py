"""SQL text to tokens, with every value masked.

The work is done by sqlparse's lexer with a table of our own: sqlparse's default table knows one
dialect, leaks the rest of a literal that was cut off in its middle, and calls `"users"` a literal
everywhere. Patterns are possessive and unterminated literals and comments run to the end of the
text, so the time is linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from sqlparse import tokens as T  # noqa: N812 - as sqlparse itself does
from sqlparse.lexer import Lexer

from detectors.kit.shapes.words import word_set

SPACE, WORD, QUOTED, VALUE, NUMBER, PARAM, SYMBOL, COMMENT = range(8)
VALUES = frozenset((VALUE, NUMBER, PARAM))


class Token(NamedTuple):
    """One token: its kind, its text with values masked, as written, and whether space precedes."""

    kind: int
    text: str
    raw: str
    spaced: bool

    @property
    def upper(self) -> str:
        """The upper-case word or the symbol; empty for everything else."""
        return self.text.upper() if self.kind in (WORD, SYMBOL) else ""


class Dialect(NamedTuple):
    """Where SQL dialects disagree about what is a literal."""

    backslash: bool = False  # '\'' escapes a quote
    text_in_double_quotes: bool = False
    hash_comment: bool = False
    brackets: bool = False  # [column], always; else only where no array index can stand
    q_quotes: bool = False  # q'[ … ]'


_MYSQL = Dialect(True, True, True)
_SPARK = Dialect(True, True)
_MSSQL = Dialect(brackets=True)
_STANDARD = Dialect()
_DIALECTS = {
    **dict.fromkeys(("mysql", "mariadb", "tidb", "bigquery", "gcp.bigquery"), _MYSQL),
    **dict.fromkeys(("spark", "hive", "databricks", "gcp.spanner", "spanner"), _SPARK),
    **dict.fromkeys(("clickhouse", "snowflake"), Dialect(backslash=True)),
    **dict.fromkeys(("mssql", "microsoft.sql_server", "sybase"), _MSSQL),
    "sqlite": _MSSQL,
    **dict.fromkeys(("oracle", "oracle.db"), Dialect(q_quotes=True)),
}
NAMED = frozenset((
    *_DIALECTS, "postgresql", "cockroachdb", "db2", "ibm.db2", "redshift", "aws.redshift", "h2",
    "hsqldb", "derby", "trino", "cassandra",
))  # fmt: skip
_ANSI_QUOTES = re.compile(r'\b(?:FROM|JOIN|INTO|UPDATE)\s+"', re.IGNORECASE)

_KINDS = {
    T.Whitespace: SPACE,
    T.Comment: COMMENT,
    T.Name: WORD,
    T.String.Symbol: QUOTED,
    T.String.Single: VALUE,
    T.Number: NUMBER,
    T.Name.Placeholder: PARAM,
    T.Operator: SYMBOL,
    T.Literal: VALUE,  # what newer lexers find before the table is asked: $$dollar quotes$$
    T.Comment.Multiline: COMMENT,
    T.Comment.Multiline.Hint: COMMENT,
}

# After these words a sign belongs to the number that follows it.
BEFORE_OPERAND = word_set(
    "SELECT WHERE AND OR NOT BETWEEN IN LIKE LIMIT OFFSET THEN ELSE WHEN CASE VALUES SET BY "
    "HAVING ON RETURNING INTERVAL DISTINCT ALL AS DEFAULT TOP FETCH NEXT"
)


def dialect_of(text: str, system: str | None) -> Dialect:
    """The dialect of a statement; for an unknown system what the text itself gives away."""
    name = (system or "").lower()
    if name in NAMED:
        dialect = _DIALECTS.get(name, _STANDARD)
    else:
        dialect = Dialect(backslash="\\'" in text, text_in_double_quotes="`" in text)
    if dialect.text_in_double_quotes and '"' in text and _ANSI_QUOTES.search(text):
        dialect = dialect._replace(text_in_double_quotes=False)
    return dialect


def _quoted(quote: str, *, backslash: bool) -> str:
    """A quoted run in which a doubled quote (or a backslash) escapes; the end of text closes it."""
    if backslash:
        plain = rf"[^{quote}\\]*+"
        return rf"{quote}{plain}(?:(?:\\[\s\S]|{quote}{quote}){plain})*+(?:{quote}|\\?\Z)"
    return rf"{quote}[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+(?:{quote}|\Z)"


_EXPONENT = r"[\w.]*(?:(?<=e)[+-]\d+)?"
_NUMBER = rf"(?<!\.)\d{_EXPONENT}|(?<![\w\"`\])?])\.\d{_EXPONENT}"
_PARAM = (
    r"\?\d*"
    r"|%\([^()'\"?]*\)[sdifbt]\b"  # %(name)s
    r"|%s(?!\w)"
    r"|(?<![\w)?])%[bt](?!\w)"  # psycopg 3: binary, text
    r"|\$\d+|\$[^\W\d]\w*(?![\w$])"
    r"|(?<![:\w?]):(?:[^\W\d]\w*|\d+)"
    r"|(?<![@\w?])@[^\W\d][\w$#]*"
    r"|\{[^\W\d]\w*:\s?[a-z][^{}'\"?]{0,60}\}"  # ClickHouse {id:UInt32}
)
_Q_QUOTE = (
    r"n?q'(?:\[[\s\S]*?(?:\]'|\Z)|\{[\s\S]*?(?:\}'|\Z)|\([\s\S]*?(?:\)'|\Z)|<[\s\S]*?(?:>'|\Z)"
    r"|([^\s\w])[\s\S]*?(?:\1'|\Z))"
)
_SYMBOL = r"::|:=|<=>|<=|>=|<>|!=|\|\||->>|->|!~\*?|~\*?"


@cache
def _lexer(dialect: Dialect) -> Lexer:
    """sqlparse's lexer with the table of one dialect."""
    single = _quoted("'", backslash=dialect.backslash)
    double = _quoted('"', backslash=dialect.text_in_double_quotes)
    hashes = "" if dialect.hash_comment else r"(?:#[\w$]++)*+"
    prefix = "(?:@@)?" if dialect.hash_comment else "(?:@@|##?)?"
    brackets = (
        r"\[[^\]]*+(?:\]\][^\]]*+)*+(?:\]|\Z)"
        if dialect.brackets
        else r"(?<![\w\])\"?])\[[^\W\d][\w $]*\]"
    )
    # MySQL wants a space behind the dashes: `5--3` is a sum.
    dash = r"--(?:(?=\s|#|/\*|--)[^\r\n]*|\Z)" if dialect.hash_comment else r"--[^\r\n]*"
    table = [
        (r"\s+", T.Whitespace),
        # A word before a quote may be the prefix of a literal: E'…', N'…', U&"…".
        (rf"{prefix}[^\W\d][\w$]*+{hashes}(?!'|&['\"])", T.Name),
        (r"[,()=;*]", T.Operator),
        (_PARAM, T.Name.Placeholder),
        (_NUMBER, T.Number),
        (_Q_QUOTE if dialect.q_quotes else r"(?!)", T.String.Single),
        (r"e" + _quoted("'", backslash=True), T.String.Single),
        (r"(?:[nbxr]|u&|_[a-z]\w*)?" + single, T.String.Single),
        (double, T.String.Single if dialect.text_in_double_quotes else T.String.Symbol),
        (r"u&" + _quoted('"', backslash=False), T.String.Symbol),
        (_quoted("`", backslash=False), T.String.Symbol),
        (rf"{dash}|/\*[\s\S]*?(?:\*/|\Z)", T.Comment),
        (r"#[^\r\n]*" if dialect.hash_comment else r"(?!)", T.Comment),
        (brackets, T.String.Symbol),
        (r"(\$(?:[^\W\d]\w*)?\$)[\s\S]*?(?:\1|\Z)", T.String.Single),
        (rf"{prefix}\w[\w$]*+{hashes}", T.Name),
        (rf"{_SYMBOL}|[\s\S]", T.Operator),
    ]
    lexer = Lexer()
    lexer.clear()
    lexer.set_SQL_REGEX(table)
    return lexer


def _is_unary(before: Token | None) -> bool:
    """Whether a sign after `before` belongs to the number behind it.

    After another number it does too: the conventions mask `99+100` as `??`.
    """
    if before is None or before.kind == NUMBER:
        return True
    if before.kind == WORD:
        return before.upper in BEFORE_OPERAND
    return before.kind == SYMBOL and before.text not in (")", "]")


def lex(text: str, system: str | None) -> Iterator[Token]:
    """The tokens of a statement, whitespace and comments among them."""
    spaced = False
    before: Token | None = None  # the last token that counts
    sign: Token | None = None  # a sign held back until it is known what it belongs to
    for ttype, raw in _lexer(dialect_of(text, system)).get_tokens(text):
        kind = _KINDS.get(ttype, SYMBOL)
        if sign is not None:
            if kind == NUMBER and _is_unary(before):
                raw, spaced = sign.raw + raw, sign.spaced  # noqa: PLW2901
            else:
                yield sign
                before = sign
            sign = None
        if kind in (SPACE, COMMENT):
            yield Token(kind, raw, raw, spaced)
            spaced = True
            continue
        token = Token(kind, "?" if kind in VALUES else raw, raw, spaced)
        spaced = False
        if kind == SYMBOL and raw in "+-":
            sign = token
            continue
        yield token
        before = token
    if sign is not None:
        yield sign


def sanitize(text: str, system: str | None = None) -> str:
    """The statement with values masked and comments removed, otherwise as written.

    This is the text that OpenTelemetry's conventions ask for in `db.query.text`.
    """
    pieces: list[str] = []
    gap = False  # a comment was removed with no space before it
    for token in lex(text, system):
        if token.kind == COMMENT:
            gap = gap or bool(pieces and not pieces[-1][-1].isspace())
            continue
        if gap and token.kind != SPACE:
            pieces.append(" ")
        gap = False
        pieces.append(token.text)
    return "".join(pieces)

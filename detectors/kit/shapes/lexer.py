"""SQL text to tokens, with every value masked.

One regular expression for each dialect, whose alternatives are the kinds of tokens. Patterns are
possessive, and unterminated literals and comments run to the end of the text, so the time is linear
in its length. (sqlparse's lexer tries its table pattern by pattern at each place, eight times as
long; its own table knows one dialect and calls `"users"` a literal everywhere.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from detectors.kit.shapes.words import word_set

SPACE, WORD, QUOTED, VALUE, NUMBER, PARAM, SYMBOL, COMMENT = range(8)
VALUES = frozenset((VALUE, NUMBER, PARAM))


class Token(NamedTuple):
    """One token: its kind, its text with values masked, as written, and whether space precedes.

    `upper` is the upper-case word or the symbol, empty for everything else.
    """

    kind: int
    text: str
    raw: str
    spaced: bool
    upper: str = ""


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
    r"|(?P<q>[^\s\w])[\s\S]*?(?:(?P=q)'|\Z))"
)
_SYMBOL = r"::|:=|<=>|<=|>=|<>|!=|\|\||->>|->|!~\*?|~\*?"


# The tag of a dollar quote ends it in the same case only.
_DOLLAR_QUOTE = r"(?P<tag>\$(?:[^\W\d]\w*)?\$)(?:[\s\S]*?(?-i:(?P=tag))|[\s\S]*+)"


@cache
def _scan(dialect: Dialect) -> tuple[re.Pattern[str], tuple[int, ...]]:
    """What matches one token of a dialect, any, and its kind by the number of the group."""
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
    comment = rf"{dash}|/\*[\s\S]*?(?:\*/|\Z)"
    table = [
        (SPACE, r"\s+"),
        # A word before a quote may be the prefix of a literal: E'…', N'…', U&"…".
        (WORD, rf"{prefix}[^\W\d][\w$]*+{hashes}(?!'|&['\"])"),
        (SYMBOL, r"[,()=;*]|\.(?!\d)"),
        (VALUE if dialect.text_in_double_quotes else QUOTED, double),
        (PARAM, _PARAM),
        (NUMBER, _NUMBER),
        (VALUE, _Q_QUOTE if dialect.q_quotes else r"(?!)"),
        (VALUE, r"e" + _quoted("'", backslash=True)),
        (VALUE, r"(?:[nbxr]|u&|_[a-z]\w*)?" + single),
        (QUOTED, r"u&" + _quoted('"', backslash=False)),
        (QUOTED, _quoted("`", backslash=False)),
        (COMMENT, rf"{comment}|#[^\r\n]*" if dialect.hash_comment else comment),
        (QUOTED, brackets),
        (VALUE, _DOLLAR_QUOTE),
        (WORD, rf"{prefix}\w[\w$]*+{hashes}"),
        (SYMBOL, rf"{_SYMBOL}|[\s\S]"),
    ]
    pattern = "|".join(f"(?P<token_{n}>{rx})" for n, (_, rx) in enumerate(table))
    scan = re.compile(pattern, re.IGNORECASE)
    kinds = [SYMBOL] * (scan.groups + 1)
    for number, (kind, _) in enumerate(table):
        kinds[scan.groupindex[f"token_{number}"]] = kind
    return scan, tuple(kinds)


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
    scan, kinds = _scan(dialect_of(text, system))
    for match in scan.finditer(text):
        kind, raw = kinds[match.lastindex or 0], match[0]
        if sign is not None:
            if kind == NUMBER and _is_unary(before):
                raw, spaced = sign.raw + raw, sign.spaced
            else:
                yield sign
                before = sign
            sign = None
        if kind in (SPACE, COMMENT):
            yield Token(kind, raw, raw, spaced)
            spaced = True
            continue
        if kind == WORD:
            token = Token(kind, raw, raw, spaced, raw.upper())
        elif kind == SYMBOL:
            token = Token(kind, raw, raw, spaced, raw)
        else:
            token = Token(kind, raw if kind == QUOTED else "?", raw, spaced)
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

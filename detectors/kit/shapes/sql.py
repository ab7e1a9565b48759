"""SQL statements to shapes.

`shape_statement` masks every value, removes comments (sqlcommenter's too), folds whitespace and
lists of values, and says which table a statement touches, by which columns and in what way. It
reads tokens only (see `lexer`), never builds a tree, never raises, and takes time linear in the
length of the text. It is too slow for every span: keep the results by their raw text.
"""

from __future__ import annotations

from detectors.kit.shapes import words
from detectors.kit.shapes.clauses import Walk
from detectors.kit.shapes.lexer import (
    COMMENT,
    PARAM,
    QUOTED,
    SPACE,
    SYMBOL,
    VALUES,
    WORD,
    Token,
    lex,
    sanitize,
)
from detectors.kit.shapes.lists import Folded, fold_lists
from detectors.kit.shapes.model import Shape
from detectors.kit.shapes.predicate import Conditions
from detectors.kit.shapes.reading import read_traits

__all__ = ["Shape", "sanitize", "shape_statement"]

_LONGEST_VERB = 32


def _significant(text: str, system: str | None) -> list[Token]:
    """The tokens that count, without a closing semicolon."""
    tokens = [token for token in lex(text, system) if token.kind not in (SPACE, COMMENT)]
    while tokens and tokens[-1].kind == SYMBOL and tokens[-1].text == ";":
        tokens.pop()
    return tokens


def _mask_names(tokens: list[Token]) -> list[Token]:
    """Mask the generated names of savepoints, cursors and prepared statements.

    They carry thread and sequence numbers (Django's `"s139_x2"`), so every one would be a shape.
    """
    if not tokens or tokens[0].upper not in words.NAMING:
        return tokens
    end = next(
        (i for i, t in enumerate(tokens) if t.upper in ("CURSOR", "AS", ";")),
        len(tokens),
    )
    masked = [
        token._replace(kind=PARAM, text="?", raw="?", upper="")
        if token.kind in (WORD, QUOTED) and any(c.isdigit() for c in token.text)
        else token
        for token in tokens[:end]
    ]
    return masked + tokens[end:]


def _render(tokens: list[Token]) -> str:
    """One line: single spaces, none inside parentheses, one behind every comma."""
    pieces: list[str] = []
    before = ""
    for token in tokens:
        bare = token.kind == SYMBOL and token.text in (")", ",", ";")
        if pieces and not bare and before != "(" and (token.spaced or before == ","):
            pieces.append(" ")
        pieces.append(token.text)
        before = token.text if token.kind == SYMBOL else ""
    return "".join(pieces).strip()


def _literals(tokens: list[Token]) -> tuple[str, ...] | None:
    """The values of a statement, None when one of them is hidden behind a placeholder."""
    if any(token.kind == PARAM for token in tokens):
        return None
    return tuple(token.raw for token in tokens if token.kind in VALUES)


def shape_statement(text: str, system: str | None) -> Shape:
    """The shape of one SQL text; `system` is OTel's `db.system.name`, old or new.

    `operation` is the upper-case verb of the statement that does the work, `target` the table that
    it writes, else the first that it reads (schema kept, quotes removed), `predicate` the sorted
    lower-case names of the columns that WHERE compares with values: `author_id, id`. READ and
    WRITE are never set beside PING, CONTROL or DDL, so that testing for one of them suffices.
    """
    all_tokens = _significant(text, system)
    named = _mask_names(all_tokens)
    folded: Folded = fold_lists(named)
    walk = Walk(folded.tokens)
    statement = walk.main()
    conditions = Conditions(walk)
    filters = conditions.read()
    traits = read_traits(walk, folded, filters, conditions.ordered(), system)
    target = statement.written or (statement.tables[0] if statement.tables else None)
    return Shape(
        shape=_render(folded.tokens),
        operation=statement.verb[:_LONGEST_VERB] or None,
        target=target,
        predicate=", ".join(sorted(filters.columns)) or None,
        literals=_literals(all_tokens),
        traits=int(traits),
        summary=walk.summary(),
    )

"""Which columns a statement filters by, and how."""

from __future__ import annotations

from typing import NamedTuple

from detectors.kit.shapes import words
from detectors.kit.shapes.clauses import Walk, unquote
from detectors.kit.shapes.lexer import QUOTED, SYMBOL, VALUES, WORD, Token

_MOST_COLUMNS = 16  # of one row value


class Filter(NamedTuple):
    """Columns compared in WHERE, whether one by equality, and those bounded by `<` or `>`."""

    columns: frozenset[str]
    equality: bool
    bounded: frozenset[str]


def _openers(tokens: list[Token]) -> dict[int, int]:
    """Index of the opening parenthesis for the index of each closing one."""
    stack: list[int] = []
    pairs: dict[int, int] = {}
    for index, token in enumerate(tokens):
        if token.kind == SYMBOL and token.text in "([":
            stack.append(index)
        elif token.kind == SYMBOL and token.text in ")]" and stack:
            pairs[index] = stack.pop()
    return pairs


def _column(token: Token) -> str | None:
    """The lower-case column name that a token is, if it is one."""
    if token.kind == QUOTED or (token.kind == WORD and token.upper not in words.RESERVED):
        return unquote(token.text).lower()
    return None


class Conditions:
    """Reads the comparisons of the WHERE clauses that a `Walk` has found."""

    def __init__(self, walk: Walk) -> None:
        self.tokens = walk.tokens
        self._clauses = walk.clauses
        self._pairs = _openers(walk.tokens)

    def read(self) -> Filter:
        """All comparisons between a column and a value."""
        columns: set[str] = set()
        bounded: set[str] = set()
        equality = False
        for index, token in enumerate(self.tokens):
            if self._clauses[index] != "where" or token.kind not in (SYMBOL, WORD):
                continue
            text = token.upper
            if text in words.COMPARATORS:
                found = self._compared(index)
            elif text in words.WORD_COMPARATORS:
                found = self._left(index - 1)
            else:
                continue
            columns.update(found)
            if found and text in ("=", "IN"):
                equality = True
            if text in words.RANGES and self._kind(index + 1) in (*VALUES, SYMBOL):
                bounded.update(found)
        return Filter(frozenset(columns), equality, frozenset(bounded))

    def ordered(self) -> frozenset[str]:
        """Names that stand in ORDER BY clauses."""
        names = (
            _column(token)
            for token, clause in zip(self.tokens, self._clauses, strict=True)
            if clause == "order"
        )
        return frozenset(name for name in names if name)

    def _kind(self, index: int) -> int:
        return self.tokens[index].kind if 0 <= index < len(self.tokens) else -1

    def _text(self, index: int) -> str:
        return self.tokens[index].upper if 0 <= index < len(self.tokens) else ""

    def _compared(self, index: int) -> list[str]:
        """The columns on one side of a comparison whose other side is a value."""
        left = self._left(index - 1)
        if not left:
            return self._right(index + 1) if self._is_value(index - 1) else []
        right = self._kind(index + 1)
        if right == QUOTED or (
            right == WORD
            and self._text(index + 1) not in words.OPERANDS
            and self._text(index + 2) != "("
        ):
            return []  # a join condition
        return left

    def _skip(self, index: int) -> int:
        """Step left over what may follow a column: NOT, casts, collations, JSON paths, indexes."""
        while index > 0:
            before = self._text(index - 1)
            if self._text(index) == "NOT":
                index -= 1
            elif before in ("::", "COLLATE") or (
                before in ("->", "->>") and self._kind(index) in VALUES
            ):
                index -= 2
            elif self._text(index) == "]" and index in self._pairs:
                index = self._pairs[index] - 1
            else:
                break
        return index

    def _left(self, index: int) -> list[str]:
        """The columns of the operand that ends at `index`."""
        index = self._skip(index)
        if index < 0:
            return []
        if self._text(index) == ")":
            start = self._pairs.get(index)
            return [] if start is None else self._inside(start, index)
        name = _column(self.tokens[index])
        return [name] if name else []

    def _inside(self, start: int, end: int) -> list[str]:
        """Columns of `lower(email)` (the first one) or of the row value `(a, b)` (all)."""
        called = self._kind(start - 1) == WORD and self._text(start - 1) not in words.RESERVED
        names: list[str] = []
        for index in range(start + 1, min(end, start + 4 * _MOST_COLUMNS)):
            if self._text(index + 1) in (".", "(") or self._text(index - 1) == "::":
                continue
            if self._text(index) in ("SELECT", "=", "AND", "OR"):
                return []
            name = _column(self.tokens[index])
            if name:
                names.append(name)
                if called:
                    break
        return names[:_MOST_COLUMNS]

    def _is_value(self, index: int) -> bool:
        return self._kind(self._skip(index)) in VALUES

    def _right(self, index: int) -> list[str]:
        """The column in `? = orders.user_id` or `? = ANY (tags)`."""
        if self._text(index) in ("ANY", "SOME", "ALL") and self._text(index + 1) == "(":
            index += 2
        name = None
        while self._kind(index) in (WORD, QUOTED):
            name = _column(self.tokens[index])
            if self._text(index + 1) != ".":
                break
            index += 2
        return [name] if name and self._text(index + 1) != "(" else []

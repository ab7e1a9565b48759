"""Lists of values folded to one, so that their length does not make another shape."""

from __future__ import annotations

from typing import NamedTuple

from detectors.kit.shapes.lexer import PARAM, SYMBOL, VALUES, WORD, Token

CONSTANTS = frozenset(
    ("NULL", "TRUE", "FALSE", "DEFAULT", "DATE", "TIME", "TIMESTAMP", "INTERVAL", "ROW")
)
_CLOSER = {"(": ")", "[": "]"}
_DEEPEST = 4  # deeper lists are not folded: nobody writes them, and time stays linear
_MARK = Token(PARAM, "?", "?", spaced=False)


class Folded(NamedTuple):
    """Tokens with lists folded; `listed`: an IN or array of two or more, `rows`: most tuples."""

    tokens: list[Token]
    listed: bool
    rows: int


class _Group(NamedTuple):
    """A bracketed group: index behind it, size, whether all of them are plain values."""

    end: int
    size: int
    plain: bool


def _group(tokens: list[Token], start: int, *, whole: bool) -> _Group:
    """The group that opens at `start`; a truncated one ends with the text.

    Unless the `whole` group is asked for, reading stops where it proves not to be plain.
    """
    depth, count, plain, in_type, empty = 0, 1, True, False, True
    for index in range(start, len(tokens)):
        if not plain and not whole:
            return _Group(index, count, plain=False)
        token = tokens[index]
        text = token.text
        if token.kind in VALUES:
            empty = False
        elif token.kind != SYMBOL:
            empty = False
            plain = plain and (in_type or token.upper in CONSTANTS)
        elif text in "([":
            depth += 1
            plain = plain and depth <= _DEEPEST
        elif text in ")]":
            depth -= 1
            if depth == 0:
                return _Group(index + 1, count, plain and not empty)
        elif text == ",":
            count += depth == 1
            in_type = False
        elif text == "::":
            in_type = True
        else:
            plain = plain and (text in "+-" or (in_type and text == "."))
    return _Group(len(tokens), count, plain and not empty)


def _rows(tokens: list[Token], start: int) -> tuple[_Group, int, int]:
    """The tuples that follow VALUES at `start`: the first, the index behind all, their number."""
    first = _group(tokens, start, whole=True)
    end, count = first.end, 1
    while end < len(tokens) and tokens[end].text == "," and tokens[end].kind == SYMBOL:
        after = end + 1
        if after < len(tokens) and tokens[after].upper == "ROW":
            after += 1
        if after < len(tokens) and tokens[after].upper != "(":
            break
        end = _group(tokens, after, whole=True).end if after < len(tokens) else after
        count += 1
    return first, end, count


def _bracketed(opener: Token, *, spaced: bool) -> list[Token]:
    """One masked value in the brackets that `opener` opens."""
    closer = _CLOSER[opener.text]
    return [
        opener._replace(spaced=spaced),
        _MARK,
        Token(SYMBOL, closer, closer, False, closer),
    ]


def fold_lists(tokens: list[Token]) -> Folded:
    """Fold `IN (…)`, arrays and the tuples of VALUES to one element each.

    A tuple that holds more than plain values (a function, a subquery) is kept as the first one.
    """
    out: list[Token] = []
    listed, most, index = False, 1, 0
    while index < len(tokens):
        token = tokens[index]
        before = out[-1] if out else None
        word = before.upper if before is not None and before.kind == WORD else ""
        opens = token.kind == SYMBOL and token.text in "(["
        if opens and word in ("VALUES", "VALUE", "ROW") and token.text == "(":
            first, end, rows = _rows(tokens, index)
            most = max(most, rows)
            kept = tokens[index : first.end]
            out += _bracketed(token, spaced=True) if first.plain else kept
            index = end
            continue
        if opens and (word in ("IN", "ANY", "ALL", "SOME") or token.text == "["):
            group = _group(tokens, index, whole=False)
            if group.plain:
                listed = listed or group.size > 1
                out += _bracketed(token, spaced=word == "IN" or token.spaced)
                index = group.end
                continue
        out.append(token)
        index += 1
    return Folded(out, listed, most)

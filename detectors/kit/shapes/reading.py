"""What a statement is, in traits."""

from __future__ import annotations

from detectors.kit.shapes import words
from detectors.kit.shapes.clauses import Walk
from detectors.kit.shapes.lexer import NUMBER, PARAM, SYMBOL, VALUES, WORD, Token
from detectors.kit.shapes.lists import Folded
from detectors.kit.shapes.predicate import Filter
from detectors.kit.traits import Trait


def read_traits(
    walk: Walk,
    folded: Folded,
    filters: Filter,
    ordered: frozenset[str],
    system: str | None,
) -> Trait:
    """All traits of a statement from its folded tokens, tables and filters."""
    tokens = walk.tokens
    uppers = [token.upper for token in tokens]
    calls = frozenset(
        word
        for word, token, after in zip(uppers, tokens, uppers[1:], strict=False)
        if token.kind == WORD and after == "("
    )
    traits = _kind(walk, tokens, calls)
    if traits & Trait.WRITE and _is_multi_row(walk, folded):
        traits |= Trait.MULTI_ROW
    if _is_listed(uppers, calls, folded, traits):
        traits |= Trait.LISTED
    if _is_paged(tokens, uppers, filters, ordered, system):
        traits |= Trait.PAGED
    if _is_locking(uppers, calls):
        traits |= Trait.LOCKING
    if any(token.kind in VALUES for token in tokens):
        traits |= Trait.PARAMETERS
    if calls & words.VOLATILE_CALLS or not words.VOLATILE_WORDS.isdisjoint(uppers):
        traits |= Trait.VOLATILE
    return traits


def _kind(walk: Walk, tokens: list[Token], calls: frozenset[str]) -> Trait:
    """READ, WRITE, PING, CONTROL or DDL: what the statement is for."""
    if not tokens:
        return Trait.PING
    statement = walk.main()
    base = words.VERBS.get(statement.verb, Trait(0))
    if statement.verb in ("EXPLAIN", "DECLARE", "PREPARE") or base & Trait.DDL:
        return base
    if any(verb in words.WRITES for s in walk.statements for verb in s.verbs):
        return Trait.WRITE
    if statement.verb == "COPY":
        return Trait.WRITE if any(t.upper == "FROM" for t in tokens) else Trait.READ
    if not base & Trait.READ:
        return base
    tables = statement.tables
    if tables:
        first = tables[0].lower()
        catalogue = first.startswith(words.CATALOGUES) or first in words.CATALOGUE_TABLES
        return Trait.DDL if catalogue else base
    if "SET_CONFIG" in calls:
        return Trait.CONTROL
    if (
        statement.verb in ("SELECT", "VALUES")
        and calls <= words.PING_CALLS
        and _is_constant(tokens)
    ):
        return Trait.PING
    return base


def _is_constant(tokens: list[Token]) -> bool:
    """Whether a SELECT names nothing but constants and functions of the server itself."""
    before: Token | None = None
    for token in tokens:
        word = token.upper if token.kind == WORD else ""
        named = before is not None and (
            before.kind in VALUES or before.upper in ("AS", "::", ")", ".")
        )
        known = word in words.PING_WORDS | words.PING_CALLS or word.startswith("@@")
        if token.kind != SYMBOL and token.kind not in VALUES and not named and not known:
            return False
        before = token
    return True


def _is_multi_row(walk: Walk, folded: Folded) -> bool:
    """Several tuples, INSERT … SELECT … FROM, or a bulk load."""
    statement = walk.main()
    return (
        folded.rows > 1
        or statement.from_after_insert
        or statement.verb in ("COPY", "LOAD")
        or any(s.from_after_insert for s in walk.statements)
    )


def _is_listed(uppers: list[str], calls: frozenset[str], folded: Folded, traits: Trait) -> bool:
    """IN with two or more values, an array, or a table of values to join with."""
    if folded.listed or (traits & Trait.READ and (folded.rows > 1 or calls & words.ARRAY_CALLS)):
        return True
    return any(
        word in ("ANY", "SOME", "UNNEST") and after == "(" and then not in ("SELECT", "WITH")
        for word, after, then in zip(uppers, uppers[1:], uppers[2:], strict=False)
    )


def _skips_rows(tokens: list[Token], uppers: list[str]) -> bool:
    """Whether OFFSET, or MySQL's `LIMIT offset, count`, is a parameter or a number but 0."""
    for index, word in enumerate(uppers[:-1]):
        if word not in ("OFFSET", "LIMIT") or tokens[index].kind != WORD:
            continue
        value = tokens[index + 1]
        if word == "LIMIT" and (index + 2 >= len(uppers) or uppers[index + 2] != ","):
            continue
        if value.kind == PARAM or (value.kind == NUMBER and value.raw.strip("0")):
            return True
    return False


def _is_paged(
    tokens: list[Token],
    uppers: list[str],
    filters: Filter,
    ordered: frozenset[str],
    system: str | None,
) -> bool:
    """An offset, or a keyset: a limit, and an order whose own column is bounded by a value.

    SQLAlchemy renders an OFFSET on SQLite even for `.first()`: beside an equality it is no
    evidence there.
    """
    if _skips_rows(tokens, uppers) and not (system == "sqlite" and filters.equality):
        return True
    limited = not {"LIMIT", "TOP", "FETCH"}.isdisjoint(uppers)
    return limited and not filters.bounded.isdisjoint(ordered)


def _is_locking(uppers: list[str], calls: frozenset[str]) -> bool:
    """FOR UPDATE and its kin, lock hints, advisory locks, LOCK TABLE."""
    if calls & words.LOCK_CALLS or uppers[:1] == ["LOCK"]:
        return True
    if not words.LOCK_HINTS.isdisjoint(uppers):
        return True
    for index, word in enumerate(uppers):
        after = uppers[index + 1 : index + 4]
        if word == "FOR" and (
            after[:1] in (["UPDATE"], ["SHARE"])
            or after[:2] == ["KEY", "SHARE"]
            or after == ["NO", "KEY", "UPDATE"]
        ):
            return True
        if word == "LOCK" and after[:2] == ["IN", "SHARE"]:
            return True
    return False

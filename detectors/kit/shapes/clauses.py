"""Which tables a statement touches, verb by verb: a walk over its tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

from detectors.kit.shapes import words
from detectors.kit.shapes.lexer import QUOTED, SYMBOL, WORD, Token
from detectors.kit.traits import Trait

_QUOTES = '"`[]'
_NOTHING = Trait(0)
_WIDEST_SUMMARY = 255  # the limit that the conventions give for db.query.summary


def unquote(text: str) -> str:
    """An identifier without its quotes."""
    return text.strip(_QUOTES) if text[:1] in _QUOTES else text


def _expressions(tokens: list[Token]) -> frozenset[str]:
    """Upper-case names of the common table expressions, which are no tables."""
    if not any(token.upper == "WITH" for token in tokens):
        return frozenset()
    return frozenset(
        unquote(name.text).upper()
        for before, name, after in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if name.kind in (WORD, QUOTED)
        and (
            (before.upper in ("WITH", "RECURSIVE") and after.upper in ("AS", "("))
            or (before.text == "," and after.upper == "AS")
        )
        and name.upper != "RECURSIVE"
    )


@dataclass(slots=True)
class _Level:
    """What is being read inside one pair of parentheses."""

    clause: str = ""  # "", "from", "where", "order"
    verb: str = ""  # of the statement that this level is part of
    selecting: bool = False  # a SELECT whose FROM is still to come
    table_after: str = ""  # the word after which a table name is due


@dataclass(slots=True)
class Statement:
    """One statement of a text, as far as it was read."""

    verb: str = ""
    cte: bool = False  # WITH: the verb may be still to come
    written: str | None = None  # the table that the verb writes
    tables: list[str] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)  # of the summary
    from_after_insert: bool = False


class Walk:
    """Walks once over folded tokens; `clauses[i]` is the clause that token i stands in."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.clauses: list[str] = []
        self.statements = [Statement()]
        self._names = _expressions(tokens)
        self._levels = [_Level()]
        index = 0
        while index < len(tokens):
            behind = self._read(index)
            self.clauses += [self._levels[-1].clause] * (behind - index)
            index = behind

    def _read(self, index: int) -> int:
        """Read the token at `index`; the index behind what was read."""
        token = self.tokens[index]
        level = self._levels[-1]
        if token.kind == SYMBOL:
            self._symbol(token.text, level)
            return index + 1
        if level.table_after and token.kind in (WORD, QUOTED):
            return self._table(index, level)
        level.table_after = ""
        if token.kind == WORD:
            self._word(index, token.text.upper(), level)
        return index + 1

    def _symbol(self, text: str, level: _Level) -> None:
        if text == "(":
            # A condition in parentheses is still the condition, `FROM (a JOIN b)` still FROM.
            inherited = level.clause if level.clause in ("where", "order") else ""
            clause = "from" if level.table_after else inherited
            inner = _Level(clause, table_after=level.table_after)
            level.table_after = ""
            self._levels.append(inner)
        elif text == ")":
            if len(self._levels) > 1:
                self._levels.pop()
        elif text == ",":
            level.table_after = "FROM" if level.clause in ("from", "on") else ""
        elif text == ";":
            self._levels = [_Level()]
            self.statements.append(Statement())
        elif text != "*":
            level.table_after = ""

    def _word(self, index: int, word: str, level: _Level) -> None:
        statement = self.statements[-1]
        if not statement.verb and self._starts(index, word, level, statement):
            return
        if word == "SELECT":
            self._verb(index, statement)
            level.verb, level.selecting, level.clause = word, True, ""
        elif word in words.WRITES and self._is_head(index):
            self._verb(index, statement)
            level.verb, level.table_after, level.clause = word, word, ""
        elif word in ("FROM", "USING", "INTO", "JOIN", "STRAIGHT_JOIN"):
            self._from(index, word, level, statement)
        elif word == "WHERE":
            level.clause = "where"
        elif word == "ON" and level.clause == "from":
            level.clause = "on"
        elif word in words.CLAUSES:
            level.clause = "order" if word == "ORDER" else "other"

    def _starts(self, index: int, word: str, level: _Level, statement: Statement) -> bool:
        """Take the first verb of a statement; whether nothing else is to be done with it."""
        if word == "WITH":
            statement.cte = True
            return True
        if statement.cte:
            after = self.tokens[index + 1].upper if index + 1 < len(self.tokens) else ""
            named = after == "AS" or word not in words.VERBS
            if named or len(self._levels) > 1:
                return False
        statement.verb = word
        if word == "SELECT" or word in words.WRITES:
            return False
        self._verb(index, statement)
        if word in (
            "CREATE",
            "ALTER",
            "DROP",
            "TRUNCATE",
            "CALL",
            "EXEC",
            "COPY",
            "LOCK",
        ):
            level.table_after = word
        return True

    def _verb(self, index: int, statement: Statement) -> None:
        statement.verbs.append(self.tokens[index].text.upper())
        statement.parts.append(self.tokens[index].text)

    def _is_head(self, index: int) -> bool:
        """Whether a verb starts a statement here: `FOR UPDATE` and `replace(…)` do not."""
        before = self.tokens[index - 1].upper if index else ""
        after = self.tokens[index + 1].upper if index + 1 < len(self.tokens) else ""
        return before in ("", "(", ")", ";", "EXPLAIN", "ANALYZE", "BEGIN") and after != "("

    def _from(self, index: int, word: str, level: _Level, statement: Statement) -> None:
        before = self.tokens[index - 1].upper if index else ""
        if word == "FROM":
            # EXTRACT(YEAR FROM t) and IS DISTINCT FROM name no table.
            opened = level.selecting or (level.verb in words.WRITES and level.clause != "where")
            if not opened or before == "DISTINCT":
                return
            level.selecting = False
            if statement.verb == "INSERT" and len(self._levels) == 1:
                statement.from_after_insert = True
        elif word == "INTO" and level.selecting:
            return  # SELECT … INTO variable
        elif word == "USING" and before not in ("", ")") and level.clause == "from":
            after = self.tokens[index + 1].upper if index + 1 < len(self.tokens) else ""
            if after == "(":
                return  # JOIN b USING (column)
        level.table_after = word
        level.clause = "from" if word != "INTO" else level.clause

    def _table(self, index: int, level: _Level) -> int:
        """Take the table name that is due at `index`, or leave it when none stands there."""
        tokens, after = self.tokens, level.table_after
        word = tokens[index].upper
        follows = tokens[index + 1].kind in (WORD, QUOTED) if index + 1 < len(tokens) else False
        if after in ("CREATE", "ALTER", "DROP", "TRUNCATE", "LOCK"):
            if word in words.OBJECTS and follows:
                self.statements[-1].parts.append(tokens[index].text)
                return index + 1
            if word in words.OBJECT_MODIFIERS and follows:
                return index + 1
        if after == "DELETE" and word == "FROM":
            level.clause = "from"
            return index + 1
        if word in words.TABLE_MODIFIERS and follows and self._skips(index, word):
            return index + 1
        if word in ("SELECT", "WITH", "FROM", "SET", "VALUES"):
            level.table_after = ""
            self._word(index, word, level)
            return index + 1
        level.table_after = ""
        name, behind = self.dotted(index)
        opens = behind < len(tokens) and tokens[behind].text == "("
        if opens and after in ("FROM", "JOIN", "STRAIGHT_JOIN", "USING", "UPDATE"):
            return behind  # a function that returns rows
        self._record(name, after)
        return behind

    def _skips(self, index: int, word: str) -> bool:
        """Whether a modifier stands before the name: a table may itself be called `table`."""
        after = self.tokens[index + 1].upper
        return after not in words.CLAUSES | {
            "WHERE",
            "JOIN",
            "ON",
            "AS",
            "VALUES",
        } and (word != "TABLE" or self.tokens[index - 1].upper in ("INTO", "OVERWRITE", "COPY"))

    def _record(self, name: str, after: str) -> None:
        statement = self.statements[-1]
        if name.upper() in self._names or name.lower() in words.NO_TABLES:
            return
        if after in (*words.WRITES, "INTO") and statement.written is None:
            statement.written = name
        statement.tables.append(name)
        statement.parts.append(name)

    def dotted(self, index: int) -> tuple[str, int]:
        """The dotted name at `index`, unquoted, and the index behind it."""
        pieces = [unquote(self.tokens[index].text)]
        index += 1
        while index + 1 < len(self.tokens) and self.tokens[index].text == ".":
            if self.tokens[index + 1].text == ".":  # database..table
                pieces.append("")
                index += 1
                continue
            if self.tokens[index + 1].kind not in (WORD, QUOTED):
                break
            pieces.append(unquote(self.tokens[index + 1].text))
            index += 2
        return ".".join(pieces), index

    def main(self) -> Statement:
        """The statement that says what the text is for: `SET NOCOUNT ON; INSERT …` inserts."""
        read = [s for s in self.statements if s.verb]
        working = (s for s in read if s.verb not in words.VERBS or int(words.VERBS[s.verb]) & 0b11)
        return next(working, read[0] if read else self.statements[0])

    def summary(self) -> str:
        """The operations and tables in the order of the text, at most 255 characters."""
        summary = ""
        for part in (p for s in self.statements for p in s.parts):
            longer = f"{summary} {part}" if summary else part
            if len(longer) > _WIDEST_SUMMARY:
                break
            summary = longer
        return summary

"""What holds for every text: nothing raises, shapes are fixed points, time is linear."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from detectors.kit.shapes import cache, document
from detectors.kit.shapes.lexer import dialect_of
from detectors.kit.shapes.sql import sanitize, shape_statement
from detectors.kit.shapes.url import template_path

SYSTEMS = st.sampled_from([None, "postgresql", "mysql", "mssql", "sqlite", "oracle", "clickhouse"])
PIECES = st.sampled_from(
    [
        *(
            "SELECT",
            "FROM",
            "WHERE",
            "IN",
            "VALUES",
            "INSERT INTO",
            "UPDATE",
            "SET",
            "AND",
            "OR",
        ),
        *(
            "t",
            "t1",
            "a.b",
            '"q"',
            "`q`",
            "[q]",
            "'x'",
            "'it''s'",
            "E'\\'",
            "$$d$$",
            "$1",
            "%s",
        ),
        *(
            "?",
            ":n",
            "@p",
            "%(n)s",
            "1",
            "-1",
            "+2",
            "1.5e-3",
            ".5",
            "0xF",
            "=",
            "<",
            ">",
            "::int",
        ),
        *(
            "(",
            ")",
            ",",
            ";",
            "[",
            "]",
            "-",
            "--",
            "/*",
            "*/",
            "#",
            "\\",
            "'",
            '"',
            "`",
            "$",
            "@",
        ),
        *(
            "ARRAY",
            "ANY",
            "LIMIT",
            "OFFSET",
            "WITH",
            "AS",
            "JOIN",
            "ON",
            "NOT",
            "%",
            ":",
            ".",
            "\n",
        ),
    ]
)
SQL_LIKE = st.lists(st.tuples(PIECES, st.sampled_from(["", " ", "  "])), max_size=30).map(
    lambda pairs: "".join(piece + space for piece, space in pairs)
)


@given(st.text() | SQL_LIKE, SYSTEMS)
@settings(max_examples=300, deadline=None)
def test_shaping_never_raises(text: str, system: str | None) -> None:
    shape = shape_statement(text, system)
    assert len(shape.summary) <= 255
    sanitize(text, system)


@given(SQL_LIKE, SYSTEMS)
@settings(max_examples=500, deadline=None)
def test_a_shape_is_its_own_shape(text: str, system: str | None) -> None:
    shape = shape_statement(text, system).shape
    # What is guessed from the text of a comment or literal cannot be guessed from its shape.
    assume(dialect_of(text, system) == dialect_of(shape, system))
    assert shape_statement(shape, system).shape == shape


@given(
    st.text() | SQL_LIKE,
    st.text(),
    st.sampled_from(["redis", "memcached", "mongodb", "x"]),
)
@settings(max_examples=200, deadline=None)
def test_the_other_shapers_never_raise(text: str, name: str, system: str) -> None:
    cache.shape_command(text, name, system, None)
    cache.shape_command(text, name, system, 3)
    document.shape_command(system, name, text, None)
    document.shape_command(system, None, text, name)
    url = template_path(text)
    assert template_path(url.template).template.count("/") == url.template.count("/")


LARGE = {
    "IN list": f"SELECT a FROM t WHERE id IN ({', '.join(map(str, range(20_000)))})",
    "rows": f"INSERT INTO t VALUES {','.join(['(1, %s)'] * 12_000)}",
    "columns": f"SELECT {', '.join(f'a{n}.b{n}' for n in range(9_000))} FROM t",
    "conditions": f"SELECT a FROM t WHERE {' OR '.join(['(b = 1 AND c = 2)'] * 5_000)}",
    "brackets": "[" * 100_000,
    "nested lists": "IN (" * 25_000,
    "quotes": "'" * 100_001,
    "escapes": "\\'" * 50_000,
    "dollar quotes": "$$a" * 33_000,
    "tags": "$a" * 50_000,
    "comments": "/*" * 50_000,
    "dashes": "--" * 50_000,
    "placeholders": "%(" * 50_000,
    "calls": f"SELECT a FROM t WHERE {'f(' * 20_000}x{')' * 20_000} = 1",
}


@pytest.mark.parametrize("name", LARGE)
def test_large_statements_take_linear_time(name: str) -> None:
    started = time.process_time()
    shape_statement(LARGE[name], "postgresql")
    # Measured 0.1-0.6 s on a slow machine; a quadratic step takes minutes.
    assert time.process_time() - started < 5


@pytest.mark.parametrize("text", ["/1" * 50_000, "?a=" * 30_000, "?a=1&b" * 20_000, "a" * 100_000])
def test_large_urls_and_commands_take_linear_time(text: str) -> None:
    started = time.process_time()
    template_path(text)
    cache.shape_command(text.replace("/", " "), "GET", "redis", None)
    document.shape_command("mongodb", "find", '{"a": [' + text, None)
    assert time.process_time() - started < 5

"""The shapes that the native decoder makes itself are the reference's.

URLs and cache commands are compared as they are. Of statements and document commands the native
decoder makes a form: equal forms must have equal shapes, and the values must be the reference's.
"""

from __future__ import annotations

import dataclasses
import os
import random
import re
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decode.databases import CACHES, DOCUMENTS
from collector.decode.facets import SEPARATOR
from collector.decode.lexicon import lexicon
from detectors.kit.shapes.cache import shape_command as shape_cache
from detectors.kit.shapes.document import shape_command as shape_document
from detectors.kit.shapes.lexer import NAMED
from detectors.kit.shapes.model import Shape
from detectors.kit.shapes.sql import shape_statement
from detectors.kit.shapes.url import template_path
from support.recordings import recorded_texts

if find_spec("spanlint_native") is None and not os.environ.get("CI"):
    pytest.skip("the native decoder is not built; ./dev setup tells why", allow_module_level=True)

import spanlint_native  # noqa: E402

ODD = ["\n", " ", "\t", "\x1c", "\u00a0", "\u2028", "\u0665"]
"""What scripts other than ours have for spaces and digits."""

SHAPES = spanlint_native.Shapes(lexicon())
SYSTEMS = st.sampled_from(["other", *sorted(NAMED)])
Form = tuple[str, bytes]


def glued(pieces: str, between: list[str], most: int) -> st.SearchStrategy[str]:
    """Pieces in any order with something between them; `␣` is a space in one, `⏎` a line end."""
    drawn = [p.replace("␣", " ").replace("⏎", "\n") for p in pieces.split()]
    pair = st.tuples(st.sampled_from([*drawn, *ODD]), st.sampled_from(between))
    return st.lists(pair, max_size=most).map(lambda pairs: "".join(a + b for a, b in pairs))


PATHS = glued(
    r"""
    users orders v1 v2beta1 V1.2 api page Page health status up 5 007 4711 item-4711 user5
    users5 oauth2 s3 a@b.c %20
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    0192f7a4-5a1c-7e0b-9d53-4be1a7c2d001 deadbeefdeadbeef aBcDeFgHiJkLmNoPqRsT 2fa 2024-01-02
    1.5 a.json 5.json 5.tar.gz 5:archive Users(5) f(x,y) () {id} :id <int:id> * $x ^a café
    grpc.health.v1.Health http:// HTTPS://u:p@Host:80 x+y://h :// a=5 b page=2 a[3]=5 a[] [7]
    offset=x =5 12345 #frag ;m=5 ; ⏎ ␣ x.y~z+w,v abc1 abc12 .
    """,
    ["", "", "/", "/", "/", "?", "&", "-", "."],
    14,
)


@given(PATHS | st.text(st.characters(max_codepoint=127)) | st.text())
@settings(max_examples=300, deadline=None)
def test_urls(text: str) -> None:
    found = SHAPES.url(text)
    if found is None:
        assert not text.isascii()
        return
    url = template_path(text)
    template, ids, count, host, *told = found
    assert (template, host) == (url.template, url.host)
    assert (ids, count) == (SEPARATOR.join(url.ids), len(url.ids))
    assert told == [url.has_query, url.paged, url.health]


COMMANDS = glued(
    r"""
    GET get MGET SET HMGET DEL EVAL EXPIRE LPUSH PING Set gets user:5 user:{5}.x a:b|c/d#e
    session:0192f7a4-5a1c-7e0b-9d53-4be1a7c2d001 k ? EX px 60 NX [2␣other␣arguments]
    [1␣other␣argument] [x␣other␣arguments] [ café:5 MULTI multi pipeline PIPELINE
    redis.pipelined pipelines {} {5} get_multi delete cas a@b.c
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx users5
    """,
    [" ", " ", " ", "\n", "\r\n", "", "  ", "\t", ":"],
    12,
)
NAMES = st.sampled_from(
    ["GET", "pipeline", "PIPELINED x", "multi get", "redis.pipeline", "multis", "x y"]
)


@given(COMMANDS, NAMES | st.text(), st.sampled_from(sorted(CACHES)), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_commands(text: str, name: str, system: str, length: int) -> None:
    if not text.strip():
        return
    found = SHAPES.command(text, name, system, length)
    if found is None:
        assert not (text + name).isascii()
        return
    shape = shape_cache(text, name, system, length or None)
    operation = shape.operation or ""
    assert found == (operation, shape.key, shape.template, shape.traits, shape.commands)


class Forms:
    """Forms that were met, and the shape of each: it must not depend on what a form leaves out."""

    def __init__(self) -> None:
        self.met: dict[Any, Shape] = {}

    def check(self, key: Any, read: tuple[bytes, str | None] | None, shape: Shape) -> bool:
        """Whether there is a form; fails when it is that of another shape, or the values differ."""
        if read is None:
            return False
        form, literals = read
        bare = dataclasses.replace(shape, literals=None)
        assert self.met.setdefault((key, form), bare) == bare
        if shape.literals is not None:
            assert literals == SEPARATOR.join(shape.literals)
        return True


STATEMENTS = Forms()
SQL = glued(
    r"""
    SELECT FROM WHERE IN VALUES INSERT␣INTO UPDATE SET AND ROW ANY t t1 a.b "q" "q␣5" `q` [q]
    [q␣5] [5] x$y a#b #t ##t @@v 'x' 'it''s' 'café' 'a\'b' E'\'' N'x' x'ff' _utf8'x' q'[x]'
    u&'x' $1 %s ? ?1 :n :1 @p %(n)s %b $$d$$ $a$d$a$ $x {n:UInt8} { 1 -1 +2 1.5e-3 1e 2e+ .5 0
    00 0xF 1_0 5. 1.2.3 9a = < <=> <> != !~* ~ || ::int ->> -> := :: ! % & ( ) , ; [ ] - + --
    --␣c⏎ /* */ /*␣c␣*/ #␣c⏎ # * ' " ` $ @ : . \ ⏎ café (1,␣2,␣3) (?,␣?) (1,2),(3,4)
    (1,␣now()),␣(2,␣3) ('a',␣NULL,␣DATE␣'2024-01-01') ARRAY[1,␣2] ARRAY LIMIT OFFSET␣0 OFFSET␣5
    LIMIT␣5,␣10 WITH AS JOIN ON SAVEPOINT "s139_x2" FETCH CURSOR DECLARE␣c1 DEALLOCATE BETWEEN
    LIKE date
    """,
    ["", " ", " ", " ", "  ", "\n"],
    30,
)


@given(SQL, SYSTEMS)
@settings(max_examples=500, deadline=None)
def test_statements(text: str, system: str) -> None:
    STATEMENTS.check(system, SHAPES.statement(text, system), shape_statement(text, system))


SLOTS = {
    "N": ["0", "7", "-3", "1.5", "4711", "2e-3", "0x1F", "+5", ".25", "12345678901234567890", "00"],
    "S": [
        "'x'",
        "'it''s'",
        "''",
        "'caf\u00e9 \U0001f600'",
        "'a\\\\b'",
        "E'a\\'b'",
        "N'x'",
        "'--'",
        "'/*'",
    ],
    "L": [
        "(1)",
        "(1, 2)",
        "(-1,2 , 3.5)",
        "('a','b')",
        "(NULL, 5)",
        "(1, '2'::text)",
        "((1, 2), (3, 4))",
    ],
    "R": [
        "(1, 'a')",
        "(1,'a'), (2,'b')",
        "(1, 'a'), (2, 'b'), (-3, 'c')",
        "(1, NULL)",
        "(now(), 5), (6, 7)",
    ],
    "C": ["", " /* c */", "/*traceparent='00-4bf9'*/", " -- c\n", "\n  "],
}
TEMPLATES = [
    "SELECT a FROM t WHERE b = N AND c = S LIMIT N OFFSET NC",
    "C SELECT * FROM t WHERE id IN L AND x > N C",
    "INSERT INTO t (a, b) VALUES R ON CONFLICT DO NOTHING",
    "UPDATE t SET a = N, b = S, c = c - N, d = c -N WHERE id = N;",
    "SELECT t.a, t.b->>S FROM t WHERE a BETWEEN N AND N AND b::int[N] = ANY(ARRAY[N, N])",
    "DELETE FROM t WHERE a = S OR (b, c) IN L",
    'SELECT f(N, N, S) FROM [t N] WHERE `x N` = "y N" AND date S < N',
    "WITH q AS (SELECT N) SELECT * FROM q, t WHERE q.a = t.b AND t.c IN L",
    "SELECT * FROM t WHERE a = ? AND b IN (?, ?, ?) AND c = N",
]


@given(st.sampled_from(TEMPLATES), SYSTEMS, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_statements_that_differ_in_values(template: str, system: str, dice: random.Random) -> None:
    def drawn() -> str:
        return re.sub(r"\b[NSLRC]\b|C$|^C", lambda m: dice.choice(SLOTS[m[0]]), template)

    for text in (drawn(), drawn(), drawn()):
        STATEMENTS.check(system, SHAPES.statement(text, system), shape_statement(text, system))


def mutated(text: str, dice: random.Random) -> str:
    """The text with other literals, cut off, or with something in its middle."""
    text = re.sub(r"\d+", lambda _: str(dice.randrange(10 ** dice.randrange(1, 12))), text)
    text = re.sub(r"'[^']*'", lambda _: dice.choice(SLOTS["S"]), text)
    at = dice.randrange(len(text) + 1)
    odd = dice.choice(["'", '"', "\u00e9", "$$", "--", "/*", "?", "5", "(", "\x00", "]", "{"])
    return dice.choice([text, text, text[:at], text[:at] + odd + text[at:]])


@given(st.randoms(use_true_random=False), SYSTEMS)
@settings(max_examples=300, deadline=None)
def test_recorded_statements(dice: random.Random, system: str) -> None:
    text = mutated(dice.choice(recorded_texts("db.statement", "db.query.text")), dice)

    STATEMENTS.check(system, SHAPES.statement(text, system), shape_statement(text, system))
    if text.strip():
        found = SHAPES.command(text, "GET", "redis", 0)
        if found is not None:
            assert found[1] == shape_cache(text, "GET", "redis", None).key


@given(st.randoms(use_true_random=False))
@settings(max_examples=500, deadline=None)
def test_recorded_urls(dice: random.Random) -> None:
    names = ("url.full", "http.url", "http.target", "url.path", "http.route")
    text = mutated(dice.choice(recorded_texts(*names)), dice)
    found = SHAPES.url(text)
    if found is not None:
        url = template_path(text)
        assert found[:2] == (url.template, SEPARATOR.join(url.ids))


def test_what_applications_send_has_a_form() -> None:
    """The reference is not asked for plain statements with other values."""
    for text in (
        "SELECT a FROM t WHERE b = 5 AND c = 'x' AND d IN (1, 2, 3) LIMIT 10 OFFSET 20",
        "INSERT INTO t (a, b) VALUES (1, 'caf\u00e9'), (2, NULL) /* traceparent='00-1' */",
        'SELECT "t"."a" FROM "t" WHERE "t"."b" = $1 AND c = %s AND d = ? AND e = :e AND f = @f',
        "UPDATE t SET a = a + 1, b = E'\\n', c = '{\"x\": 5}'::jsonb WHERE id = -7.5e3;",
    ):
        assert SHAPES.statement(text, "postgresql") is not None
    met = STATEMENTS.met
    assert len(met) > 100


DOCUMENT = Forms()
DOCUMENTED = glued(
    r"""
    find getMore insert skip _search GET
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa a$b x.y w "find" 'filter' "q"
    "$in" "a␣b" "?" "x\"y" 'it\'s' "café" café 5 -1 1.5e-3 ? true null "5" "a:b" [1,␣2,␣3]
    ["a","b"] [1,␣"?"] [?] { } [ ] : , ( ) / $ " ' \ ⏎ [1,␣[2]] ObjectId
    {"find":␣"t",␣"filter":␣{"a":␣5}} {"a":␣[1,␣2]} {a:␣1} "filter":␣{ "a":␣ a:␣
    """,
    ["", " ", " ", "  "],
    14,
)


@given(
    DOCUMENTED,
    st.sampled_from(sorted(DOCUMENTS)),
    st.sampled_from([None, "find", "GetItem", "x/elasticsearch.search"]),
    st.sampled_from([None, "t"]),
)
@settings(max_examples=500, deadline=None)
def test_documents(text: str, system: str, operation: str | None, collection: str | None) -> None:
    read = SHAPES.document(text)
    shape = shape_document(system, operation, text, collection)

    DOCUMENT.check((system, operation, collection), read, shape)


def test_plain_documents_have_a_form() -> None:
    forms = set()
    for values in ("1, 2, 3", "7", "8"):
        text = f'{{"find": "t", "filter": {{"_id": {{"$in": [{values}]}}, "a": "x{values}"}}}}'
        read = SHAPES.document(text)
        assert read is not None
        forms.add(read[0])
    assert len(forms) == 1

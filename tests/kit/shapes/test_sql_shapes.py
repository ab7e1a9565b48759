"""SQL statements as drivers and ORMs write them, and what their shapes say."""

from __future__ import annotations

import pytest

from detectors.kit.shapes.sql import Shape, sanitize, shape_statement
from detectors.kit.traits import Trait

PG, MYSQL, MSSQL, SQLITE, ORACLE = "postgresql", "mysql", "mssql", "sqlite", "oracle"

# system, statement, shape, operation, target, predicate, literals
STATEMENTS: list[tuple[str | None, str, str, str | None, str | None, str | None, object]] = [
    # psycopg, asyncpg, SQLAlchemy, Django
    (PG, "SELECT name FROM users WHERE id = %s", "SELECT name FROM users WHERE id = ?",
     "SELECT", "users", "id", None),
    (PG, "SELECT name FROM users WHERE id = $1", "SELECT name FROM users WHERE id = ?",
     "SELECT", "users", "id", None),
    (PG, "SELECT u.id \nFROM users AS u \nWHERE u.id = %(id_1)s::INTEGER",
     "SELECT u.id FROM users AS u WHERE u.id = ?::INTEGER", "SELECT", "users", "id", None),
    (PG, "SELECT u.id FROM users u WHERE u.id IN ($1::INTEGER, $2::INTEGER)",
     "SELECT u.id FROM users u WHERE u.id IN (?)", "SELECT", "users", "id", None),
    (PG, "SELECT o.id FROM orders o WHERE %(param_1)s::INTEGER = o.user_id",
     "SELECT o.id FROM orders o WHERE ?::INTEGER = o.user_id", "SELECT", "orders", "user_id",
     None),
    (PG, 'SELECT "users"."id" FROM "users" WHERE "users"."id" = %s LIMIT 21',
     'SELECT "users"."id" FROM "users" WHERE "users"."id" = ? LIMIT ?', "SELECT", "users", "id",
     None),
    (PG, "SELECT * FROM t WHERE id=3", "SELECT * FROM t WHERE id=?", "SELECT", "t", "id", ("3",)),
    (PG, "select k, v from settings;", "select k, v from settings", "SELECT", "settings", None,
     ()),
    # MySQL: backticks, inlined values, double-quoted text, comments to the end of the line
    (MYSQL, "SELECT `u`.`id` FROM `shop`.`users` `u` WHERE `u`.`name` = 'O\\'Neil' # who",
     "SELECT `u`.`id` FROM `shop`.`users` `u` WHERE `u`.`name` = ?", "SELECT", "shop.users",
     "name", ("'O\\'Neil'",)),
    (MYSQL, 'SELECT a FROM t WHERE n = "Ann"', "SELECT a FROM t WHERE n = ?", "SELECT", "t", "n",
     ('"Ann"',)),
    (MYSQL, 'SELECT "t"."a" FROM "t" WHERE "t"."n" = ?',
     'SELECT "t"."a" FROM "t" WHERE "t"."n" = ?', "SELECT", "t", "n", None),
    (None, 'SELECT `a` FROM `t` WHERE `n` = "secret"', "SELECT `a` FROM `t` WHERE `n` = ?",
     "SELECT", "t", "n", ('"secret"',)),
    (MYSQL, "INSERT IGNORE INTO t (a) VALUES (1), (NULL), (-3)",
     "INSERT IGNORE INTO t (a) VALUES (?)", "INSERT", "t", None, ("1", "-3")),
    (MYSQL, "SELECT 5--3 FROM t", "SELECT ?-? FROM t", "SELECT", "t", None, ("5", "-3")),
    # SQL Server, Oracle, SQLite, ClickHouse
    (MSSQL, "SELECT TOP(1) [u].[Id] FROM [dbo].[Users] AS [u] WHERE [u].[Id] = @__p_0",
     "SELECT TOP(?) [u].[Id] FROM [dbo].[Users] AS [u] WHERE [u].[Id] = ?", "SELECT",
     "dbo.Users", "id", None),
    (MSSQL, "SET NOCOUNT ON; INSERT INTO [T] ([A]) OUTPUT INSERTED.[Id] VALUES (@p0);",
     "SET NOCOUNT ON; INSERT INTO [T] ([A]) OUTPUT INSERTED.[Id] VALUES (?)", "INSERT", "T", None,
     None),
    (MSSQL, "SELECT * FROM db..t WHERE n = N'x'", "SELECT * FROM db..t WHERE n = ?", "SELECT",
     "db..t", "n", ("N'x'",)),
    (ORACLE, "SELECT a FROM t WHERE b = :1 AND c = :name", "SELECT a FROM t WHERE b = ? AND c = ?",
     "SELECT", "t", "b, c", None),
    (ORACLE, "SELECT q'[it's]' FROM t", "SELECT ? FROM t", "SELECT", "t", None, ("q'[it's]'",)),
    (SQLITE, "SELECT a FROM t WHERE b = ?1", "SELECT a FROM t WHERE b = ?", "SELECT", "t", "b",
     None),
    ("clickhouse", "SELECT a FROM t WHERE b = {id:UInt32}", "SELECT a FROM t WHERE b = ?",
     "SELECT", "t", "b", None),
    # literals
    (PG, "SELECT $$it's$$, $x$a $$ b$x$ FROM t", "SELECT ?, ? FROM t", "SELECT", "t", None,
     ("$$it's$$", "$x$a $$ b$x$")),
    (PG, r"SELECT E'a\'b' FROM t WHERE c = 'C:\'", "SELECT ? FROM t WHERE c = ?", "SELECT", "t",
     "c", (r"E'a\'b'", r"'C:\'")),
    (PG, "SELECT x'1F', 0x1F, 1_000, .5, 1e-5 FROM t", "SELECT ?, ?, ?, ?, ? FROM t", "SELECT",
     "t", None, ("x'1F'", "0x1F", "1_000", ".5", "1e-5")),
    (PG, "SELECT -1, +2, a-3, a - 4 FROM t WHERE b = -5", ("SELECT ?, ?, a-?, a - ? FROM t "
     "WHERE b = ?"), "SELECT", "t", "b", ("-1", "+2", "3", "4", "-5")),
    (PG, "SELECT 99+100", "SELECT ??", "SELECT", None, None, ("99", "+100")),
    (PG, "SELECT c3 FROM t1 JOIN a.t2x ON t1.id = t2x.id", ("SELECT c3 FROM t1 JOIN a.t2x ON "
     "t1.id = t2x.id"), "SELECT", "t1", None, ()),
    (MYSQL, "SELECT a FROM logs.2021_01 WHERE b = 1", "SELECT a FROM logs.2021_01 WHERE b = ?",
     "SELECT", "logs.2021_01", "b", ("1",)),
    (PG, "SELECT a FROM t WHERE b = 'my secr", "SELECT a FROM t WHERE b = ?", "SELECT", "t", "b",
     ("'my secr",)),
    (PG, "SELECT a FROM t WHERE b IN ('x', 'y', 'se", "SELECT a FROM t WHERE b IN (?)", "SELECT",
     "t", "b", ("'x'", "'y'", "'se")),
    (PG, "SELECT a FROM t WHERE b = $tag$ cut", "SELECT a FROM t WHERE b = ?", "SELECT", "t", "b",
     ("$tag$ cut",)),
    # comments and whitespace
    (PG, "/* route='/x' */ SELECT a\n\tFROM t -- end\nWHERE b = %s /*traceparent='00-1'*/",
     "SELECT a FROM t WHERE b = ?", "SELECT", "t", "b", None),
    (PG, "SELECT/**/a FROM t /* never closed", "SELECT a FROM t", "SELECT", "t", None, ()),
    (PG, "SELECT f( a , b ) FROM t", "SELECT f(a, b) FROM t", "SELECT", "t", None, ()),
    # structure
    (PG, "WITH r AS (SELECT * FROM a WHERE x = $1), s AS (SELECT 1) SELECT * FROM r JOIN s",
     "WITH r AS (SELECT * FROM a WHERE x = ?), s AS (SELECT ?) SELECT * FROM r JOIN s", "SELECT",
     "a", "x", None),
    (PG, "WITH d AS (DELETE FROM q WHERE id = $1 RETURNING *) SELECT * FROM d",
     "WITH d AS (DELETE FROM q WHERE id = ? RETURNING *) SELECT * FROM d", "SELECT", "q", "id",
     None),
    (PG, "SELECT a FROM t WHERE b = 1 UNION ALL SELECT a FROM u WHERE c = 2",
     "SELECT a FROM t WHERE b = ? UNION ALL SELECT a FROM u WHERE c = ?", "SELECT", "t", "b, c",
     ("1", "2")),
    (PG, "SELECT EXTRACT(YEAR FROM d) FROM t WHERE a IS DISTINCT FROM $1",
     "SELECT EXTRACT(YEAR FROM d) FROM t WHERE a IS DISTINCT FROM ?", "SELECT", "t", "a", None),
    (PG, "SELECT * FROM f(1, b) x, t", "SELECT * FROM f(?, b) x, t", "SELECT", "t", None, ("1",)),
    (PG, "SELECT a FROM t, u WHERE t.id = u.id AND lower(u.mail) = %s AND t.n::text LIKE %s",
     "SELECT a FROM t, u WHERE t.id = u.id AND lower(u.mail) = ? AND t.n::text LIKE ?", "SELECT",
     "t", "mail, n", None),
    (PG, "SELECT a FROM t WHERE (b, c) IN ((1, 2), (3, 4)) AND d BETWEEN 1 AND 2 AND e IS NULL",
     "SELECT a FROM t WHERE (b, c) IN (?) AND d BETWEEN ? AND ? AND e IS NULL", "SELECT", "t",
     "b, c, d, e", ("1", "2", "3", "4", "1", "2")),
    (PG, "SELECT a FROM t WHERE doc->>'k' = %s AND NOT (x = 1 OR y NOT IN (2))",
     "SELECT a FROM t WHERE doc->>? = ? AND NOT (x = ? OR y NOT IN (?))", "SELECT", "t",
     "doc, x, y", None),
    (PG, "SELECT a FROM t WHERE b IN (SELECT c FROM u WHERE d = 1)",
     "SELECT a FROM t WHERE b IN (SELECT c FROM u WHERE d = ?)", "SELECT", "t", "b, d", ("1",)),
    # writes
    (PG, "INSERT INTO t(a,b) VALUES (%s,%s) ON CONFLICT (a) DO UPDATE SET b = EXCLUDED.b",
     "INSERT INTO t(a, b) VALUES (?) ON CONFLICT (a) DO UPDATE SET b = EXCLUDED.b", "INSERT", "t",
     None, None),
    (PG, "INSERT INTO t VALUES (now(), %s), (now(), %s)", "INSERT INTO t VALUES (now(), ?)",
     "INSERT", "t", None, None),
    (SQLITE, "INSERT OR REPLACE INTO t VALUES (1)", "INSERT OR REPLACE INTO t VALUES (?)",
     "INSERT", "t", None, ("1",)),
    (PG, "UPDATE ONLY s.t SET a = a + 1 WHERE id = 7", "UPDATE ONLY s.t SET a = a + ? WHERE id = ?",
     "UPDATE", "s.t", "id", ("1", "7")),
    (PG, "DELETE FROM t WHERE id = ANY(%s)", "DELETE FROM t WHERE id = ANY(?)", "DELETE", "t",
     "id", None),
    (MSSQL, ("MERGE INTO t USING (VALUES (1),(2)) AS s(a) ON t.a = s.a WHEN MATCHED THEN "
     "UPDATE SET b = 1"), ("MERGE INTO t USING (VALUES (?)) AS s(a) ON t.a = s.a WHEN MATCHED THEN "
     "UPDATE SET b = ?"), "MERGE", "t", None, ("1", "2", "1")),
    ("cockroachdb", "UPSERT INTO t VALUES ($1)", "UPSERT INTO t VALUES (?)", "UPSERT", "t", None,
     None),
    # the rest
    (PG, "CALL refresh(1)", "CALL refresh(?)", "CALL", "refresh", None, ("1",)),
    (PG, "EXPLAIN SELECT a FROM t", "EXPLAIN SELECT a FROM t", "EXPLAIN", "t", None, ()),
    (PG, 'SAVEPOINT "s139_x2"', "SAVEPOINT ?", "SAVEPOINT", None, None, ()),
    (PG, 'FETCH FORWARD 100 FROM "_django_curs_12_sync_1"', "FETCH FORWARD ? FROM ?", "FETCH",
     None, None, ("100",)),
    (None, "", "", None, None, None, ()),
]  # fmt: skip

R, W, P = Trait.READ, Trait.WRITE, Trait.PARAMETERS
TRAITS: list[tuple[str | None, str, Trait]] = [
    (PG, "SELECT a FROM t", R),
    (PG, "SELECT a FROM t WHERE b = $1 FOR NO KEY UPDATE", R | P | Trait.LOCKING),
    (MYSQL, "SELECT a FROM t LOCK IN SHARE MODE", R | Trait.LOCKING),
    (MSSQL, "SELECT a FROM t WITH (UPDLOCK)", R | Trait.LOCKING),
    (PG, "SELECT a FROM t WHERE b IN (%s)", R | P),
    (PG, "SELECT a FROM t WHERE b IN (%s, %s)", R | P | Trait.LISTED),
    (PG, "SELECT a FROM t WHERE b = ANY($1)", R | P | Trait.LISTED),
    (PG, "SELECT a FROM t WHERE b = ANY(SELECT c FROM u)", R),
    (PG, "SELECT a FROM t JOIN unnest($1) x ON x = a", R | P | Trait.LISTED),
    # paging, and what is not
    (PG, "SELECT a FROM t LIMIT 1", R | P),
    (PG, "SELECT a FROM t LIMIT 20 OFFSET 0", R | P),
    (PG, "SELECT a FROM t LIMIT 20 OFFSET 40", R | P | Trait.PAGED),
    (MYSQL, "SELECT a FROM t LIMIT 40, 20", R | P | Trait.PAGED),
    (MYSQL, "SELECT a FROM t LIMIT 0, 20", R | P),
    (MSSQL, "SELECT a FROM t ORDER BY a OFFSET @p ROWS FETCH NEXT @q ROWS ONLY",
     R | P | Trait.PAGED),
    (PG, "SELECT a FROM t WHERE id > %s ORDER BY id LIMIT 9", R | P | Trait.PAGED),
    (PG, "SELECT a FROM t WHERE (d, id) < (%s, %s) ORDER BY d DESC, id DESC LIMIT 9",
     R | P | Trait.PAGED),
    (PG, "SELECT a FROM t WHERE u = %s AND d > %s ORDER BY rank LIMIT 9", R | P),
    (PG, "SELECT a FROM t WHERE id > %s ORDER BY id", R | P),
    (SQLITE, "SELECT a FROM t WHERE id = ? LIMIT ? OFFSET ?", R | P),
    (SQLITE, "SELECT a FROM t LIMIT ? OFFSET ?", R | P | Trait.PAGED),
    # pings, session settings, catalogue
    (PG, "SELECT 1", Trait.PING | P),
    (PG, "select 1 as x", Trait.PING | P),
    (ORACLE, "SELECT 1 FROM DUAL", Trait.PING | P),
    (None, "", Trait.PING),
    (PG, "-- ping", Trait.PING),
    ("db2", "VALUES 1", Trait.PING | P),
    (PG, "select pg_catalog.version()", Trait.PING),
    (PG, "select current_schema()", Trait.PING),
    (PG, "SELECT CAST('x' AS VARCHAR(60)) AS anon_1", Trait.PING | P),
    (PG, "SELECT users.id, users.na", R),
    (PG, "SELECT price_of($1)", R | P),
    (PG, "show standard_conforming_strings", Trait.CONTROL),
    (PG, "SELECT set_config('TimeZone', %s, false)", Trait.CONTROL | P),
    (PG, "BEGIN;", Trait.CONTROL),
    (SQLITE, "PRAGMA foreign_keys=ON", Trait.CONTROL),
    (PG, "DISCARD ALL", Trait.CONTROL),
    (PG, "CREATE TABLE t (a int)", Trait.DDL),
    (PG, "TRUNCATE TABLE t", Trait.DDL),
    (PG, "SELECT relname FROM pg_catalog.pg_class WHERE relname = $1", Trait.DDL | P),
    (SQLITE, "SELECT name FROM sqlite_master", Trait.DDL),
    (MYSQL, "SELECT * FROM information_schema.tables", Trait.DDL),
    # writes
    (PG, "INSERT INTO t VALUES (%s)", W | P),
    (PG, "INSERT INTO t VALUES (%s), (%s)", W | P | Trait.MULTI_ROW),
    (PG, "INSERT INTO t SELECT a FROM u", W | Trait.MULTI_ROW),
    (PG, "INSERT INTO t (a) SELECT %s WHERE NOT EXISTS (SELECT 1 FROM t WHERE a = %s)", W | P),
    (PG, "COPY t (a) FROM STDIN", W | Trait.MULTI_ROW),
    (PG, "COPY t TO STDOUT", R),
    (PG, "DELETE FROM t WHERE id IN (1, 2)", W | P | Trait.LISTED),
    (MSSQL, "BEGIN INSERT INTO t VALUES (1) END", W | P),
    (PG, "WITH d AS (DELETE FROM q RETURNING *) SELECT * FROM d", W),
    (PG, "UPDATE t SET a = now() WHERE id = 1", W | P | Trait.VOLATILE),
    (PG, "SELECT nextval('s')", R | P | Trait.VOLATILE),
    (PG, "SELECT a FROM t WHERE d < CURRENT_DATE", R | Trait.VOLATILE),
    (PG, "FETCH 10 FROM c", R | P | Trait.CURSOR),
    (PG, "CALL f()", Trait(0)),
]  # fmt: skip

SUMMARIES = [
    ("SELECT * FROM a JOIN s.b ON a.x = s.b.x, c", "SELECT a s.b c"),
    ("INSERT INTO a SELECT x FROM b", "INSERT a SELECT b"),
    ("create unique index i on t (a)", "create index i"),
    ("DELETE FROM a USING b WHERE a.x = b.x", "DELETE a b"),
    ("REPLACE INTO a VALUES (1)", "REPLACE a"),
    ("SELECT replace(a, 'x', 'y') FROM t FOR UPDATE", "SELECT t"),
]


@pytest.mark.parametrize("case", STATEMENTS, ids=lambda case: case[1][:50])
def test_statement(
    case: tuple[str | None, str, str, str | None, str | None, str | None, object],
) -> None:
    system, text, shape, operation, target, predicate, literals = case
    got = shape_statement(text, system)
    assert got.shape == shape
    assert (got.operation, got.target, got.predicate) == (operation, target, predicate)
    assert got.literals == literals


@pytest.mark.parametrize(("system", "text", "traits"), TRAITS, ids=lambda v: str(v)[:50])
def test_traits(system: str | None, text: str, traits: Trait) -> None:
    assert Trait(shape_statement(text, system).traits) == traits


@pytest.mark.parametrize(("text", "summary"), SUMMARIES)
def test_summary(text: str, summary: str) -> None:
    assert shape_statement(text, None).summary == summary


def test_summary_ends_at_255_characters_between_tables() -> None:
    text = "SELECT 1 FROM " + ", ".join(f"table_number_{n}" for n in range(100))
    summary = shape_statement(text, PG).summary
    assert len(summary) <= 255
    assert summary.split()[-1] in text.replace(",", "").split()


def test_lists_of_any_length_are_one_shape() -> None:
    def shapes(lists: list[str], before: str) -> set[str]:
        return {shape_statement(before + text, PG).shape for text in lists}

    lists = [
        "(%s)",
        "(%s, %s)",
        "(%(a)s::INT,%(b)s::INT)",
        "(1, 'x', NULL)",
        "( 1 , -2 )",
    ]
    assert shapes(lists, "SELECT a FROM t WHERE b IN ") == {"SELECT a FROM t WHERE b IN (?)"}
    rows = ["(%s, %s)", "(%s, %s), (%s, %s)", "(1,2),(3,4),(5,", "(1, DEFAULT)"]
    assert shapes(rows, "INSERT INTO t VALUES ") == {"INSERT INTO t VALUES (?)"}
    arrays = ["ARRAY[1]", "ARRAY[1, 2]", "ARRAY[$1, $2, $3]"]
    assert shapes(arrays, "SELECT a FROM t WHERE b && ") == {"SELECT a FROM t WHERE b && ARRAY[?]"}


def test_sqlcommenter_does_not_make_shapes() -> None:
    texts = [f"SELECT a FROM t /*traceparent='00-{n:032x}-01'*/" for n in range(3)]
    assert len({shape_statement(text, PG) for text in texts}) == 1


def test_masked_statement_of_the_java_agent_is_the_shape_of_its_source() -> None:
    raw: Shape = shape_statement("SELECT a FROM t WHERE b = 'x' AND c = 5", PG)
    masked = shape_statement("SELECT a FROM t WHERE b = ? AND c = ?", PG)
    assert raw.shape == masked.shape
    assert (raw.literals, masked.literals) == (("'x'", "5"), None)


def test_sanitize_keeps_everything_but_values_and_comments() -> None:
    text = "SELECT  a,\n b FROM t /* c */ WHERE x IN (1,  2)\n  AND y = 'z'"
    assert sanitize(text) == "SELECT  a,\n b FROM t  WHERE x IN (?,  ?)\n  AND y = ?"

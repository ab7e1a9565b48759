"""psycopg without an ORM: statements as a person writes them, and the shapes that are no N+1."""

import os

import psycopg
from fastapi import FastAPI

from live.apps.serving import serve

app = FastAPI()
URL = os.environ["DATABASE_URL"]
ROWS = 60


@app.get("/lazy")
def lazy(n: int) -> int:
    with psycopg.connect(URL) as db:
        books = db.execute("SELECT id, author_id FROM raw_books ORDER BY id LIMIT %s", (n,))
        for _, author in books.fetchall():
            db.execute("SELECT name FROM raw_authors WHERE id = %s", (author,)).fetchone()
    return n


@app.get("/literals")
def literals(n: int) -> int:
    with psycopg.connect(URL) as db:
        for author in range(1, n + 1):
            db.execute(f"SELECT name FROM raw_authors WHERE id = {author}").fetchone()
    return n


@app.get("/joined")
def joined(n: int) -> int:
    with psycopg.connect(URL) as db:
        return len(
            db.execute(
                "SELECT b.id, a.name FROM raw_books b JOIN raw_authors a ON a.id = b.author_id LIMIT %s",
                (n,),
            ).fetchall()
        )


@app.get("/paged")
def paged(n: int) -> int:
    with psycopg.connect(URL) as db:
        for page in range(n):
            db.execute(
                "SELECT id, author_id FROM raw_books ORDER BY id LIMIT 5 OFFSET %s", (page * 5,)
            ).fetchall()
    return n


@app.get("/chunked")
def chunked(n: int) -> int:
    with psycopg.connect(URL) as db:
        for chunk in range(n):
            ids = [chunk * 5 + i for i in range(5)]
            db.execute(
                "SELECT name FROM raw_authors WHERE id IN (%s, %s, %s, %s, %s)", ids
            ).fetchall()
    return n


@app.get("/rows")
def rows(n: int) -> int:
    with psycopg.connect(URL) as db, db.cursor() as cursor:
        for i in range(n):
            cursor.execute("INSERT INTO raw_items (name) VALUES (%s)", (f"item {i}",))
    return n


@app.get("/executemany")
def executemany(n: int) -> int:
    with psycopg.connect(URL) as db, db.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO raw_items (name) VALUES (%s)", [(f"item {i}",) for i in range(n)]
        )
    return n


if __name__ == "__main__":
    with psycopg.connect(URL) as setup:
        setup.execute("CREATE TABLE raw_authors (id int PRIMARY KEY, name text)")
        setup.execute("CREATE TABLE raw_books (id int PRIMARY KEY, author_id int)")
        setup.execute("CREATE TABLE raw_items (name text)")
        setup.execute(f"INSERT INTO raw_authors SELECT i, 'a' FROM generate_series(1, {ROWS}) i")
        setup.execute(f"INSERT INTO raw_books SELECT i, i FROM generate_series(1, {ROWS}) i")
    serve(app)

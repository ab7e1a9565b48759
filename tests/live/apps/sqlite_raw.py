"""sqlite3 of the standard library: cursors are traced."""

import sqlite3
import tempfile
from pathlib import Path

from fastapi import FastAPI

from live.apps.serving import serve

app = FastAPI()
FILE = Path(tempfile.mkdtemp()) / "shop.sqlite"


@app.get("/lazy")
def lazy(n: int) -> int:
    db = sqlite3.connect(FILE)
    cursor = db.cursor()
    for (author,) in cursor.execute("SELECT author_id FROM books LIMIT ?", (n,)).fetchall():
        cursor.execute("SELECT name FROM authors WHERE id = ?", (author,)).fetchone()
    db.close()
    return n


@app.get("/joined")
def joined(n: int) -> int:
    db = sqlite3.connect(FILE)
    found = db.cursor().execute(
        "SELECT a.name FROM books b JOIN authors a ON a.id = b.author_id LIMIT ?", (n,)
    )
    names = found.fetchall()
    db.close()
    return len(names)


@app.get("/rows")
def rows(n: int) -> int:
    db = sqlite3.connect(FILE)
    cursor = db.cursor()
    for i in range(n):
        cursor.execute("INSERT INTO items VALUES (?)", (i,))
    db.commit()
    db.close()
    return n


@app.get("/executemany")
def executemany(n: int) -> int:
    db = sqlite3.connect(FILE)
    db.cursor().executemany("INSERT INTO items VALUES (?)", [(i,) for i in range(n)])
    db.commit()
    db.close()
    return n


if __name__ == "__main__":
    setup = sqlite3.connect(FILE)
    setup.executescript(
        "CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT);"
        "CREATE TABLE books (id INTEGER PRIMARY KEY, author_id INTEGER);"
        "CREATE TABLE items (n INTEGER);"
    )
    setup.executemany("INSERT INTO authors VALUES (?, 'a')", [(i,) for i in range(20)])
    setup.executemany("INSERT INTO books VALUES (?, ?)", [(i, i) for i in range(20)])
    setup.commit()
    setup.close()
    serve(app)

"""asyncpg: its cursor makes a span per row that it hands out, which is one query all the same."""

import asyncio
import os

import asyncpg
from fastapi import FastAPI

from live.apps.serving import serve

app = FastAPI()
URL = os.environ["DATABASE_URL"]


@app.get("/fetchrow")
async def fetchrow(n: int) -> int:
    db = await asyncpg.connect(URL)
    for i in range(n):
        await db.fetchrow("SELECT name FROM apg_users WHERE id = $1", i)
    await db.close()
    return n


@app.get("/prepared")
async def prepared(n: int) -> int:
    db = await asyncpg.connect(URL)
    statement = await db.prepare("SELECT name FROM apg_users WHERE id = $1")
    for i in range(n):
        await statement.fetchval(i)
    await db.close()
    return n


@app.get("/cursor")
async def cursor(n: int) -> int:
    db = await asyncpg.connect(URL)
    seen = 0
    async with db.transaction():
        async for _ in db.cursor("SELECT id, name FROM apg_users ORDER BY id", prefetch=n):
            seen += 1
    await db.close()
    return seen


@app.get("/fetch")
async def fetch(n: int) -> int:
    db = await asyncpg.connect(URL)
    found = await db.fetch("SELECT name FROM apg_users WHERE id = ANY($1::int[])", list(range(n)))
    await db.close()
    return len(found)


@app.get("/executemany")
async def executemany(n: int) -> int:
    db = await asyncpg.connect(URL)
    await db.executemany("INSERT INTO apg_items VALUES ($1)", [(i,) for i in range(n)])
    await db.close()
    return n


@app.get("/rows")
async def rows(n: int) -> int:
    db = await asyncpg.connect(URL)
    async with db.transaction():
        for i in range(n):
            await db.execute("INSERT INTO apg_items VALUES ($1)", i)
    await db.close()
    return n


async def setup() -> None:
    db = await asyncpg.connect(URL)
    await db.execute("CREATE TABLE apg_users (id int PRIMARY KEY, name text)")
    await db.execute("CREATE TABLE apg_items (id int)")
    await db.execute("INSERT INTO apg_users SELECT i, 'u' FROM generate_series(0, 39) i")
    await db.close()


if __name__ == "__main__":
    asyncio.run(setup())
    serve(app)

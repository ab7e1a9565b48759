"""The storefront: books, orders, checkout, home page, each in a bad and a good form."""

from __future__ import annotations

import os

import httpx
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from collector.demo import work
from collector.demo.store import Book, Setting, session

app = FastAPI(title="shop")


@app.get("/books/lazy")
def books_lazy(n: int) -> list[str]:
    """N101: touching `book.author` loads it, once per book."""
    with session() as db:
        books = db.scalars(select(Book).order_by(Book.id).limit(n)).all()
        return [f"{book.title} by {book.author.name}" for book in books]


@app.get("/books/eager")
def books_eager(n: int) -> list[str]:
    """One query more, whatever the number of books."""
    with session() as db:
        query = select(Book).options(selectinload(Book.author)).order_by(Book.id).limit(n)
        return [f"{book.title} by {book.author.name}" for book in db.scalars(query).all()]


@app.get("/shelf")
def shelf(n: int) -> list[str]:
    """As `/books/lazy`, until the fix is deployed: `SHOP_SHELF=eager`."""
    return books_eager(n) if os.environ.get("SHOP_SHELF") == "eager" else books_lazy(n)


@app.get("/orders/each")
def orders_each(n: int) -> list[str]:
    """N102: one call to the catalogue per product."""
    with httpx.Client(base_url=os.environ["CATALOGUE_URL"]) as client:
        return [client.get(f"/products/{i}").json()["name"] for i in range(1, n + 1)]


@app.get("/orders/bulk")
def orders_bulk(n: int) -> list[str]:
    """One call with all ids."""
    ids = ",".join(str(i) for i in range(1, n + 1))
    with httpx.Client(base_url=os.environ["CATALOGUE_URL"]) as client:
        return [p["name"] for p in client.get("/products", params={"ids": ids}).json()]


@app.post("/checkout/each")
def checkout_each(n: int) -> int:
    """N105: one message per order line."""
    for line in range(n):
        work.index_line.delay(line)
    return n


@app.post("/checkout/batch")
def checkout_batch(n: int) -> int:
    """One message that carries them all."""
    work.index_lines.delay(list(range(n)))
    return n


def _currency(db: Session) -> str:
    return db.execute(select(Setting.key, Setting.value)).tuples().all()[0][1]


@app.get("/home/asking")
def home_asking(n: int) -> list[str]:
    """N106: each of five parts of the page asks for the settings itself."""
    with session() as db:
        return [f"part {part} of {n} in {_currency(db)}" for part in range(5)]


@app.get("/home/once")
def home_once(n: int) -> list[str]:
    """Asked once, handed on."""
    with session() as db:
        currency = _currency(db)
        return [f"part {part} of {n} in {currency}" for part in range(5)]

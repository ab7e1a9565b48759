"""The catalogue: products, one or many, and their import in a bad and a good form."""

from __future__ import annotations

from fastapi import FastAPI
from sqlalchemy import insert, select

from collector.demo.store import Product, session

app = FastAPI(title="catalogue")


@app.get("/products/{product_id}")
def product(product_id: int) -> dict[str, str]:
    """One product."""
    with session() as db:
        return {"name": db.scalars(select(Product).where(Product.id == product_id)).one().name}


@app.get("/products")
def products(ids: str) -> list[dict[str, str]]:
    """Many products, with one query."""
    wanted = [int(i) for i in ids.split(",")]
    with session() as db:
        found = db.scalars(select(Product).where(Product.id.in_(wanted))).all()
        return [{"name": p.name} for p in found]


@app.post("/import/rows")
def import_rows(n: int) -> int:
    """N104: a statement and a commit per row."""
    with session() as db:
        for i in range(n):
            db.execute(insert(Product).values(name=f"Imported {i}"))
            db.commit()
    return n


@app.post("/import/batch")
def import_batch(n: int) -> int:
    """One executemany, one commit."""
    with session() as db:
        db.execute(insert(Product), [{"name": f"Imported {i}"} for i in range(n)])
        db.commit()
    return n

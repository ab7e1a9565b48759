"""SQLAlchemy over psycopg: lazy, eager and joined loading, single and bulk writes."""

import os

from fastapi import FastAPI
from sqlalchemy import ForeignKey, create_engine, insert, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
)

from live.apps.serving import serve

app = FastAPI()
engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"))


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "orm_authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship(back_populates="author")


class Book(Base):
    __tablename__ = "orm_books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("orm_authors.id"))
    author: Mapped[Author] = relationship(back_populates="books")


@app.get("/many-to-one")
def many_to_one(n: int) -> list[str]:
    with Session(engine) as db:
        return [b.author.name for b in db.scalars(select(Book).order_by(Book.id).limit(n))]


@app.get("/one-to-many")
def one_to_many(n: int) -> list[int]:
    with Session(engine) as db:
        return [len(a.books) for a in db.scalars(select(Author).order_by(Author.id).limit(n))]


@app.get("/get")
def by_key(n: int) -> list[str]:
    with Session(engine) as db:
        return [db.get_one(Author, i).name for i in range(1, n + 1)]


@app.get("/selectin")
def selectin(n: int) -> list[int]:
    with Session(engine) as db:
        query = select(Author).options(selectinload(Author.books)).order_by(Author.id).limit(n)
        return [len(a.books) for a in db.scalars(query)]


@app.get("/joined")
def joined(n: int) -> list[str]:
    with Session(engine) as db:
        query = select(Book).options(joinedload(Book.author)).order_by(Book.id).limit(n)
        return [b.author.name for b in db.scalars(query)]


@app.get("/flushes")
def flushes(n: int) -> int:
    with Session(engine) as db:
        for _ in range(n):
            db.add(Author(name="one"))
            db.flush()
        db.commit()
    return n


@app.get("/unit-of-work")
def unit_of_work(n: int) -> int:
    with Session(engine) as db:
        db.add_all(Author(name="many") for _ in range(n))
        db.commit()
    return n


@app.get("/bulk")
def bulk(n: int) -> int:
    with Session(engine) as db:
        db.execute(insert(Author), [{"name": "bulk"} for _ in range(n)])
        db.commit()
    return n


if __name__ == "__main__":
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as setup:
        setup.add_all(Author(name=f"Author {i}", books=[Book(), Book()]) for i in range(15))
        setup.commit()
        for number, book in enumerate(setup.scalars(select(Book).order_by(Book.id)).all()):
            book.author_id = number % 15 + 1
        setup.commit()
    serve(app)

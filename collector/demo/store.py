"""The tables of the shop, and what is in them. PostgreSQL or SQLite, as SHOP_DATABASE_URL says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from sqlalchemy import Engine, ForeignKey, create_engine, make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

ROWS = 20
"""Books, authors and products at the start: more than any request asks for."""


class Base(DeclarativeBase):
    """All tables."""


class Author(Base):
    """Who wrote a book; every book has an author of its own, as far as possible from a cache."""

    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Book(Base):
    """A book, whose author is loaded when touched unless the query asks for it."""

    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    author: Mapped[Author] = relationship()


class Product(Base):
    """What the catalogue sells."""

    __tablename__ = "products"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Setting(Base):
    """What the shop is configured with."""

    __tablename__ = "settings"
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


@cache
def engine() -> Engine:
    """The engine of this process; made when first used, after instrumentation is in place."""
    return create_engine(os.environ["SHOP_DATABASE_URL"])


def session() -> Session:
    """A session of its own for a request."""
    return Session(engine())


def fill(url: str) -> None:
    """Create the tables in an empty database and put rows into them."""
    target = create_engine(url)
    Base.metadata.create_all(target)
    with Session(target) as db:
        db.add_all(Author(id=i, name=f"Author {i}") for i in range(1, ROWS + 1))
        db.flush()
        db.add_all(Book(id=i, title=f"Book {i}", author_id=i) for i in range(1, ROWS + 1))
        db.add_all(Product(name=f"Product {i}") for i in range(1, ROWS + 1))
        db.add(Setting(key="currency", value="EUR"))
        db.commit()
    target.dispose()


def with_driver(url: str) -> str:
    """`postgresql://…` as SQLAlchemy wants it for psycopg; other URLs as they are."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@contextmanager
def schema(url: str) -> Iterator[str]:
    """A schema `spanlint_demo` in somebody's database, dropped afterwards; gives a URL into it.

    Raises sqlalchemy.exc.SQLAlchemyError when the database cannot be used.
    """
    admin = create_engine(with_driver(url))
    drop = text("DROP SCHEMA IF EXISTS spanlint_demo CASCADE")
    try:
        with admin.begin() as db:
            db.execute(drop)
            db.execute(text("CREATE SCHEMA spanlint_demo"))
        inside = make_url(url).update_query_dict({"options": "-csearch_path=spanlint_demo"})
        yield inside.render_as_string(hide_password=False)
        with admin.begin() as db:
            db.execute(drop)
    finally:
        admin.dispose()

"""All forms of the zoo, and the rows of recordings that were made elsewhere."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from zoo.forms import caches, failures, messages, polyglot, state
from zoo.model import Expect, Form, Kind, expect

HERE = Path(__file__).parent
DATA = HERE.parent / "data"
LIVE, SHARED = DATA / "zoo_live", DATA / "zoo"

FORMS: tuple[Form, ...] = (
    *caches.FORMS,
    *state.FORMS,
    *failures.FORMS,
    *messages.FORMS,
    *polyglot.FORMS,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the matrix: what must be said of a recording, and what may be."""

    name: str
    kind: Kind
    what: str
    expects: tuple[Expect, ...]
    allows: tuple[str, ...]


def row_of(form: Form) -> Row:
    return Row(form.name, form.kind, form.what, tuple(map(expect, form.expects)), form.allows)


def shared_rows() -> tuple[Row, ...]:
    """The rows of `verdicts.toml`, for the recordings in tests/data/zoo."""
    told = tomllib.loads((HERE / "verdicts.toml").read_text())
    return tuple(
        Row(
            name,
            "bad" if row.get("expects") else "good",
            row["what"],
            tuple(map(expect, row.get("expects", ()))),
            tuple(row.get("allows", ())),
        )
        for name, row in told.items()
    )

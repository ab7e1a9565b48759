"""Text as stable 64-bit codes, with a bounded table to read them back.

The code of a text is its XXH3 64-bit hash: the same in every process, version and language, so that
facts of different processes merge by comparing numbers. (Polars' own `hash()` differs between
versions and dtypes.)

The table keeps two generations. When the young one is full it becomes the old one, and the old
one is forgotten; a text still in use is carried over the next time it is coded. Whoever keeps
codes in a cache of its own watches `generation` and starts the cache anew when it moves, or the
texts behind its codes would be forgotten under it.

One thread codes and learns; any thread reads (`text`, `select`, `len`) meanwhile, without a lock.
"""

from __future__ import annotations

from collections.abc import Iterable

from xxhash import xxh3_64_intdigest

MAX_TEXT_CHARS = 2_000
"""A longer text is kept shortened; its code is that of the whole."""


def code(text: str) -> int:
    """The stable 64-bit code of `text`, never 0."""
    return xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) or 1


class Texts:
    """Codes and their texts, two bounded generations."""

    def __init__(self, max_texts: int = 100_000, max_chars: int = 16_000_000) -> None:
        self._max_texts = max_texts
        self._max_chars = max_chars
        self._codes: dict[str, int] = {}
        self._young: dict[int, str] = {}
        self._old: dict[int, str] = {}
        self._chars = 0
        self.generation = 0

    def code(self, text: str) -> int:
        """The code of `text`; remembers the text."""
        known = self._codes.get(text)
        return known if known is not None else self._learn(text)

    def _learn(self, text: str) -> int:
        if len(self._young) >= self._max_texts or self._chars >= self._max_chars:
            self._rotate()
        value = code(text)
        kept = text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "…"
        if kept is text:
            self._codes[text] = value
        self._young[value] = kept
        self._chars += len(kept)
        return value

    def _rotate(self) -> None:
        # In this order: who reads the young ones, then the old ones, finds a young text in between.
        self._old = self._young
        self._young = {}
        self._codes = {}
        self._chars = 0
        self.generation += 1

    def text(self, value: int | None) -> str | None:
        """The text behind a code, or None when it was never seen here or is forgotten."""
        if value is None:
            return None
        found = self._young.get(value)
        return found if found is not None else self._old.get(value)

    def learn_all(self, pairs: dict[int, str]) -> None:
        """Take over code -> text pairs from another process or a native decoder."""
        for value, text in pairs.items():
            if len(self._young) >= self._max_texts or self._chars >= self._max_chars:
                self._rotate()
            if value not in self._young:
                self._young[value] = text
                self._chars += len(text)

    def select(self, values: Iterable[int]) -> dict[int, str]:
        """The texts of those codes that are known."""
        return {v: t for v in values if (t := self.text(v)) is not None}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

"""What survives a restart: findings, counters and lasting facts, in one sqlite file.

A counter is shown only after it was committed, so that a killed process starts again from what was
last shown: no counter ever goes down. Without a file everything is kept in memory.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

Labels = tuple[str, ...]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS findings (fingerprint TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS counters (
    name TEXT NOT NULL, labels TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (name, labels)
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, body BLOB NOT NULL);
"""
OTHER = "other"
STAGE_SECONDS, STAGE_RUNS = "spanlint_stage_seconds", "spanlint_stage_runs"
"""Wall seconds and runs of a stage of the flow; label: its name."""
_LASTING = "lasting"


class StateError(Exception):
    """The state file cannot be used: says which, and why."""


class Store:
    """The sqlite file, or nothing when `path` is empty."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._db = _open(path) if path else None

    def findings(self) -> list[bytes]:
        """Bodies of all findings that were saved."""
        if self._db is None:
            return []
        with self._lock:
            return [row[0] for row in self._db.execute("SELECT body FROM findings")]

    def counters(self) -> dict[tuple[str, Labels], float]:
        """All counters that were saved."""
        if self._db is None:
            return {}
        with self._lock:
            rows = self._db.execute("SELECT name, labels, value FROM counters").fetchall()
        return {(n, tuple(msgspec.json.decode(labels))): value for n, labels, value in rows}

    def save_findings(self, bodies: Mapping[str, bytes], gone: Iterable[str]) -> None:
        """Saves findings by fingerprint and forgets others."""
        if self._db is not None:
            with self._lock, self._db:
                self._db.executemany("REPLACE INTO findings VALUES (?, ?)", bodies.items())
                removed = [(f,) for f in gone]
                self._db.executemany("DELETE FROM findings WHERE fingerprint = ?", removed)

    def save_counters(self, values: Mapping[tuple[str, Labels], float]) -> None:
        """Saves the values of counters."""
        if self._db is not None and values:
            rows = [
                (n, msgspec.json.encode(labels).decode(), v) for (n, labels), v in values.items()
            ]
            with self._lock, self._db:
                self._db.executemany("REPLACE INTO counters VALUES (?, ?, ?)", rows)

    def facts(self) -> bytes | None:
        """The facts that were saved last (`detectors.kit.wire`)."""
        if self._db is None:
            return None
        with self._lock:
            row = self._db.execute("SELECT body FROM facts WHERE name = ?", (_LASTING,)).fetchone()
        return row[0] if row else None

    def save_facts(self, body: bytes) -> None:
        """Saves facts in the place of those before."""
        if self._db is not None:
            with self._lock, self._db:
                self._db.execute("REPLACE INTO facts VALUES (?, ?)", (_LASTING, body))

    @property
    def lasts(self) -> bool:
        """Whether anything is kept at all."""
        return self._db is not None

    def close(self) -> None:
        """Gives the file free."""
        if self._db is not None:
            self._db.close()


def _open(path: str) -> sqlite3.Connection:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=0.2, check_same_thread=False)
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing, a dead host may
        db.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        if "locked" in str(error):
            raise StateError(f"{path}: another spanlint uses this state file") from None
        raise StateError(f"{path}: {error}") from None
    return db


class Counters:
    """Counters that never go down. Any thread adds; `committed` is what may be shown.

    A metric has at most `max_series` label sets; further ones are added up under `other`.
    """

    def __init__(self, store: Store, max_series: int) -> None:
        self._store = store
        self._max_series = max_series
        self._lock = threading.Lock()
        self._values = store.counters()
        self._dirty: set[tuple[str, Labels]] = set()
        self._committed = dict(self._values)
        self._series: dict[str, int] = {}
        for name, _ in self._values:
            self._series[name] = self._series.get(name, 0) + 1

    def add(self, name: str, labels: Labels, amount: float) -> None:
        """Adds to a counter; amounts below or at zero are nothing."""
        if amount <= 0:
            return
        with self._lock:
            key = self._key(name, labels)
            self._values[key] = self._values.get(key, 0) + amount
            self._dirty.add(key)

    def spent(self, stage: str, seconds: float) -> None:
        """A run of a stage of the flow took so long; see `stages.timed`."""
        self.add(STAGE_SECONDS, (stage,), seconds)
        self.add(STAGE_RUNS, (stage,), 1)

    def _key(self, name: str, labels: Labels) -> tuple[str, Labels]:
        key = (name, labels)
        if key in self._values or not labels:
            return key
        if self._series.get(name, 0) >= self._max_series:
            capped = ("spanlint_series_capped_total", (name,))
            self._values[capped] = self._values.get(capped, 0) + 1
            self._dirty.add(capped)
            return (name, (OTHER,) * len(labels))
        self._series[name] = self._series.get(name, 0) + 1
        return key

    def commit(self) -> dict[tuple[str, Labels], float]:
        """Saves what changed and gives the values that may be shown."""
        with self._lock:
            changed = {key: self._values[key] for key in self._dirty}
            self._dirty.clear()
            self._store.save_counters(changed)
            self._committed.update(changed)
            return dict(self._committed)

    def value(self, name: str, labels: Labels = ()) -> float:
        """The present value of one counter."""
        return self._values.get((name, labels), 0)

"""What a spool takes and gives."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized
    from types import TracebackType

    import polars as pl

PARTITIONS = 64


class Spool(ABC):
    """Takes spans of any traces, gives slabs of whole traces. Use as a context manager.

    Args:
        budget_bytes: spans kept in memory before they go to disk.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.rows = 0
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Takes the folder away."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def on_disk(self) -> bool:
        """Whether the budget was passed."""
        return self._folder is not None

    @property
    def folder(self) -> Path:
        """Where partitions are; there from the first question on."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="spanlint-"))
        return self._folder

    @abstractmethod
    def add(self, spans: Sized) -> None:
        """Takes spans of any traces, in any order, as a decoder gives them."""

    @abstractmethod
    def slabs(self, rows: int) -> Iterator[pl.DataFrame]:
        """Frames of whole traces, about so many rows each; call once, at the end."""

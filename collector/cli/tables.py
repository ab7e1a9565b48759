"""Tables and text on standard output, for people and for `awk`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns aligned by spaces; ends in a newline."""
    lines = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return "".join(f"{line}\n" for line in padded)


def say(text: str) -> None:
    """Text on standard output, as UTF-8 whatever the locale says."""
    sys.stdout.buffer.write(text.encode())
    sys.stdout.flush()

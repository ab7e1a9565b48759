"""Draws docs/demo.svg, the README's picture: runs the demo, keeps the first findings and the table.

.venv/bin/python docs/demo_picture.py
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from collector.demo.run import Plan, Told, demo
from collector.demo.show import show

WIDTH = 118
SHOWN = 2


def main(path: str) -> None:
    """Runs the demo once and writes the picture to `path`."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    with demo(Plan(admin_port=9777), Told()) as outcome:
        outcome.findings.sort(key=lambda finding: str(finding["code"]))
        show(outcome, console, most=SHOWN)
    picture = console.export_svg(title="./dev demo", theme=MONOKAI, unique_id="demo")
    Path(path).write_text(picture)


if __name__ == "__main__":
    main(sys.argv[1])

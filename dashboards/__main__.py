"""Rebuilds `dashboards/generated/`: `python -m dashboards [--docs URL] [--into FOLDER]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from dashboards.common import REPOSITORY
from dashboards.files import RUNBOOK, generated, runbook_page

_HERE = Path(__file__).parent / "generated"


def main() -> None:
    """Writes all files; those that are not generated any more are removed."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--docs", default=REPOSITORY, help="base URL that runbooks are under")
    parser.add_argument("--into", type=Path, default=_HERE, help="folder to write to")
    chosen = parser.parse_args()
    files = generated(chosen.docs.rstrip("/"))
    for old in chosen.into.rglob("*"):
        if old.is_file() and str(old.relative_to(chosen.into)) not in files:
            old.unlink()
    if chosen.into == _HERE:
        (_HERE.parents[1] / RUNBOOK).write_text(runbook_page(), "utf-8")
    for name, text in files.items():
        path = chosen.into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

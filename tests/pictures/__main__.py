"""`./dev pictures`: draws every dashboard from real data, for review and for docs/pictures.

`--into FOLDER` writes elsewhere; `--keep` leaves everything running afterwards, to look around.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from collector.demo.backing import NotStarted
from pictures import parts
from pictures.browser import Page, browser
from pictures.drawing import BOARDS, WIDTH, Look, drawn, small
from pictures.story import SCRAPE_S, Story, running

TOP = 1000
"""Pixels of *Findings* that the README shows."""
DOCS = Path(__file__).parents[2] / "docs" / "pictures"
_STARTED = time.monotonic()


def main() -> int:
    """Runs it; 1 when a panel is empty."""
    parser = argparse.ArgumentParser(prog="./dev pictures", description=__doc__)
    parser.add_argument("--into", type=Path, default=DOCS, help="folder to write to")
    parser.add_argument("--keep", action="store_true", help="go on until Ctrl-C")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, _ended)
    folder = Path(tempfile.mkdtemp(prefix="spanlint-pictures-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        page = stack.enter_context(browser(folder))
        story = stack.enter_context(running(folder, say))
        say(f"spanlint {story.served.admin}  Prometheus {story.prometheus.url}")
        story.tell()
        site = folder / "page"
        site.mkdir()
        empty = list(_pictures(page, parts.page(site), story, chosen.into))
        if chosen.keep:
            say("Ctrl-C ends it")
            signal.pause()
    for panel in empty:
        say(f"empty: {panel}")
    return 1 if empty else 0


def _pictures(page: Page, url: str, story: Story, into: Path) -> Iterator[str]:
    """Takes them; gives the panels that show nothing."""
    into.mkdir(parents=True, exist_ok=True)
    everything = Look(story.prometheus.url, story.started, story.last_scrape(), f"{4 * SCRAPE_S}s")
    looks = {"service": replace(everything, choices={"service": "gateway|orders"})}

    def keep(name: str, png: bytes, told: str) -> None:
        content = small(page, url, png)
        (into / f"{name}.png").write_bytes(content)
        say(f"{name}.png  {len(content) / 1000:.0f} kB  {told}")

    for name, board in BOARDS.items():
        png, panels = drawn(page, url, board, looks.get(name, everything))
        top = page.picture(WIDTH, TOP)
        keep(name, png, json.dumps(_count(panels)))
        if name == "findings":
            keep("overview", top, "")
        yield from (f"{name}: {p['title']}" for p in panels if p.get("series") == 0)
    page.open(f"{story.served.admin}/", WIDTH, 1000)
    height = page.run("Math.min(1400, document.documentElement.scrollHeight)")
    keep("page", page.picture(WIDTH, height), "")


def _count(panels: list[dict[str, Any]]) -> dict[str, int]:
    return {
        "panels": sum(p["type"] != "row" for p in panels),
        "series": sum(p.get("series", 0) for p in panels),
    }


def say(line: str) -> None:
    """A line with the seconds since the start."""
    sys.stdout.write(f"{time.monotonic() - _STARTED:5.0f} s  {line}\n")
    sys.stdout.flush()


def _ended(*_: object) -> NoReturn:
    raise SystemExit(130)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (NotStarted, TimeoutError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)

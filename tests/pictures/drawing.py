"""A dashboard of `dashboards/generated/` drawn by a page in a browser, as a small PNG."""

from __future__ import annotations

import base64
import json
import struct
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pictures.browser import Page

ROOT = Path(__file__).parents[2]
BOARDS: dict[str, Any] = {
    path.stem.removeprefix("spanlint-"): json.loads(path.read_text("utf-8"))
    for path in sorted((ROOT / "dashboards" / "generated" / "grafana").glob("*.json"))
}
WIDTH = 1600
_POINTS = 240
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Look:
    """What a dashboard is asked for.

    start, end: Unix times; 0 is now. choices: other than all, by variable.
    """

    prometheus: str
    start: float
    end: float = 0.0
    interval: str = "1m"
    choices: dict[str, str] = field(default_factory=dict)

    def options(self, board: Any) -> dict[str, Any]:
        """As the page wants it."""
        end = self.end or time.time()
        step = max(2, round((end - self.start) / _POINTS))
        return {
            "prometheus": self.prometheus,
            "start": end - step * round((end - self.start) / step),
            "end": end,
            "step": step,
            "interval": self.interval,
            "choices": {v["name"]: self._choice(v) for v in board["templating"]["list"]},
        }

    def _choice(self, variable: Any) -> dict[str, str]:
        name = variable["name"]
        if variable["type"] == "datasource":
            return {"text": variable["query"].capitalize(), "value": name}
        if variable["type"] == "textbox":
            return {"text": variable["query"], "value": variable["query"]}
        chosen = self.choices.get(name)
        if chosen is None:
            return {"text": "All", "value": variable["allValue"]}
        return {"text": chosen.replace("|", " + "), "value": chosen}


def drawn(page: Page, url: str, board: Any, look: Look) -> tuple[bytes, list[dict[str, Any]]]:
    """The picture, and what each panel shows: title, type, series."""
    page.open(url, WIDTH, 1000)
    told = page.run(f"draw({json.dumps(board)}, {json.dumps(look.options(board))})")
    height = page.run("Math.ceil(document.documentElement.scrollHeight)")
    return page.picture(WIDTH, height), told


def small(page: Page, url: str, png: bytes) -> bytes:
    """The picture in 256 colours, packed as well as can be: browsers do it in a hurry."""
    page.open(url, WIDTH, 1000)
    told = page.run(f"squeezed({json.dumps(base64.b64encode(png).decode())})")
    width, height = told["width"], told["height"]
    places = base64.b64decode(told["places"])
    lines = (places[at : at + width] for at in range(0, len(places), width))
    packed = zlib.compress(b"".join(b"\0" + line for line in lines), 9)
    palette = bytes(part for color in told["palette"] for part in color)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette),
        (b"IDAT", packed),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

"""Chromium without a window, driven over the pipe of its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from collector.demo.backing import NotStarted, stop

_PATIENCE_S = 120.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # a container's root, and pages of our own only
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)

Message = dict[str, Any]


class Page:
    """One page. Raises RuntimeError with the words of the browser, or of a script on the page."""

    def __init__(self, send: Any, answers: SimpleQueue[Message | None]) -> None:
        self._send = send
        self._answers = answers
        self._number = 0
        self._session = ""
        self.complaints: list[str] = []
        made = self._ask("Target.createTarget", url="about:blank")
        attached = self._ask("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime"):
            self._ask(f"{domain}.enable")

    def open(self, url: str, width: int, height: int, scale: float = 1.0) -> None:
        """Loads a page in a window of that size; returns when it has loaded."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **size)
        self._ask("Page.navigate", url=url)
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """What a script gives, its promise awaited."""
        told = self._ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"]["exception"]["description"])
        return told["result"].get("value")

    def picture(self, width: int, height: int) -> bytes:
        """The page from its top to that height, as PNG."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        taken = self._ask(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
        )
        return base64.b64decode(taken["data"])

    def _ask(self, method: str, **parameters: Any) -> Message:
        self._number += 1
        message: Message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._send(message)
        while (answer := self._next()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _next(self) -> Message:
        message = self._answers.get(timeout=_PATIENCE_S)
        if message is None:
            raise RuntimeError("the browser has ended")
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(message["params"]["exceptionDetails"]["text"])
        return message


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A fresh Chromium with one page; `folder` is for its profile and its log."""
    binary = shutil.which("chromium")
    if binary is None:
        raise NotStarted("chromium is not installed (Debian has it; `./dev servers` unpacks it)")
    reads, to_it = os.pipe()
    from_it, writes = os.pipe()
    # It reads commands from descriptor 3 and answers on 4.
    command = ["bash", "-c", f'exec "$@" 3<&{reads} 4>&{writes}', "bash", binary]
    profile = f"--user-data-dir={folder / 'chromium'}"
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *_FLAGS, profile],
            pass_fds=(reads, writes),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "TZ": "UTC"},
        )
    os.close(reads)
    os.close(writes)
    answers: SimpleQueue[Message | None] = SimpleQueue()
    reader = threading.Thread(target=_read, args=(from_it, answers), daemon=True)
    reader.start()
    try:
        yield Page(lambda message: os.write(to_it, json.dumps(message).encode() + b"\0"), answers)
    finally:
        stop(process, signal.SIGTERM)
        os.close(to_it)
        reader.join()


def _read(descriptor: int, answers: SimpleQueue[Message | None]) -> None:
    """Messages end with a zero byte."""
    with os.fdopen(descriptor, "rb") as pipe:
        rest = b""
        while chunk := pipe.read1(1 << 16):
            *messages, rest = (rest + chunk).split(b"\0")
            for message in messages:
                answers.put(json.loads(message))
    answers.put(None)

"""The shop under traffic until it is ended, for a spanlint that runs elsewhere.

`OTEL_EXPORTER_OTLP_ENDPOINT=http://spanlint:4318 python -m collector.demo.forever`
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import httpx

from collector.demo import services, traffic
from collector.demo.backing import NotStarted
from collector.demo.cases import playable
from collector.demo.run import SERVICES, Plan, backing_of
from collector.demo.services import Telemetry

REQUESTS = 5
PAUSE_S = 2.0


def main() -> None:
    """Runs until SIGTERM or Ctrl-C."""
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    folder = Path(tempfile.mkdtemp(prefix="spanlint-shop-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        kept, database = backing_of(Plan(), folder, stack)
        cases = playable(["Redis"] if kept.redis_url else [])
        names = [n for n in SERVICES if any(c.service == n for c in cases)]
        urls = stack.enter_context(services.running(names, kept, Telemetry(endpoint), folder))
        print(f"{', '.join(names)} on {database} send spans to {endpoint}", flush=True)  # noqa: T201
        while not ended.is_set():
            traffic.drive(cases, urls, REQUESTS, lambda: None)
            ended.wait(PAUSE_S)


if __name__ == "__main__":
    try:
        main()
    except (NotStarted, httpx.HTTPError) as error:
        sys.exit(str(error))

"""`./dev alerts`: a shop with an N+1 under spanlint, its alert, and the fix that resolves it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import httpx

from collector.demo import services
from collector.demo.backing import NotStarted
from collector.demo.run import Plan, backing_of
from collector.demo.services import Backing, Telemetry
from collector.demo.spanlint import serving
from dashboards.watch.servers import Inbox, Notice, alertmanager, inbox, prometheus

PATIENCE_S = 240.0
_HORIZON_S = "10"
_PAUSE_S = 0.3
_STARTED = time.monotonic()


def main() -> int:
    """Runs it; 0 when the alert came and went."""
    signal.signal(signal.SIGTERM, _ended)
    folder = Path(tempfile.mkdtemp(prefix="spanlint-alerts-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        spanlint = serving(
            folder, horizon_s=_HORIZON_S, service_graph="true", red_metrics="true", otlp_grpc=""
        )
        served = stack.enter_context(spanlint)
        told = stack.enter_context(inbox())
        manager = stack.enter_context(alertmanager(folder, told.url))
        target = served.admin.removeprefix("http://")
        asked = stack.enter_context(prometheus(folder, [target], manager))
        kept, database = backing_of(Plan(), folder, stack)
        say(f"spanlint {served.admin}  Prometheus {asked.url}  Alertmanager http://{manager}")
        say(f"shop on {database}: GET /shelf loads each book's author by itself (N+1)")
        fired = _until("firing", "lazy", told, kept, served.otlp_http, folder)
        show(fired)
        say("the fix is deployed: the same endpoint with one query for all authors")
        resolved = _until("resolved", "eager", told, kept, served.otlp_http, folder)
        show(resolved)
    return 0 if fired and resolved else 1


def _until(  # noqa: PLR0913 - what is awaited, and of whom
    status: str, form: str, told: Inbox, kept: Backing, otlp_http: str, folder: Path
) -> Notice | None:
    """The notice of that status, while a shop of that form is asked again and again."""
    os.environ["SHOP_SHELF"] = form
    telemetry = Telemetry(otlp_http)
    with services.running(["shop"], kept, telemetry, folder) as urls, _asking(urls["shop"]):
        return told.wait_for(status, PATIENCE_S, code="N101", operation="GET /shelf")


@contextmanager
def _asking(shop: str) -> Iterator[None]:
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=10) as client:
            while not ended.wait(_PAUSE_S):
                with suppress(httpx.TransportError):
                    client.get(f"{shop}/shelf", params={"n": 12})

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def show(notice: Notice | None) -> None:
    """What Alertmanager sent."""
    if notice is None:
        say(f"nothing came within {PATIENCE_S:.0f} s")
        return
    labels, notes = notice["labels"], notice["annotations"]
    say(f"{notice['status'].upper()}  {labels['alertname']}  {labels['severity']}")
    for line in (notes["summary"], notes["description"], notes["runbook_url"]):
        say(f"    {line}")


def say(line: str) -> None:
    """A line with the seconds since the start."""
    sys.stdout.write(f"{time.monotonic() - _STARTED:5.0f} s  {line}\n")
    sys.stdout.flush()


def _ended(*_: object) -> NoReturn:
    raise SystemExit(130)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotStarted as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)

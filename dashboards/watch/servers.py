"""Prometheus and Alertmanager for one run: private, on loopback, gone afterwards."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from collector.demo.backing import NotStarted, free_port, stop, wait_until
from dashboards import alerts, recording
from dashboards.common import REPOSITORY
from dashboards.prometheus import as_groups

SCRAPE_S = 2
"""Often, and long enough for a busy machine to answer in: a scrape may not take longer."""
_POLL_S = 0.25

Notice = dict[str, Any]
"""An alert as Alertmanager sends it: status, labels, annotations, startsAt, endsAt."""


@dataclass(slots=True)
class Inbox:
    """What Alertmanager sent to its webhook."""

    url: str = ""
    notices: list[Notice] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def put(self, notices: Sequence[Notice]) -> None:
        """Keeps notices and wakes whoever waits."""
        with self._news:
            self.notices.extend(notices)
            self._news.notify_all()

    def wait_for(self, status: str, patience_s: float, **labels: str) -> Notice | None:
        """The first notice of that status and those labels, as soon as it is there."""

        def found() -> Notice | None:
            for notice in self.notices:
                if notice["status"] == status and labels.items() <= notice["labels"].items():
                    return notice
            return None

        with self._news:
            return self._news.wait_for(found, patience_s)


@contextmanager
def inbox() -> Iterator[Inbox]:
    """A webhook on loopback."""
    kept = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.put(json.loads(body)["alerts"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def hurried(groups: Mapping[str, Any], hold: str, keep: str) -> dict[str, Any]:
    """The same rules, every `for` and `keep_firing_for` cut short, to be seen within a minute."""
    short = {"for": hold, "keep_firing_for": keep}
    return {
        "groups": [
            {
                **group,
                "rules": [rule | short if "alert" in rule else rule for rule in group["rules"]],
            }
            for group in groups["groups"]
        ]
    }


@contextmanager
def alertmanager(folder: Path, webhook: str, port: int = 0) -> Iterator[str]:
    """An Alertmanager that sends everything to the webhook at once; gives host:port."""
    config = {
        "route": {
            "receiver": "inbox",
            "group_by": ["alertname", "service_name"],
            "group_wait": "1s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "inbox", "webhook_configs": [{"url": webhook}]}],
    }
    with alertmanager_with(folder, yaml.safe_dump(config), port) as at:
        yield at


@contextmanager
def alertmanager_with(folder: Path, config: str, port: int = 0) -> Iterator[str]:
    """An Alertmanager of that configuration; gives host:port."""
    path = folder / "alertmanager.yaml"
    path.write_text(config)
    at = f"127.0.0.1:{port or free_port()}"
    flags = [
        f"--config.file={path}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={at}",
        "--cluster.listen-address=",
    ]
    with _running("prometheus-alertmanager", flags, folder / "alertmanager.log", at):
        yield at


@contextmanager
def prometheus(  # noqa: PLR0913 - where, whom, how often
    folder: Path,
    targets: Sequence[str],
    alertmanager_at: str,
    *,
    port: int = 0,
    every_s: int = SCRAPE_S,
    hold: str = "2s",
    keep: str = "3s",
    names: Mapping[str, str] | None = None,
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes spanlint again and again, with all our rules, hurried.

    names: what addresses on loopback are called, as instances and as servers that are called.
    """
    rules = as_groups((*recording.GROUPS, *alerts.groups()), REPOSITORY)
    (folder / "rules.yaml").write_text(yaml.safe_dump(hurried(rules, hold, keep)))
    every = f"{every_s}s"
    config = {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": [str(folder / "rules.yaml")],
        "scrape_configs": [
            {
                "job_name": "spanlint",
                "static_configs": [{"targets": list(targets)}],
                "relabel_configs": _named("__address__", "instance", names or {}),
                "metric_relabel_configs": _named("server", "server", names or {}),
            }
        ],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager_at]}]}]},
    }
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    at = f"127.0.0.1:{port or free_port()}"
    flags = [
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={at}",
        "--enable-feature=exemplar-storage",
        "--rules.alert.resend-delay=1s",
    ]
    with _running("prometheus", flags, folder / "prometheus.log", at):
        yield Prometheus(f"http://{at}")


def _named(source: str, target: str, names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "source_labels": [source],
            "regex": address.replace(".", r"\."),
            "target_label": target,
            "replacement": name,
        }
        for address, name in names.items()
    ]


@contextmanager
def _running(program: str, flags: Sequence[str], log: Path, at: str) -> Iterator[None]:
    binary = shutil.which(program) or shutil.which(program.removeprefix("prometheus-"))
    if binary is None:
        raise NotStarted(f"{program} is not installed (Debian has it; `./dev servers` unpacks it)")
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - found on PATH, flags of ours
            [binary, *flags], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until(lambda: _ready(at), process, log)
        yield
    finally:
        stop(process, signal.SIGTERM)


def _ready(at: str) -> bool:
    try:
        return httpx.get(f"http://{at}/-/ready", timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


class Prometheus:
    """Questions to a Prometheus over its HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=30, trust_env=False)

    def ask(self, path: str, **parameters: Any) -> Any:
        """`data` of an answer; raises ValueError with Prometheus' words when it refuses."""
        answer = self._http.get(path, params=parameters).json()
        if answer["status"] != "success":
            raise ValueError(f"{parameters}: {answer.get('error')}")
        return answer["data"]

    def instant(self, expr: str) -> list[dict[str, Any]]:
        """Series of a query now."""
        return list(self.ask("/query", query=expr)["result"])

    def over(self, expr: str, seconds: float, step: float) -> list[dict[str, Any]]:
        """Series of a query over the last seconds."""
        now = time.time()
        data = self.ask("/query_range", query=expr, start=now - seconds, end=now, step=step)
        return list(data["result"])

    def exemplars(self, expr: str, seconds: float) -> list[dict[str, Any]]:
        """Exemplars of the series in a query."""
        now = time.time()
        return list(self.ask("/query_exemplars", query=expr, start=now - seconds, end=now))

    def wait_for(self, expr: str, patience_s: float) -> list[dict[str, Any]]:
        """Series of a query as soon as there are any; none when patience ends."""
        deadline = time.monotonic() + patience_s
        while not (found := self.instant(expr)) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return found


def wait(condition: Callable[[], bool], patience_s: float) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True

"""`spanlint serve` as a process of its own; it says itself where it listens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from support.commands import ROOT

LINES = {
    "otlp_grpc": re.compile(r"OTLP/gRPC  (\S+:\d+)"),
    "otlp_http": re.compile(r"OTLP/HTTP  http://(\S+)"),
    "admin": re.compile(r"findings   http://([^/\s]+)/"),
}
COMMAND = [sys.executable, "-m", "collector.cli.main"]


class Process:
    """A started server; `at` has host:port of each port. Ended and awaited by `with`."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        anywhere = {"otlp_grpc": "127.0.0.1:0", "otlp_http": "127.0.0.1:0", "admin": "127.0.0.1:0"}
        chosen = anywhere | {"quiet_s": 0.5, "judge_interval_s": 0.3, "grace_s": 10.0} | settings
        config = folder / "spanlint.yaml"
        config.write_text("".join(f"{name}: {value}\n" for name, value in chosen.items()))
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--config", str(config)],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if not k.startswith("SPANLINT_")},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.at: dict[str, str] = {}
        self.log: list[str] = []
        for line in self.process.stderr:
            self.log.append(line)
            for name, pattern in LINES.items():
                if found := pattern.match(line):
                    self.at[name] = found[1]
            if line.startswith("findings"):
                break
        self._reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr or ()))
        self._reader.start()
        self.http = httpx.Client(timeout=20, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.ended()

    def ended(self) -> int:
        """Waits for its end; the exit code."""
        code = self.process.wait(60)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.http.close()
        return code

    def get(self, path: str) -> httpx.Response:
        return self.http.get(f"http://{self.at['admin']}{path}")

    def send(self, body: bytes) -> httpx.Response:
        headers = {"content-type": "application/x-protobuf"}
        return self.http.post(
            f"http://{self.at['otlp_http']}/v1/traces", content=body, headers=headers
        )

    def series(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every sample of a counter, histogram or summary, by name and labels."""
        found = {}
        for family in text_string_to_metric_families(self.get("/metrics").text):
            if family.type in ("counter", "histogram", "summary"):
                for sample in family.samples:
                    found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
        return found

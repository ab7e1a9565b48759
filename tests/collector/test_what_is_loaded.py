"""What an idle process has no use for is not imported, since it would be held in memory."""

from __future__ import annotations

import json
import subprocess
import sys

from support.commands import ROOT

SCRIPT = """
import asyncio, json, sys, urllib.request
from collector.service import Service
from collector.settings import load

LOCAL = {name: "127.0.0.1:0" for name in ("otlp_grpc", "otlp_http", "admin")}

async def loaded(service, *paths):
    for path in paths:
        url = f"http://{service.addresses.admin}{path}"
        await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
    return sorted({name.partition(".")[0] for name in sys.modules})

async def look():
    service = Service(load(None, {}, LOCAL))
    await service.start()
    print(json.dumps(await loaded(service)))
    print(json.dumps(await loaded(service, "/healthz", "/readyz", "/metrics")))
    print(json.dumps(await loaded(service, "/docs")))
    await service.stop()

asyncio.run(look())
"""


def test_frameworks_and_clients_wait_until_somebody_needs_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    idle, scraped, read = (set(json.loads(line)) for line in done.stdout.splitlines())

    framework = {"fastapi", "pydantic", "pydantic_core", "starlette"}
    assert not idle & {*framework, "httpx", "prometheus_client", "rich"}
    assert "prometheus_client" in scraped
    assert not scraped & framework
    assert framework <= read

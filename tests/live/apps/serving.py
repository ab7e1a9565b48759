"""Serves an app on a real socket, asks each of its paths, and ends: spans are flushed at exit."""

from __future__ import annotations

import http.client
import socket
import threading
import time

import uvicorn
from fastapi import FastAPI

SIZES = (10, 12)
"""How many items each path is asked for, one request after the other."""


def serve(app: FastAPI) -> None:
    """GET every path of the app with each size, by a client that nothing instruments."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        paths = [route.path for route in app.routes if getattr(route, "include_in_schema", False)]
        try:
            ask(listener.getsockname()[1], paths)
        finally:
            server.should_exit = True
            thread.join()


def ask(port: int, paths: list[str]) -> None:
    """GET each path with each size; anything but 200 ends the app."""
    for path in paths:
        for size in SIZES:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", f"{path}?n={size}")
            response = connection.getresponse()
            body = response.read()
            connection.close()
            assert response.status == 200, f"{path}: {response.status} {body[:500]!r}"

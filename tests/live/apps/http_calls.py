"""httpx and requests, in a loop and in bulk, to a callee that nothing instruments."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import requests
from fastapi import FastAPI

from live.apps.serving import serve

app = FastAPI()
base = ""


@app.get("/httpx-each")
def httpx_each(n: int) -> int:
    with httpx.Client() as client:
        return sum(client.get(f"{base}/users/{i}").json() for i in range(1, n + 1))


@app.get("/httpx-slow-bodies")
def httpx_slow_bodies(n: int) -> int:
    """The span ends with the head; the wait for the body is nobody's, and is no polling."""
    with httpx.Client() as client:
        return sum(client.get(f"{base}/reports/{i}").json() for i in range(1, n + 1))


@app.get("/httpx-bulk")
def httpx_bulk(n: int) -> int:
    with httpx.Client() as client:
        ids = ",".join(map(str, range(1, n + 1)))
        return int(client.get(f"{base}/users", params={"ids": ids}).json())


@app.get("/requests-each")
def requests_each(n: int) -> int:
    with requests.Session() as client:
        return sum(client.get(f"{base}/items/{i}/price").json() for i in range(1, n + 1))


@app.get("/requests-bulk")
def requests_bulk(n: int) -> int:
    with requests.Session() as client:
        return int(client.post(f"{base}/items/prices", json=list(range(1, n + 1))).json())


@app.get("/requests-pages")
def requests_pages(n: int) -> int:
    with requests.Session() as client:
        return sum(client.get(f"{base}/items", params={"page": i}).json() for i in range(1, n + 1))


@app.get("/requests-retried")
def requests_retried(n: int) -> int:
    with requests.Session() as client:
        for attempt in range(n):
            if client.get(f"{base}/flaky/7", params={"ok": int(attempt == n - 1)}).ok:
                break
    return n


class Callee(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment: no delayed acknowledgement between

    def do_GET(self) -> None:
        self.send_response(503 if self.path.endswith("ok=0") else 200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        if self.path.startswith("/reports/"):
            self.wfile.flush()
            time.sleep(0.02)
        self.wfile.write(b"1")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    callee = ThreadingHTTPServer(("127.0.0.1", 0), Callee)
    callee.daemon_threads = True
    threading.Thread(target=callee.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{callee.server_address[1]}"
    serve(app)
    callee.shutdown()

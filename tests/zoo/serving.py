"""One instance of a service: the routes of `ZOO_FORM` behind `ZOO_FRAMEWORK`, on `ZOO_PORT`.

`ZOO_FORM` is `theme.form`: `FORMS[form]` of `zoo.services.<theme>`. Run under
`opentelemetry-instrument`; SIGINT ends it so that its spans are flushed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from zoo.ask import Ask, Failed, Handler, Routes

HEALTH = "GET /healthz"


def healthy(ask: Ask) -> str:
    return "ok"


def routes_of(name: str) -> Routes:
    theme, _, form = name.partition(".")
    return {HEALTH: healthy, **importlib.import_module(f"zoo.services.{theme}").FORMS[form]}


def serve_flask(routes: Routes, port: int) -> None:
    from flask import Flask, jsonify, request
    from werkzeug.serving import WSGIRequestHandler, make_server

    app = Flask("zoo", root_path=str(Path(__file__).parent))

    def view(handler: Handler) -> Any:
        def answer(**path: str) -> Any:
            headers = {k.lower(): v for k, v in request.headers.items()}
            try:
                return jsonify(handler(Ask(path, request.args, headers)))
            except Failed as failed:
                return jsonify(str(failed)), failed.status

        return answer

    for number, (route, handler) in enumerate(routes.items()):
        method, _, path = route.partition(" ")
        rule = path.replace("{", "<").replace("}", ">")
        app.add_url_rule(rule, f"v{number}", view(handler), methods=[method])

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *_: object) -> None:
            """Silence."""

    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
    server.daemon_threads = True  # connections that are kept alive do not keep it from ending
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


def serve_fastapi(routes: Routes, port: int) -> None:
    import uvicorn
    from fastapi import FastAPI, HTTPException, Request

    app = FastAPI()

    def endpoint(handler: Handler) -> Any:
        def answer(request: Request) -> Any:
            ask = Ask(request.path_params, request.query_params, dict(request.headers))
            try:
                return handler(ask)
            except Failed as failed:
                raise HTTPException(failed.status, str(failed)) from None

        answer.__annotations__["request"] = Request  # it is known here only, not by its name
        return answer

    for route, handler in routes.items():
        method, _, path = route.partition(" ")
        app.add_api_route(path, endpoint(handler), methods=[method], response_model=None)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1)


def serve_grpc(routes: Routes, port: int) -> None:
    """The one route besides health, as `/zoo.Payments/Pay`; the message is JSON of id and mode."""
    import grpc

    (handler,) = [h for route, h in routes.items() if route != HEALTH]

    def pay(message: bytes, context: Any) -> bytes:
        told = json.loads(message)
        try:
            return str(handler(Ask({"id": told["id"]}, {}, {"x-mode": told["mode"]}))).encode()
        except Failed as failed:
            code = (
                grpc.StatusCode.NOT_FOUND if failed.status == 404 else grpc.StatusCode.UNAVAILABLE
            )
            return context.abort(code, str(failed))

    server = grpc.server(ThreadPoolExecutor(16))
    method = grpc.unary_unary_rpc_method_handler(pay)
    service = grpc.method_handlers_generic_handler("zoo.Payments", {"Pay": method})
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        server.stop(1).wait()


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    kinds = {"flask": serve_flask, "fastapi": serve_fastapi, "grpc": serve_grpc}
    serve = kinds[os.environ["ZOO_FRAMEWORK"]]
    serve(routes_of(os.environ["ZOO_FORM"]), int(os.environ["ZOO_PORT"]))


if __name__ == "__main__":
    main()

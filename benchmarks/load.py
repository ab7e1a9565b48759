"""The sender: keeps a few requests on their way, counts what was accepted."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is sent: how many spans, and how they are written."""

    body: bytes
    spans: int
    encoding: str = ""
    kind: str = "application/x-protobuf"


@dataclass(slots=True)
class Outcome:
    """Spans that were accepted, requests that were not, by status."""

    accepted: int = 0
    failed: int = 0


Send = Callable[[Sequence[Request]], Outcome]


def over_http(address: str, requests: Sequence[Request], clients: int = CONNECTIONS) -> Outcome:
    """POST /v1/traces over a kept connection a client."""

    def post(share: Sequence[Request]) -> Outcome:
        outcome = Outcome()
        connection = http.client.HTTPConnection(address, timeout=60)
        for request in share:
            headers = {"content-type": request.kind}
            if request.encoding:
                headers["content-encoding"] = request.encoding
            connection.request("POST", "/v1/traces", request.body, headers)
            answer = connection.getresponse()
            answer.read()
            _note(outcome, request, ok=answer.status == 200)
        connection.close()
        return outcome

    return _shared(requests, post, clients)


def over_grpc(address: str, requests: Sequence[Request], clients: int = CONNECTIONS) -> Outcome:
    """Export over a channel a client."""
    import grpc

    def export(share: Sequence[Request]) -> Outcome:
        outcome = Outcome()
        options = [
            ("grpc.max_send_message_length", 64 << 20),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        with grpc.insecure_channel(address, options) as channel:
            call = channel.unary_unary(_METHOD)
            for request in share:
                try:
                    call(request.body, timeout=60)
                except grpc.RpcError:
                    _note(outcome, request, ok=False)
                else:
                    _note(outcome, request, ok=True)
        return outcome

    return _shared(requests, export, clients)


def _note(outcome: Outcome, request: Request, *, ok: bool) -> None:
    if ok:
        outcome.accepted += request.spans
    else:
        outcome.failed += 1


def _shared(
    requests: Sequence[Request], send: Callable[[Sequence[Request]], Outcome], clients: int
) -> Outcome:
    """Each client sends its share, in order."""
    shares = [requests[i::clients] for i in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        outcomes = list(pool.map(send, shares))
    return Outcome(sum(o.accepted for o in outcomes), sum(o.failed for o in outcomes))

"""Traffic that goes on: drawn or recorded traces, sent again and again as if they had just ended."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PROTOBUF = {"content-type": "application/x-protobuf"}


def spans_of(request: ExportTraceServiceRequest) -> list[Span]:
    return [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]


def fresh(request: ExportTraceServiceRequest, number: int) -> ExportTraceServiceRequest:
    """The request with trace ids of its own, ended just now."""
    copy = ExportTraceServiceRequest()
    copy.CopyFrom(request)
    spans = spans_of(copy)
    shift = time.time_ns() - max(s.end_time_unix_nano for s in spans)
    for span in spans:
        if span.trace_id:
            seed = span.trace_id + number.to_bytes(4)
            span.trace_id = hashlib.blake2b(seed, digest_size=16).digest()
        span.start_time_unix_nano += shift
        span.end_time_unix_nano += shift
    return copy


def squeezed(request: ExportTraceServiceRequest, factor: int = 50) -> ExportTraceServiceRequest:
    """The request with its traces so many times closer together, each as long as it was."""
    spans = spans_of(request)
    first = min(s.start_time_unix_nano for s in spans)
    starts: dict[bytes, int] = {}
    for span in spans:
        known = starts.get(span.trace_id, span.start_time_unix_nano)
        starts[span.trace_id] = min(known, span.start_time_unix_nano)
    for span in spans:
        since = starts[span.trace_id] - first
        span.start_time_unix_nano -= since - since // factor
        span.end_time_unix_nano -= since - since // factor
    return request


@contextmanager
def feeding(
    otlp_http: str, choose: Callable[[int], list[ExportTraceServiceRequest]], every_s: float = 1.0
) -> Iterator[None]:
    """Sends what is chosen for each round, until the block is left."""
    ended = threading.Event()

    def feed() -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            number = 0
            while not ended.is_set():
                for request in choose(number):
                    body = fresh(request, number).SerializeToString()
                    client.post(f"{otlp_http}/v1/traces", content=body, headers=PROTOBUF)
                number += 1
                ended.wait(every_s)

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

"""Request bodies of the workload, and the same bodies made new.

A server must not see the same trace, literal or path twice, and encoding spans costs the sender
more than receiving costs the server. So bodies are encoded once; `freshen` writes other trace ids,
times and numbers over the old ones, in place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.workload import Sent, traces

SEED = 20_261_124
START_NS = 1_764_000_000_000_000_000
SPANS_A_REQUEST = 512
_OPEN_TRACES = 24
"""Traces on their way at the same time: their spans leave mixed."""
_TRACE_ID = re.compile(rb"\x0a\x10(?=.{16}\x12\x08)", re.DOTALL)
# Both times of a span follow each other; the upper byte of times from 2025 to 2034 is 0x18 or so.
_TIMES = re.compile(rb"\x39.{7}[\x18-\x1c]\x41(?=.{7}[\x18-\x1c])", re.DOTALL)
_NUMBER = re.compile(rb"77\d{8}")
_ROUND_STEP = 90_001
_DIGITS = 8

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Body:
    """An ExportTraceServiceRequest and where in it the parts stand that `freshen` renews."""

    data: bytes
    spans: int
    trace_ids: Places
    times: Places
    numbers: Places


def make_bodies(count: int, spans: int = SPANS_A_REQUEST, seed: int = SEED) -> list[Body]:
    """Distinct bodies of so many spans each, the same for the same seed."""
    stream = _interleaved(Random(seed), seed)
    made = []
    for number in range(count):
        sent = list(islice(stream, spans))
        made.append(_located(_request(sent, number).SerializeToString(), spans))
    return made


def _interleaved(dice: Random, seed: int) -> Any:
    """Spans in about the order in which they end, traces mixed as services send them."""
    source = traces(seed, START_NS)
    running = [list(next(source).sent) for _ in range(_OPEN_TRACES)]
    while True:
        index = dice.randrange(_OPEN_TRACES)
        yield running[index].pop()
        if not running[index]:
            running[index] = list(next(source).sent)


def _request(sent: list[Sent], number: int) -> ExportTraceServiceRequest:
    """Spans grouped by service and scope, as the Collector and SDKs group them."""
    request = ExportTraceServiceRequest()
    groups: dict[str, dict[str, list[Any]]] = {}
    for one in sent:
        groups.setdefault(one.service, {}).setdefault(one.scope, []).append(one.span)
    for service, scopes in groups.items():
        resource = request.resource_spans.add()
        for key, value in _resource(service, number).items():
            resource.resource.attributes.add(key=key).value.string_value = value
        for scope, spans in scopes.items():
            block = resource.scope_spans.add()
            block.scope.name, block.scope.version = scope, "0.66b1"
            block.spans.extend(spans)
    return request


def _resource(service: str, number: int) -> dict[str, str]:
    pod = f"{service}-6d8f7c9b5-x{number % 3}"
    return {
        "service.name": service,
        "service.namespace": "shop",
        "service.version": "2026.11.3",
        "service.instance.id": f"{pod}-0192f7a4",
        "deployment.environment.name": "staging",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": "1.45.0",
        "k8s.pod.name": pod,
        "k8s.namespace.name": "shop",
        "host.name": f"ip-10-42-7-{number % 3}",
    }


def _located(data: bytes, spans: int) -> Body:
    ids = np.array([m.end() for m in _TRACE_ID.finditer(data)])
    times = np.array([p for m in _TIMES.finditer(data) for p in (m.start() + 1, m.end())])
    numbers = np.array([m.end() - _DIGITS for m in _NUMBER.finditer(data)], np.int64)
    if len(ids) != spans or len(times) != 2 * spans:
        # Random ids may look like a field once in a very long while: another seed is the answer.
        raise RuntimeError(f"{len(ids)} ids and {len(times)} times in a body of {spans} spans")
    return Body(data, spans, ids, times, numbers)


def freshen(body: Body, round_: int, shift_ns: int = 0) -> bytes:
    """The body with trace ids and numbers of its own for each round, times moved by `shift_ns`."""
    data = np.frombuffer(body.data, np.uint8).copy()
    mark = np.frombuffer(round_.to_bytes(4, "little"), np.uint8)
    data[body.trace_ids[:, None] + np.arange(4)] ^= mark
    if shift_ns:
        eight = body.times[:, None] + np.arange(8)
        moved = data[eight].view(np.uint64) + np.uint64(shift_ns)
        data[eight] = moved.view(np.uint8).reshape(-1, 8)
    digits = body.numbers[:, None] + np.arange(_DIGITS)
    powers = 10 ** np.arange(_DIGITS - 1, -1, -1)
    value = (data[digits] - np.uint8(ord("0"))) @ powers
    value = (value + round_ * _ROUND_STEP) % 10**_DIGITS
    data[digits] = (value[:, None] // powers % 10 + ord("0")).astype(np.uint8)
    return data.tobytes()


def as_json(body: bytes) -> bytes:
    """The body as OTLP/JSON, as SDKs write it: ids in hex, 64-bit integers as strings."""
    import base64
    import json

    from google.protobuf.json_format import MessageToDict

    request = ExportTraceServiceRequest.FromString(body)
    document = MessageToDict(request, use_integers_for_enums=True)
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64decode(span[name]).hex()
    return json.dumps(document, separators=(",", ":")).encode()

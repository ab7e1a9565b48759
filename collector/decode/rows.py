"""Rows of span columns from spans in parts: what both decoders feed.

A span arrives as ids, name, kind, times and a dictionary of the attributes that are read. Here, and
only in the decoders that call this, Python looks at single spans.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from collector.decode.attributes import (
    NAMES,
    RESOURCE_NAMES,
    Attributes,
    Wanted,
    actor_names,
    first,
    flag,
    number,
    text,
)
from collector.decode.classify import Classifier
from collector.decode.model import Decoded, DecodeOptions
from detectors.kit.columns import (
    CATEGORIES,
    KINDS,
    SPAN_SCHEMA,
    STATUSES,
    UNKNOWN_SERVICE,
    Category,
    Kind,
    Status,
)
from detectors.kit.texts import Texts, code

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_NS = 2**63 - 1
_INT32 = 2**31 - 1
_ERROR = STATUSES.index("error")
_HAS_REMOTE, _IS_REMOTE = 1 << 8, 1 << 9  # opentelemetry/proto/trace/v1: SpanFlags
_THRESHOLD_DIGITS, _THRESHOLD_BITS = (
    14,
    56,
)  # W3C trace context level 2, `ot=th`: https://opentelemetry.io/docs/specs/otel
_THRESHOLD = re.compile(r"[0-9a-f]{1,14}")
_PPM = 1_000_000


@dataclass(slots=True)
class Part:
    """One span in parts, as a wire format gives it.

    ids are bytes; status 0 unset, 1 ok, 2 error; exception: type of the last exception event.
    links: (trace id, span id) pairs.
    """

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status: int
    flags: int
    trace_state: str
    attributes: Attributes
    exception: str | None = None
    links: tuple[tuple[bytes, bytes], ...] = ()


class SpanRows:
    """Collects the rows of one body and makes them a frame.

    One for a decoder's life: caches outlive bodies. Not for two threads at once.
    """

    def __init__(self, texts: Texts, options: DecodeOptions | None = None) -> None:
        actors = (options or DecodeOptions()).actor_attributes
        self.texts = texts
        self._actors = actor_names(actors)
        self.wanted = Wanted(self._actors)
        self._classify = Classifier(texts, self._actors)
        self._rows: list[tuple[Any, ...]] = []
        self._rejected: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._resource: tuple[Any, ...] = ()
        self._scope = 0

    def resource(self, attributes: Mapping[str, Any]) -> None:
        """The resource of the spans that follow."""

        def coded(column: str) -> int | None:
            found = text(first(attributes, RESOURCE_NAMES[column]))
            return self.texts.code(found) if found else None

        instance = _instance(attributes)
        self._resource = (
            coded("service") or self.texts.code(UNKNOWN_SERVICE),
            coded("service_namespace"),
            coded("environment"),
            coded("version"),
            None if instance is None else self.texts.code(instance),
        )

    def scope(self, name: str) -> None:
        """The instrumentation scope of the spans that follow."""
        self._scope = self.texts.code(name) if name else self.texts.code("(unnamed)")

    def reject(self, reason: str) -> None:
        """Counts a span that is left out."""
        self._rejected[reason] += 1

    def repaired(self, reason: str) -> None:
        """Counts a span that is kept after a repair."""
        self._repaired[reason] += 1

    def add(self, part: Part) -> None:
        """A span: a row, or a count by reason when it has no usable identity."""
        if len(part.trace_id) != 16 or not any(part.trace_id):
            self.reject("invalid_trace_id")
            return
        if len(part.span_id) != 8 or not any(part.span_id):
            self.reject("invalid_span_id")
            return
        start, duration = self._times(part.start_ns, part.end_ns)
        a = part.attributes
        # `work`: system, namespace, operation, target, predicate, shape, values and key.
        classified = self._classify(part.name, part.kind, a)
        name, label, category, *work, peer, route, path, entity, repeat, traits = classified
        http_status = _first_number(a, _HTTP_STATUS, 999)
        rpc_status = _rpc_status(a)
        actor = first(a, self._actors)
        message = first(a, _MESSAGE)
        file = first(a, _FILE)
        self._rows.append(
            (
                int.from_bytes(part.trace_id[:8]),
                int.from_bytes(part.trace_id[8:]),
                int.from_bytes(part.span_id),
                self._parent(part.parent_span_id),
                *self._resource,
                self._scope,
                part.kind if 0 <= part.kind < len(KINDS) else 0,
                name,
                label,
                start,
                duration,
                part.status if 0 <= part.status < len(STATUSES) else 0,
                self._error_type(part, http_status, rpc_status),
                category,
                *work,
                _hit(a),
                peer,
                http_status,
                rpc_status,
                route,
                path,
                entity,
                None if actor is None else code(text(actor) or ""),
                None if message is None else code(str(message)),
                number(a.get("db.response.returned_rows"), 0, MAX_NS),
                repeat,
                _first_number(a, _RESENDS, _INT32),
                traits,
                part.flags & 0xFFFFFFFF,
                bool(part.flags & _IS_REMOTE) if part.flags & _HAS_REMOTE else None,
                _sample_ppm(part.trace_state, a),
                None if file is None else self.texts.code(str(file)),
                _first_number(a, _LINE, _INT32),
                _links(part.links) if part.links else None,
            )
        )

    def _times(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        if not 0 < start_ns <= MAX_NS:
            # Without a start the end is the best that is known; without both, 1970 is visible.
            self.repaired("invalid_time")
            start_ns = end_ns if 0 < end_ns <= MAX_NS else 0
        if end_ns < start_ns or end_ns > MAX_NS:
            self.repaired("end_before_start" if end_ns < start_ns else "invalid_time")
            end_ns = start_ns
        return start_ns, end_ns - start_ns

    def _parent(self, parent: bytes) -> int | None:
        if not parent or not any(parent):
            return None
        if len(parent) != 8:
            self.repaired("invalid_parent_span_id")
            return None
        return int.from_bytes(parent)

    def _error_type(self, part: Part, http: int | None, rpc: int | None) -> int | None:
        told = part.attributes.get("error.type") or part.exception
        if told is None and part.status == _ERROR:
            told = str(http) if http and http >= 400 else f"grpc {rpc}" if rpc else None
        return self.texts.code(str(told)) if told else None

    def take(self) -> Decoded:
        """The frame of all rows since the last call, and what was rejected and repaired."""
        rows, self._rows = self._rows, []
        rejected, self._rejected = dict(self._rejected), Counter()
        repaired, self._repaired = dict(self._repaired), Counter()
        columns: Iterable[tuple[Any, ...]] = zip(*rows, strict=True) if rows else ()
        series = [
            _series(name, dtype, values)
            for (name, dtype), values in zip(SPAN_SCHEMA.items(), columns, strict=False)
        ]
        frame = pl.DataFrame(series) if rows else pl.DataFrame(schema=SPAN_SCHEMA)
        return Decoded(frame, rejected, repaired)


def _instance(resource: Mapping[str, Any]) -> str | None:
    """The identity of the process: the first of a chain that is there.

    A pod's name stands with its container's, because the containers of a pod are processes of
    their own; a host's name is no identity without the process id.
    """
    told = {name: text(resource.get(name)) for name in RESOURCE_NAMES["instance"]}
    for name, value in told.items():
        if value:
            container = text(resource.get("k8s.container.name"))
            return f"{value}/{container}" if name == "k8s.pod.name" and container else value
    host, pid = text(resource.get("host.name")), text(resource.get("process.pid"))
    return f"{host}/{pid}" if host and pid else None


_ENUMS = {Kind: KINDS, Status: STATUSES, Category: CATEGORIES}
_HTTP_STATUS, _RPC_STATUS = NAMES["http_status"], NAMES["rpc_status"]
# https://grpc.github.io/grpc/core/md_doc_statuscodes.html
_GRPC_CODES = {
    name: index
    for index, name in enumerate(
        (
            "OK",
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "UNAUTHENTICATED",
        )
    )
}
_RESENDS, _MESSAGE = NAMES["resends"], NAMES["message_id"]
_FILE, _LINE = NAMES["code_file"], NAMES["code_line"]


def _series(name: str, dtype: Any, values: tuple[Any, ...]) -> pl.Series:
    if isinstance(dtype, pl.Enum):
        return pl.Series(name, values, dtype=pl.UInt8).cat.to(dtype)
    return pl.Series(name, values, dtype=dtype)


def _first_number(attributes: Attributes, names: tuple[str, ...], high: int) -> int | None:
    for name in names:
        if name in attributes:
            return number(attributes[name], 0, high)
    return None


def _rpc_status(attributes: Attributes) -> int | None:
    """The gRPC status code; new conventions write its name (`UNAVAILABLE`)."""
    for name in _RPC_STATUS:
        if name in attributes:
            told = attributes[name]
            return _GRPC_CODES.get(told) if told in _GRPC_CODES else number(told, 0, _INT32)
    return None


def _hit(attributes: Attributes) -> bool | None:
    for name in NAMES["hit"]:
        if name in attributes:
            return flag(attributes[name])
    return None


def _sample_ppm(trace_state: str, attributes: Attributes) -> int | None:
    """Sampling probability in parts per million, from the trace state or an attribute."""
    if "th:" in trace_state:
        for vendor in trace_state.split(","):
            name, _, fields = vendor.strip().partition("=")
            if name == "ot":
                for entry in fields.split(";"):
                    if entry.startswith("th:"):
                        return _probability(entry[3:])
    for name in NAMES["sample_ppm"]:
        value = attributes.get(name)
        if isinstance(value, (int, float)) and 0 <= value <= 1:
            return round(value * _PPM)
    return None


def _probability(threshold: str) -> int | None:
    """Rejection threshold (hex, trailing zeros left out) -> sampling probability in ppm."""
    if not _THRESHOLD.fullmatch(threshold):
        return None
    rejected = int(threshold.ljust(_THRESHOLD_DIGITS, "0"), 16)
    probability: float = 1 - rejected / 2**_THRESHOLD_BITS
    return round(probability * _PPM)


def _links(links: tuple[tuple[bytes, bytes], ...]) -> list[int]:
    flat: list[int] = []
    for trace_id, span_id in links:
        flat += (
            int.from_bytes(trace_id[:8]),
            int.from_bytes(trace_id[8:16]),
            int.from_bytes(span_id[:8]),
        )
    return flat

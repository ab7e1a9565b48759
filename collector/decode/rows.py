"""Rows of span columns from spans in parts: what both decoders feed.

A span arrives as ids, name, kind, times and a dictionary of the attributes that are read. Here, and
only in the decoders that call this, Python looks at single spans.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl

from collector.decode.attributes import RESOURCE_NAMES, Wanted, actor_names, first, text
from collector.decode.classify import Classifier
from collector.decode.model import Counts, DecodeOptions, Part
from collector.decode.telling import MAX_NS, tell
from detectors.kit.columns import KINDS, SPAN_SCHEMA, STATUSES, UNKNOWN_SERVICE, empty_spans
from detectors.kit.texts import Texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HAS_REMOTE, _IS_REMOTE = 1 << 8, 1 << 9  # opentelemetry/proto/trace/v1: SpanFlags


class SpanRows:
    """Collects the rows of bodies and makes them a frame.

    One for a decoder's life: caches outlive bodies. Not for two threads at once.
    """

    def __init__(self, texts: Texts, options: DecodeOptions | None = None) -> None:
        actors = (options or DecodeOptions()).actor_attributes
        self.texts = texts
        self.actors = actor_names(actors)
        self.wanted = Wanted(self.actors)
        self.classify = Classifier(texts, self.actors)
        self._rows: list[tuple[Any, ...]] = []
        self._counted = 0
        self._rejected: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._resource: tuple[Any, ...] = ()
        self._scope = 0

    def resource(self, attributes: Mapping[str, Any]) -> tuple[int | None, ...]:
        """The resource of the spans that follow; its codes, from service to instance."""

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
        return self._resource

    def scope(self, name: str) -> int:
        """The instrumentation scope of the spans that follow; its code."""
        self._scope = self.texts.code(name or "(unnamed)")
        return self._scope

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
        # `work`: system, namespace, operation, target, predicate, shape, values and key.
        classified = self.classify(part.name, part.kind, part.attributes)
        name, label, category, *work, peer, route, path, entity, repeat, traits = classified
        told = tell(part, self.actors, self.texts)
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
                told.error_type,
                category,
                *work,
                told.hit,
                peer,
                told.http_status,
                told.rpc_status,
                route,
                path,
                entity,
                told.actor,
                told.message_id,
                told.rows,
                repeat,
                told.resends,
                traits,
                part.flags & 0xFFFFFFFF,
                bool(part.flags & _IS_REMOTE) if part.flags & _HAS_REMOTE else None,
                told.sample_ppm,
                told.code_file,
                told.code_line,
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

    def counts(self) -> Counts:
        """What became of the spans since the last call."""
        accepted, self._counted = len(self._rows) - self._counted, len(self._rows)
        rejected, self._rejected = dict(self._rejected), Counter()
        repaired, self._repaired = dict(self._repaired), Counter()
        return Counts(accepted, rejected, repaired)

    def __len__(self) -> int:
        return len(self._rows)

    def take(self) -> pl.DataFrame:
        """The frame of all rows since the last call."""
        rows, self._rows, self._counted = self._rows, [], 0
        columns: Iterable[tuple[Any, ...]] = zip(*rows, strict=True) if rows else ()
        series = [
            _series(name, dtype, values)
            for (name, dtype), values in zip(SPAN_SCHEMA.items(), columns, strict=False)
        ]
        return pl.DataFrame(series) if rows else empty_spans()


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


def _series(name: str, dtype: Any, values: tuple[Any, ...]) -> pl.Series:
    if isinstance(dtype, pl.Enum):
        return pl.Series(name, values, dtype=pl.UInt8).cat.to(dtype)
    return pl.Series(name, values, dtype=dtype)


def _links(links: tuple[tuple[bytes, bytes], ...]) -> list[int]:
    flat: list[int] = []
    for trace_id, span_id in links:
        flat += (
            int.from_bytes(trace_id[:8]),
            int.from_bytes(trace_id[8:16]),
            int.from_bytes(span_id[:8]),
        )
    return flat

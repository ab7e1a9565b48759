"""Half an hour of statements, paths and keys that nobody has sent before, in a minute or two.

What is unique cannot be folded: words, not numbers. A clock of its own runs through the detector as
fast as spans can be made, so that windows, panes and judgements come and go as they would.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.bodies import START_NS
from collector.decode.protobuf import ProtobufDecoder
from collector.detect import Detector
from collector.settings import Settings
from detectors.kit.texts import Texts

_NS = 1_000_000_000
_MS = 1_000_000
SPANS_A_SECOND = 200
_JUDGE_INTERVAL_S = 30.0
"""Judging tens of thousands of patterns takes long; what is kept does not depend on how often."""
SPANS_A_TRACE = 5


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is kept after so many seconds of event time."""

    second: int
    spans: int
    rss_mb: float
    texts: int
    facts_rows: dict[str, int]
    facts_texts: int
    open_rows: int

    def told(self) -> str:
        """One line."""
        rows = ", ".join(f"{name} {n:,}" for name, n in self.facts_rows.items() if n)
        return (
            f"{self.second // 60:4} min {self.spans:10,} spans {self.rss_mb:7.0f} MB "
            f"{self.texts:9,} texts, {self.facts_texts:,} in facts; rows: {rows}"
        )


def unique_request(dice: Random, now_ns: int, spans: int) -> bytes:
    """Traces whose every text is new: a route, a statement, a key, a URL, a span name."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "soak"
    scope = resource.scope_spans.add()
    scope.scope.name = "soak"
    for _ in range(spans // SPANS_A_TRACE):
        trace_id = dice.randbytes(16)
        entry = _span(scope, dice, trace_id, b"", now_ns, _server(_word(dice)))
        for told in (_sql(dice), _redis(dice), _http(dice), {"shop.note": _word(dice)}):
            _span(scope, dice, trace_id, entry.span_id, now_ns, told)
    return bytes(request.SerializeToString())


def _span(  # noqa: PLR0913 - what a span is made of
    scope: Any, dice: Random, trace_id: bytes, parent: bytes, now_ns: int, told: dict[str, str]
) -> Span:
    span: Span = scope.spans.add(
        trace_id=trace_id,
        span_id=dice.randbytes(8),
        parent_span_id=parent,
        name=_word(dice),
        kind=Span.SPAN_KIND_CLIENT if parent else Span.SPAN_KIND_SERVER,
        start_time_unix_nano=now_ns - 5 * _MS,
        end_time_unix_nano=now_ns,
        flags=0x101,
    )
    for key, value in told.items():
        span.attributes.add(key=key).value.string_value = value
    return span


def _word(dice: Random) -> str:
    return "".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=12))


def _server(word: str) -> dict[str, str]:
    return {"http.request.method": "GET", "url.path": f"/{word}/list"}


def _sql(dice: Random) -> dict[str, str]:
    text = f"SELECT {_word(dice)} FROM {_word(dice)} WHERE {_word(dice)} = '{_word(dice)}'"
    return {"db.system": "postgresql", "db.statement": text}


def _redis(dice: Random) -> dict[str, str]:
    return {"db.system": "redis", "db.statement": f"GET {_word(dice)}:{_word(dice)}"}


def _http(dice: Random) -> dict[str, str]:
    url = f"http://{_word(dice)}.local/{_word(dice)}"
    return {"http.request.method": "GET", "url.full": url}


def soaked(
    seconds: int, texts: Texts, settings: Settings, spans_a_second: int, every_s: int
) -> Iterator[Sizes]:
    """Runs so many seconds of event time; tells the sizes every `every_s` of them."""
    dice = Random(1)
    decoder = ProtobufDecoder(texts)
    detector = Detector(settings, texts, lambda _: None)
    now_s, spans = START_NS // _NS, 0
    for second in range(1, seconds + 1):
        now_s += 1
        decoded = decoder(unique_request(dice, now_s * _NS, spans_a_second))
        detector.accept(decoded.frame, float(now_s))
        spans += decoded.accepted
        detector.tick(float(now_s))
        if second % round(settings.judge_interval_s) == 0:
            detector.judge(float(now_s))
        if second % every_s == 0:
            facts = detector.facts()
            rows = {name: frame.height for name, frame in facts.frames.items()}
            open_rows = detector.window.rows
            kept = len(facts.texts)
            yield Sizes(second, spans, _rss_mb(), len(texts), rows, kept, open_rows)


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4_096 / 1e6


def run(minutes: int) -> bool:
    """Prints the sizes as time goes by; whether memory was flat in the second half."""
    began = time.monotonic()
    settings = Settings(judge_interval_s=_JUDGE_INTERVAL_S)
    found: list[Sizes] = []
    for sizes in soaked(minutes * 60, Texts(), settings, SPANS_A_SECOND, 120):
        found.append(sizes)
        print(sizes.told(), flush=True)
    # A horizon fills the facts; what follows must not add to it.
    full = [s for s in found if s.second >= settings.horizon_s * 1.2] or found[-1:]
    growth = full[-1].rss_mb / full[0].rss_mb - 1
    flat = growth < 0.1
    print(f"{'flat' if flat else 'GROWING'}: {growth:+.1%} since the horizon was full")
    print(f"{minutes} min of event time in {time.monotonic() - began:.0f} s")
    return flat

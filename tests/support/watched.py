"""A real spanlint, Prometheus and Alertmanager, with traffic that gives every panel something."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.demo.spanlint import Served, serving
from dashboards.watch.servers import Inbox, Prometheus, alertmanager, inbox, prometheus
from support.feeding import PROTOBUF, feeding, fresh, spans_of, squeezed
from support.recordings import drawn
from support.upstream import Answer, upstream

SETTINGS = {
    "quiet_s": "1",
    "judge_interval_s": "1",
    "horizon_s": "10",
    "service_graph": "true",
    "red_metrics": "true",
    "otlp_grpc": "",
}
BAD = """
# one query per author
shop  GET /books  0..240
  shop  SELECT * FROM books  2..6
  shop  SELECT * FROM authors WHERE id = %s  8..230  x12
# nobody remembers the settings
traces 5
shop  GET /start  0..20
  shop  SELECT k, v FROM settings  2..12
"""
GOOD = """
# one join
shop  GET /books  0..40
  shop  SELECT b.title, a.name FROM books b JOIN authors a ON a.id = b.author_id  2..30
# they come from a cache
traces 5
shop  GET /start  0..8
  shop  redis GET ?  2..4  cache.hit=true
"""
FAILING = """
# the catalogue fails, the shop with it
shop  GET /basket  0..90  error
  shop  GET http://catalogue/products/1  5..80  error
    catalogue  GET /products/{i}  10..75  error
      catalogue  SELECT * FROM products WHERE id = %s  12..60  error
# and sometimes not
shop  GET /basket  0..60
  shop  GET http://catalogue/products/2  5..50
    catalogue  GET /products/{i}  10..45
      catalogue  SELECT * FROM products WHERE id = %s  12..40
# and the front page does without it
shop  GET /front  0..60
  shop  GET http://catalogue/products/3  5..50  error
    catalogue  GET /products/{i}  10..45  error
# a cache that hits more often than not
shop  GET /cart  0..20
  shop  redis GET ?  2..4  cache.hit=true
  shop  redis GET ?  6..7  cache.hit=true
  shop  redis GET ?  9..10  cache.hit=false
"""
"""What goes wrong: edges, failed entries, and what is absorbed."""
LOCAL = """
# a dictionary in each of three processes
traces 240
local  GET /products/{id}  0..10  url.path=/products/{t/3%20}  on {t%3}
  local  SELECT * FROM products WHERE id = %s  2..8  if t<60
"""
"""What one process remembers and others do not: seen once, remembered while instances live."""
MENDED = """
# the catalogue answers
shop  GET /basket  0..60
  shop  GET http://catalogue/products/2  5..50
    catalogue  GET /products/{i}  10..45
      catalogue  SELECT * FROM products WHERE id = %s  12..40
"""


@dataclass
class Watched:
    """What runs, and which form of the bookshop is fed."""

    served: Served
    prometheus: Prometheus
    inbox: Inbox
    good: bool = False
    started: float = field(default_factory=time.time)


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """All of it, fed every second; `good` switches to the good form."""
    with ExitStack() as stack:
        behind = stack.enter_context(upstream("http"))
        behind.answers = [Answer(400), Answer(400)]
        served = stack.enter_context(serving(folder, forward=behind.url, **SETTINGS))
        told = stack.enter_context(inbox())
        manager = stack.enter_context(alertmanager(folder, told.url))
        target = served.admin.removeprefix("http://")
        asked = stack.enter_context(prometheus(folder, [target], manager))
        running = Watched(served, asked, told)
        bad, good, failing, mended = (drawn(text, folder) for text in (BAD, GOOD, FAILING, MENDED))
        send_broken(served, failing)
        send_once(served, drawn(LOCAL, folder))

        def choose(_: int) -> list[ExportTraceServiceRequest]:
            forms = [good, mended] if running.good else [bad, failing]
            return [*forms, *broken(failing)]

        stack.enter_context(feeding(served.otlp_http, choose))
        yield running


def broken(sound: ExportTraceServiceRequest) -> list[ExportTraceServiceRequest]:
    """A span without ids and one that came twice; and a service whose statements are hidden."""
    hidden, without_ids = ExportTraceServiceRequest(), ExportTraceServiceRequest()
    for copy in (hidden, without_ids):
        copy.CopyFrom(sound)
    for resource in hidden.resource_spans:
        for attribute in resource.resource.attributes:
            if attribute.key == "service.name":
                attribute.value.string_value = f"hidden-{attribute.value.string_value}"
    for span in spans_of(hidden):
        kept = [a for a in span.attributes if a.key != "db.query.text"]
        del span.attributes[:]
        span.attributes.extend(kept)
    for resource in without_ids.resource_spans:
        first = resource.scope_spans[0].spans[0]
        resource.scope_spans[0].spans.append(first)
        first.trace_id = b""
    return [hidden, without_ids]


def send_broken(served: Served, sound: ExportTraceServiceRequest) -> None:
    """A request that cannot be read, and others that the upstream refuses."""
    url = f"{served.otlp_http}/v1"
    refused = httpx.post(f"{url}/traces", content=b"\xff\xff", headers=PROTOBUF)
    assert refused.status_code == 400
    body = sound.SerializeToString()
    for _ in range(2):
        httpx.post(f"{url}/traces", content=body, headers=PROTOBUF).raise_for_status()


def send_once(served: Served, request: ExportTraceServiceRequest) -> None:
    """A request whose last span ended just now, its traces close together."""
    body = fresh(squeezed(request), 0).SerializeToString()
    url = f"{served.otlp_http}/v1/traces"
    httpx.post(url, content=body, headers=PROTOBUF, timeout=30).raise_for_status()

"""Traces as text: a case is a drawing of spans and the findings that it must and must not give.

::

    # One query per author
    shop  GET /books  0..120
      shop  SELECT * FROM books  2..6
      shop  SELECT * FROM authors WHERE id = %s  8..110  x12
    => N101 shop "GET /books" SELECT authors by id  n=12

A line is `service  what  start..end  options`, two spaces between them, times in ms, indentation is
parenthood. *What*: a statement (SQL), `redis GET ?`, `memcached get k:{i}`, `mongo find users`,
`publish orders`, `consume orders`, `grpc shop.Users/Get`, an HTTP method with a route (an entry) or
with a URL (a call out), anything else is a span of the application itself.

Options: `xN` repeats the line and what is under it, one after the other in its time; `{i}` is the
number of the repeat; `at once` makes the repeats overlap; `fails=K` fails every few, K in all;
`retried` fails all but the last; `error` fails; `missing` draws a span that never arrived;
`name=value` sets an attribute; an `error` of HTTP is a 503 unless it sets another status or is
`silent` (no answer at all). A line `traces N` repeats the whole case in N traces, one a second or,
`traces N every MS`, at another pace; `in A..B` draws a root in the traces from A to before B only;
`if t<60`, `if t>=60`, `if t%3=0` draws the line in those traces only. `{t}`, `{t%3}`, `{t/3}` and
`{t/3%20}` are the number of the trace, its rest and its quotient. `on X` names the instance,
`version X` its version: both hold for what is under the line in the same service.

Expectations: `=> CODE service "operation" subject  key=value …` for a finding (keys: n, severity,
evidence, traces, or a detail), `=> nothing`, or `=> CODE service STATE words` for the visibility.
All findings of all rules are compared: what is not expected must not be there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

EPOCH_NS = 1_790_000_000_000_000_000
SQL = re.compile(
    r"(SELECT|INSERT|UPDATE|DELETE|WITH|BEGIN|COMMIT|ROLLBACK|SET|MERGE|CREATE|/\*|CURSOR:)\b",
    re.IGNORECASE,
)
HTTP = re.compile(r"(GET|POST|PUT|PATCH|DELETE|HEAD) (/\S*|https?://\S+)$")


@dataclass
class Line:
    """One drawn span and what is under it."""

    service: str
    what: str
    start_ms: float
    end_ms: float
    options: list[str]
    children: list[Line] = field(default_factory=list)
    instance: str = "1"
    version: str = ""


@dataclass
class Case:
    """A title, drawn traces, and expectations as written."""

    title: str
    roots: list[Line] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    traces: int = 1
    every_ms: float = 1_000.0


def read_cases(path: Path) -> list[Case]:
    """The cases of a `.trace` file."""
    cases: list[Case] = []
    stack: list[tuple[int, Line]] = []
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        text = raw.strip()
        if not text:
            continue
        if text.startswith("#"):
            if not cases or cases[-1].expected:
                cases.append(Case(text.lstrip("# ")))
                stack = []
        elif text.startswith("=>"):
            cases[-1].expected.append(text[2:].strip())
        elif text.startswith("traces "):
            words = text.split()
            cases[-1].traces = int(words[1])
            cases[-1].every_ms = float(words[3]) if len(words) > 3 else 1_000.0
        else:
            line = _line(text, f"{path.name}:{number}")
            depth = len(raw) - len(raw.lstrip())
            while stack and stack[-1][0] >= depth:
                stack.pop()
            (stack[-1][1].children if stack else cases[-1].roots).append(line)
            stack.append((depth, line))
    return cases


def _line(text: str, where: str) -> Line:
    parts = re.split(r" {2,}", text)
    if len(parts) < 3:
        raise ValueError(f"{where}: wanted `service  what  start..end`, got {text!r}")
    start, end = parts[2].split("..")
    return Line(parts[0], parts[1], float(start), float(end), parts[3:])


def request(case: Case) -> ExportTraceServiceRequest:
    """The case as an OTLP request, one resource per service."""
    spans: dict[tuple[str, str, str], list[Span]] = {}
    for trace in range(case.traces):
        for index, root in enumerate(_drawn(case.roots, trace, None)):
            key = f"{case.title}/{trace}/{index}"
            for line, span in _spans(root, key, b"", "", 0, trace * case.every_ms):
                spans.setdefault((line.service, line.instance, line.version), []).append(span)
    built = ExportTraceServiceRequest()
    for (service, instance, version), found in spans.items():
        resource = built.resource_spans.add()
        _attribute(resource.resource, "service.name", service)
        if instance != "nowhere":
            _attribute(resource.resource, "service.instance.id", f"{service}-{instance}")
        if version:
            _attribute(resource.resource, "service.version", f"v{version}")
        scope = resource.scope_spans.add()
        scope.scope.name = "sketch"
        scope.spans.extend(found)
    return built


def _drawn(lines: list[Line], trace: int, parent: Line | None) -> list[Line]:
    """The lines as they are in one trace: numbers filled in, those not drawn left out."""
    drawn = []
    for line in lines:
        if not all(_holds(o, trace) for o in line.options):
            continue
        options = [_filled(o, trace) for o in line.options if not o.startswith("if ")]
        copy = replace(line, what=_filled(line.what, trace), options=options)
        same = parent is not None and parent.service == line.service
        copy.instance = _named(options, "on ") or (parent.instance if same else "1")
        copy.version = _named(options, "version ") or (parent.version if same else "")
        copy.children = _drawn(line.children, trace, copy)
        drawn.append(copy)
    return drawn


def _filled(text: str, trace: int) -> str:
    def number(found: re.Match[str]) -> str:
        value = trace // int(found[1] or 1)
        return str(value % int(found[2]) if found[2] else value)

    return re.sub(r"\{t(?:/(\d+))?(?:%(\d+))?\}", number, text)


def _holds(option: str, trace: int) -> bool:
    """Whether a line is drawn in a trace, as far as this option says."""
    if window := re.fullmatch(r"in (\d+)\.\.(\d+)", option):
        return int(window[1]) <= trace < int(window[2])
    if not option.startswith("if "):
        return True
    found = re.fullmatch(r"if t(?:%(\d+))?(<|>=|=)(\d+)", option)
    if found is None:
        raise ValueError(f"no condition: {option!r}")
    value, bound = trace % int(found[1]) if found[1] else trace, int(found[3])
    return {"<": value < bound, ">=": value >= bound, "=": value == bound}[found[2]]


def _named(options: list[str], word: str) -> str:
    return next((o.removeprefix(word) for o in options if o.startswith(word)), "")


def _spans(
    line: Line,
    key: str,
    parent: bytes,
    parent_service: str,
    number: int,
    offset_ms: float,
) -> Iterator[tuple[Line, Span]]:
    """The spans of a line: its repeats, each with what is under it."""
    count = next((int(o[1:]) for o in line.options if re.fullmatch(r"x\d+", o)), 1)
    extent = line.end_ms - line.start_ms
    step = 0.0 if "at once" in line.options else extent / count
    for i in range(count):
        span_id = hashlib.blake2b(f"{key}/{i}".encode(), digest_size=8).digest()
        shift = offset_ms + step * i
        mark = number if count == 1 else i
        if "missing" not in line.options:
            yield (
                line,
                _span(line, key, parent, parent_service, span_id, mark, shift, count),
            )
        for j, child in enumerate(line.children):
            yield from _spans(child, f"{key}/{i}/{j}", span_id, line.service, mark, shift)


def _span(  # noqa: PLR0913 - a span is all of these
    line: Line,
    key: str,
    parent: bytes,
    parent_service: str,
    span_id: bytes,
    number: int,
    shift_ms: float,
    count: int,
) -> Span:
    extent = line.end_ms - line.start_ms
    duration = extent if count == 1 or "at once" in line.options else extent / count * 0.9
    start = EPOCH_NS + int((line.start_ms + shift_ms) * 1e6)
    built = Span(
        trace_id=hashlib.blake2b(_trace_of(key), digest_size=16).digest(),
        span_id=span_id,
        parent_span_id=parent,
        start_time_unix_nano=start,
        end_time_unix_nano=start + int(duration * 1e6),
        status=Status(code=_status(line.options, number, count)),
    )
    entry = parent_service != line.service
    built.name, built.kind, attributes = _what(line.what.replace("{i}", str(number)), entry)
    attributes |= dict(o.split("=", 1) for o in line.options if "=" in o and o[:6] != "fails=")
    for name, value in attributes.items():
        _attribute(
            built,
            name,
            value.replace("{i}", str(number)) if isinstance(value, str) else value,
        )
    failed = built.status.code == Status.STATUS_CODE_ERROR and "silent" not in line.options
    told = "http.response.status_code" in attributes
    if failed and not told and "http.request.method" in attributes:
        _attribute(built, "http.response.status_code", 503)
    return built


def _trace_of(key: str) -> bytes:
    return "/".join(key.split("/")[:3]).encode()


def _status(options: list[str], number: int, count: int) -> Any:
    fails = next((int(o[6:]) for o in options if o.startswith("fails=")), 0)
    failing = {(k * count) // fails for k in range(fails)} if fails else set()
    failed = (
        "error" in options
        or ("retried" in options and number < count - 1)
        or ("fails=" in "".join(options) and number in failing)
    )
    return Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET


def _what(what: str, entry: bool) -> tuple[str, Any, dict[str, Any]]:  # noqa: FBT001
    """Name, kind and attributes (new conventions) of a drawn span."""
    if found := HTTP.match(what):
        return _http(found[1], found[2], entry)
    if SQL.match(what):
        first = what.split(maxsplit=1)[0]
        return first, Span.SPAN_KIND_CLIENT, _database("postgresql", what)
    system, _, rest = what.partition(" ")
    match system:
        case "redis" | "memcached":
            return rest.split()[0], Span.SPAN_KIND_CLIENT, _database(system, rest)
        case "mongo":
            command, collection = rest.split()
            named = {"db.collection.name": collection, "db.operation.name": command}
            return rest, Span.SPAN_KIND_CLIENT, _database("mongodb", command) | named
        case "publish" | "consume":
            kind = Span.SPAN_KIND_PRODUCER if system == "publish" else Span.SPAN_KIND_CONSUMER
            operation = "send" if system == "publish" else "process"
            return (
                f"{rest} {operation}",
                kind,
                {
                    "messaging.system": "rabbitmq",
                    "messaging.destination.name": rest,
                    "messaging.operation.type": operation,
                },
            )
        case "grpc":
            service, _, method = rest.partition("/")
            kind = Span.SPAN_KIND_SERVER if entry else Span.SPAN_KIND_CLIENT
            named = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
            return f"/{rest}", kind, named
        case _:
            return what, Span.SPAN_KIND_INTERNAL, {}


def _http(method: str, path: str, entry: bool) -> tuple[str, Any, dict[str, Any]]:  # noqa: FBT001
    if path.startswith("http"):
        return (
            method,
            Span.SPAN_KIND_CLIENT,
            {"http.request.method": method, "url.full": path},
        )
    attributes = {"http.request.method": method, "http.route": path, "url.path": path}
    kind = Span.SPAN_KIND_SERVER if entry else Span.SPAN_KIND_INTERNAL
    return f"{method} {path}", kind, attributes


def _database(system: str, text: str) -> dict[str, Any]:
    return {
        "db.system.name": system,
        "db.query.text": text,
        "server.address": f"{system}-1",
    }


def _attribute(holder: Any, name: str, value: Any) -> None:
    if isinstance(value, int):
        holder.attributes.add(key=name).value.int_value = value
    elif isinstance(value, str) and value.isdigit() and name != "service.name":
        holder.attributes.add(key=name).value.int_value = int(value)
    else:
        holder.attributes.add(key=name).value.string_value = value

"""What the attributes of a span tell without being classified: a column each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from collector.decode.attributes import NAMES, Attributes, first, flag, number, text
from detectors.kit.columns import STATUSES
from detectors.kit.texts import Texts, code

if TYPE_CHECKING:
    from collector.decode.model import Part

MAX_NS = 2**63 - 1
_INT32 = 2**31 - 1
_ERROR = STATUSES.index("error")
# W3C trace context level 2, `ot=th`: https://opentelemetry.io/docs/specs/otel
_THRESHOLD_DIGITS, _THRESHOLD_BITS = 14, 56
_THRESHOLD = re.compile(r"[0-9a-f]{1,14}")
_PPM = 1_000_000
# https://grpc.github.io/grpc/core/md_doc_statuscodes.html
GRPC_CODES = {
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


class Told(NamedTuple):
    """Values of the columns of these names; texts and hashes are codes."""

    error_type: int | None
    hit: bool | None
    http_status: int | None
    rpc_status: int | None
    actor: int | None
    message_id: int | None
    rows: int | None
    resends: int | None
    sample_ppm: int | None
    code_file: int | None
    code_line: int | None


def tell(part: Part, actors: tuple[str, ...], texts: Texts) -> Told:
    """The columns of one span; `actors` names the attributes that say who asks."""
    a = part.attributes
    http_status = _first_number(a, NAMES["http_status"], 999)
    rpc_status = _rpc_status(a)
    actor = first(a, actors)
    message = first(a, NAMES["message_id"])
    file = first(a, NAMES["code_file"])
    return Told(
        error_type=_error_type(part, http_status, rpc_status, texts),
        hit=_hit(a),
        http_status=http_status,
        rpc_status=rpc_status,
        actor=None if actor is None else code(text(actor) or ""),
        message_id=None if message is None else code(str(message)),
        rows=_first_number(a, NAMES["rows"], MAX_NS),
        resends=_first_number(a, NAMES["resends"], _INT32),
        sample_ppm=_sample_ppm(part.trace_state, a),
        code_file=None if file is None else texts.code(str(file)),
        code_line=_first_number(a, NAMES["code_line"], _INT32),
    )


def _error_type(part: Part, http: int | None, rpc: int | None, texts: Texts) -> int | None:
    told = part.attributes.get("error.type") or part.exception
    if told is None and part.status == _ERROR:
        told = str(http) if http and http >= 400 else f"grpc {rpc}" if rpc else None
    return texts.code(str(told)) if told else None


def _first_number(attributes: Attributes, names: tuple[str, ...], high: int) -> int | None:
    for name in names:
        if name in attributes:
            return number(attributes[name], 0, high)
    return None


def _rpc_status(attributes: Attributes) -> int | None:
    """The gRPC status code; new conventions write its name (`UNAVAILABLE`)."""
    for name in NAMES["rpc_status"]:
        if name in attributes:
            told = attributes[name]
            return GRPC_CODES.get(told) if told in GRPC_CODES else number(told, 0, _INT32)
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

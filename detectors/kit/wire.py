"""Facts as bytes and back: what crosses the network between processes; spans never do.

::

    SLF1 | XXH3-64 of the rest | size of header, UInt32 | header (JSON) | table | table …

Numbers are big-endian, tables are Arrow IPC streams of facts frames. The header says who pushes,
and has the sizes of the tables, the counts and the texts of all codes. Arrow and JSON are read in
any language, and codes are the same in each (`texts.py`). Bytes from elsewhere are not trusted:
what is not facts of the tables known here, in their columns and types, is a WireError.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from xxhash import xxh3_64_digest

from detectors.kit import merge
from detectors.kit.catalogue import tables
from detectors.kit.engine import Facts

_MAGIC = b"SLF1"
_SUM_BYTES = 8
_SIZE = struct.Struct(">I")
_START = len(_MAGIC) + _SUM_BYTES


class WireError(ValueError):
    """Bytes that are no push of facts: says what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Push:
    """Facts that one process hands to another, once.

    sender: name of a process, the same over restarts. epoch: rises with each start of it (ns since
    the Unix epoch, say). sequence: 1, 2, 3 … within an epoch; sent again, a push keeps its own.
    """

    sender: str
    epoch: int
    sequence: int
    facts: Facts = field(compare=False)


def to_bytes(push: Push) -> bytes:
    """The same bytes for the same facts, in whatever order their texts and counts are."""
    facts = push.facts
    parts = {name: _packed(frame) for name, frame in sorted(facts.frames.items()) if frame.height}
    header = {
        "from": [push.sender, push.epoch, push.sequence],
        "tables": {name: len(part) for name, part in parts.items()},
        "counts": dict(sorted(facts.counts.items())),
        "texts": sorted(facts.texts.items()),
    }
    # A text may hold a lone surrogate, which JSON can escape and UTF-8 cannot write.
    head = json.dumps(header, ensure_ascii=True, separators=(",", ":")).encode()
    rest = b"".join((_SIZE.pack(len(head)), head, *parts.values()))
    return _MAGIC + xxh3_64_digest(rest) + rest


def from_bytes(body: bytes) -> Push:
    """The push that `to_bytes` wrote; raises WireError for anything else."""
    header, rest = _header(body)
    known = {t.name: t for t in tables()}
    frames: dict[str, pl.DataFrame] = {}
    for name, part in _parts(header, rest):
        if name not in known:
            raise WireError(f"unknown facts table {name!r}; known: {', '.join(sorted(known))}")
        rows = _unpacked(name, part, pl.Schema(merge.schema(known[name])))
        frames[name] = merge.regroup(known[name], rows)
    match header.get("from"):
        case [str(sender), int(epoch), int(sequence)] if sequence > 0:
            facts = Facts(frames, _texts(header.get("texts")), _counts(header.get("counts")))
            return Push(sender, epoch, sequence, facts)
        case other:
            raise WireError(f"from wants a sender, an epoch and a sequence, not {other!r}")


def _packed(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.rechunk().write_ipc_stream(stream)
    return stream.getvalue()


def _unpacked(name: str, part: bytes, wanted: pl.Schema) -> pl.DataFrame:
    try:
        frame = pl.read_ipc_stream(part, use_pyarrow=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise WireError(f"table {name}: no Arrow stream: {error}") from None
    if frame.schema != wanted:
        different = [c for c in wanted if frame.schema.get(c) != wanted[c]]
        raise WireError(f"table {name}: other columns than here: {', '.join(different) or 'more'}")
    return frame


def _header(body: bytes) -> tuple[Mapping[str, Any], memoryview]:
    if not body.startswith(_MAGIC) or len(body) < _START + _SIZE.size:
        raise WireError("no facts: they begin with SLF1")
    if xxh3_64_digest(body[_START:]) != body[len(_MAGIC) : _START]:
        raise WireError("damaged or cut off on the way")
    (size,) = _SIZE.unpack_from(body, _START)
    start = _START + _SIZE.size
    try:
        header = json.loads(body[start : start + size])
    except (ValueError, RecursionError) as error:
        raise WireError(f"the header is no JSON: {error}") from None
    if not isinstance(header, dict):
        raise WireError("the header is no JSON object")
    return header, memoryview(body)[start + size :]


def _parts(header: Mapping[str, Any], rest: memoryview) -> Iterator[tuple[str, bytes]]:
    sizes = header.get("tables")
    if not isinstance(sizes, dict) or not all(map(_is_count, sizes.values())):
        raise WireError("tables wants sizes by name")
    if sum(sizes.values()) != len(rest):
        raise WireError(f"tables of {sum(sizes.values())} bytes are {len(rest)} bytes long")
    for name, size in sizes.items():
        yield name, bytes(rest[:size])
        rest = rest[size:]


def _texts(given: Any) -> dict[int, str]:
    try:
        texts: dict[int, str] = dict(given)
    except (TypeError, ValueError):
        raise WireError("texts wants pairs of code and text") from None
    if not all(_is_count(c) and isinstance(t, str) for c, t in texts.items()):
        raise WireError("texts wants pairs of code and text")
    return texts


def _counts(given: Any) -> dict[str, int]:
    if not isinstance(given, dict) or not all(map(_is_count, given.values())):
        raise WireError("counts wants whole numbers by name")
    return dict(given)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 64

"""Files to span columns, whatever wrote them, request by request.

Read are: OTLP/JSON, a request a line (the Collector's file exporter, SDKs) or one document (Tempo,
Jaeger API); OTLP protobuf, one request; the file exporter's length-delimited messages (4 bytes,
big-endian); each of them plain, gzip or zstd. Memory is bounded by the largest request.
"""

from __future__ import annotations

import io
import re
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import polars as pl
import zstandard
from isal import igzip, isal_zlib

from collector.decode.choice import make_decoder, make_json_decoder
from collector.decode.errors import BrokenFile, MalformedInput
from collector.decode.model import Decoded, Packed
from detectors.kit.columns import empty_spans

if TYPE_CHECKING:
    from collector.decode.model import Counts, DecodeOptions, Decoder
    from detectors.kit.texts import Texts

MAX_REQUEST_BYTES = 64 * 1024 * 1024
"""A larger line or message is refused; one JSON document or protobuf request may be 4x that."""
MAX_DOCUMENT_BYTES = 4 * MAX_REQUEST_BYTES
FRAME_ROWS = 16_384
"""Spans that are decoded before they are handed over."""
STDIN = "-"

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_PREFIX = 4
_BLOCK = 1 << 20
_ZSTD_BLOCK = 1 << 14
"""Compressed bytes at a time: zstd expands at most some thousand times, so memory is bounded."""
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_BLANK = b"\xef\xbb\xbf \t\r\n"
_FIELD_1 = 0x0A  # protobuf: field 1, length-delimited: resource_spans

_DAMAGE: tuple[type[Exception], ...] = (
    EOFError,
    OSError,
    zlib.error,
    zstandard.ZstdError,
    isal_zlib.IsalError,  # type: ignore[assignment]  # the stub has an instance
)
Progress = Callable[[int], None]


def expand(paths: list[str]) -> list[str]:
    """Files to read: directories are walked, in order of name; hidden files are left out.

    Raises FileNotFoundError for a path that does not exist.
    """
    found: list[str] = []
    for path in paths:
        if path == STDIN:
            found.append(path)
        elif Path(path).is_dir():
            inside = sorted(p for p in Path(path).rglob("*") if p.is_file())
            found += [str(p) for p in inside if not p.name.startswith(".")]
        elif Path(path).exists():
            found.append(path)
        else:
            raise FileNotFoundError(path)
    return found


def total_bytes(paths: list[str]) -> int:
    """Size of all files on disk; standard input counts as nothing."""
    return sum(Path(p).stat().st_size for p in expand(paths) if p != STDIN)


def read_files(
    paths: list[str],
    texts: Texts,
    options: DecodeOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Decoded]:
    """The spans of all files in frames, some thousand at a time; else as `read_packed`."""
    for packed in read_packed(paths, texts, options, progress):
        frames = [pl.DataFrame(cast("pl.DataFrame", spans)) for spans in packed.spans]
        whole = pl.concat(frames) if frames else empty_spans()
        yield Decoded(whole, packed.rejected, packed.repaired)


def read_packed(
    paths: list[str],
    texts: Texts,
    options: DecodeOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Packed]:
    """The spans of all files, some thousand at a time; `progress` is told the bytes read so far.

    Raises BrokenFile at the first request that cannot be read; what came before was yielded.
    """
    decoders = _Decoders(texts, options)
    before = 0
    for path in expand(paths):
        with _opened(path) as raw:
            for packed in decoders.gathered(_read(path, raw, decoders)):
                yield packed
                if progress is not None:
                    progress(before + raw.position)
        before += raw.position


class _Decoders:
    def __init__(self, texts: Texts, options: DecodeOptions | None) -> None:
        self.protobuf = make_decoder(texts, options)
        self.json = make_json_decoder(texts, options, self.protobuf)
        self._rejected: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()

    def gathered(self, requests: Iterator[Counts]) -> Iterator[Packed]:
        """What the requests fed, some thousand spans at a time."""
        rows = 0
        try:
            for counts in requests:
                rows += counts.accepted
                self._rejected.update(counts.rejected)
                self._repaired.update(counts.repaired)
                if rows >= FRAME_ROWS:
                    yield self._take()
                    rows = 0
        except BrokenFile:
            yield self._take()
            raise
        yield self._take()

    def _take(self) -> Packed:
        spans = [s for d in (self.protobuf, self.json) for s in d.take_packed()]
        rejected, self._rejected = dict(self._rejected), Counter()
        repaired, self._repaired = dict(self._repaired), Counter()
        return Packed(spans, rejected, repaired)


class _Counted(io.RawIOBase):
    """A file that knows how many of its bytes were read, even when it cannot seek."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)

    def close(self) -> None:
        if self._raw is not sys.stdin.buffer:
            self._raw.close()
        super().close()


class _Zstd(io.RawIOBase):
    """Frames of zstd one after the other; unlike the library's reader it tells a cut frame."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._ready = memoryview(b"")
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and self._more():
            pass
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _more(self) -> bool:
        """Decompresses a little more; False at the end of the file."""
        data = b""
        if self._frame.eof:
            data = self._frame.unused_data
            self._frame, self._begun = zstandard.ZstdDecompressor().decompressobj(), False
        data = data or self._source.read(_ZSTD_BLOCK)
        if not data:
            if self._begun:
                raise EOFError("the compressed data ends in the middle")
            return False
        self._begun = True
        self._ready = memoryview(self._frame.decompress(data))
        return True


def _opened(path: str) -> _Counted:
    # Closed by _Counted.close, which the caller's `with` calls.
    return _Counted(sys.stdin.buffer if path == STDIN else Path(path).open("rb"))


def _read(path: str, raw: _Counted, decoders: _Decoders) -> Iterator[Counts]:
    """Feeds request by request."""
    stream: Any = io.BufferedReader(raw, _BLOCK)
    magic = stream.peek(_PREFIX)[:_PREFIX]
    if magic.startswith(_GZIP):
        stream = io.BufferedReader(_gunzipped(stream), _BLOCK)
    elif magic == _ZSTD:
        stream = io.BufferedReader(_Zstd(stream), _BLOCK)
    content = _Content(path, stream, raw)
    start = content.peek()
    if not start:
        return
    if _is_json(start) or not start.strip(_BLANK):
        yield from _json(content, decoders.json)
    elif start[0] == _FIELD_1:
        body = content.rest(MAX_DOCUMENT_BYTES)
        yield content.feed(decoders.protobuf, body, 0)
    else:
        yield from _delimited(content, decoders)


def _gunzipped(stream: Any) -> Any:
    return igzip.IGzipFile(fileobj=stream)  # type: ignore[no-untyped-call]


def _is_json(start: bytes) -> bool:
    """Whether text begins here. Protobuf may begin so too, but goes on in bytes."""
    begins = start.lstrip(_BLANK)[:1] in (b"{", b"[")
    return begins and not _CONTROL.search(start[:256])


class _Content:
    """What is left of a file after decompression; errors name the file and the byte."""

    def __init__(self, path: str, stream: io.BufferedReader, raw: _Counted) -> None:
        self.path, self._stream, self._raw = path, stream, raw
        self.offset = 0

    def broken(self, offset: int, reason: str) -> BrokenFile:
        return BrokenFile(self.path, offset, reason)

    def _guard(self, call: Callable[[], bytes]) -> bytes:
        try:
            data = call()
        except _DAMAGE as error:
            reason = f"cannot decompress: {error}"
            raise self.broken(self._raw.position, reason) from None
        self.offset += len(data)
        return data

    def peek(self) -> bytes:
        """The next bytes, at least four where there are as many; nothing is consumed."""
        data = self._guard(lambda: self._stream.peek(_PREFIX))
        self.offset -= len(data)
        return data

    def line(self) -> bytes:
        return self._guard(lambda: self._stream.readline(MAX_REQUEST_BYTES + 1))

    def exactly(self, size: int) -> bytes:
        return self._guard(lambda: self._stream.read(size))

    def rest(self, limit: int) -> bytes:
        data = self._guard(lambda: self._stream.read(limit + 1))
        if len(data) > limit:
            raise self.broken(self.offset, f"larger than {limit // 2**20} MiB in one request")
        return data

    def feed(self, decoder: Decoder, body: bytes, start: int) -> Counts:
        """Decodes a body that began at byte `start`."""
        try:
            return decoder.feed(body)
        except MalformedInput as error:
            at = start + (len(body) if error.offset is None else error.offset)
            raise self.broken(at, error.message) from None


def _json(content: _Content, decoder: Decoder) -> Iterator[Counts]:
    """A request a line; when the first line is no whole document, all of it is one."""
    first = True
    while line := content.line():
        start = content.offset - len(line)
        if len(line) > MAX_REQUEST_BYTES:
            limit = MAX_REQUEST_BYTES // 2**20
            raise content.broken(start, f"a line of more than {limit} MiB")
        body = line.strip(_BLANK)
        if not body:
            continue
        if first and not _is_whole(body):
            yield content.feed(decoder, line + content.rest(MAX_DOCUMENT_BYTES), start)
            return
        yield content.feed(decoder, body, start)
        first = False


def _is_whole(line: bytes) -> bool:
    """Whether a line can be a document: `{` alone begins one that is spread over lines."""
    return line.endswith((b"}", b"]"))


def _delimited(content: _Content, decoders: _Decoders) -> Iterator[Counts]:
    """Messages behind their length; each may be zstd, and JSON or protobuf."""
    while prefix := content.exactly(_PREFIX):
        start = content.offset - len(prefix)
        if len(prefix) < _PREFIX:
            raise content.broken(start, "cut off in the length of a message")
        (size,) = struct.unpack(">I", prefix)
        if not 0 < size <= MAX_REQUEST_BYTES:
            raise content.broken(start, f"no OTLP: neither JSON, protobuf nor a length ({size})")
        body = content.exactly(size)
        if len(body) < size:
            reason = f"cut off: a message of {size} bytes has only {len(body)}"
            raise content.broken(content.offset, reason)
        if body.startswith(_ZSTD):
            body = _inflated(content, body, start)
        is_json = body[:1] in (b"{", b"[")
        decoder = decoders.json if is_json else decoders.protobuf
        yield content.feed(decoder, body, start + _PREFIX)


def _inflated(content: _Content, body: bytes, start: int) -> bytes:
    reader = zstandard.ZstdDecompressor().stream_reader(body)
    try:
        inflated = reader.read(MAX_REQUEST_BYTES + 1)
    except zstandard.ZstdError as error:
        raise content.broken(start, f"cannot decompress: {error}") from None
    if len(inflated) > MAX_REQUEST_BYTES:
        raise content.broken(start, "a message that inflates to more than 64 MiB")
    return bytes(inflated)

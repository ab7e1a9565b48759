"""Request bodies: inflated within bounds, decoded off the event loop, accounted for."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from isal import isal_zlib

from collector.decode.errors import MalformedInput
from collector.decode.model import Counts, Decoder

_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15
_GZIP_MAGIC = b"\x1f\x8b"
_STEP = 1 << 20


@dataclass
class Refusal(Exception):  # noqa: N818 - an answer, not a failure of ours
    """Why a request is not taken. `reason` is the label it is counted under."""

    reason: str
    message: str
    http_status: int
    retry_after_s: float | None = None

    def __str__(self) -> str:
        return self.message


def overloaded(message: str) -> Refusal:
    """To be sent again later."""
    return Refusal("overloaded", message, 503, retry_after_s=1.0)


def too_large(limit: int) -> Refusal:
    """Larger than a request may be, as sent or inflated."""
    return Refusal("too_large", f"larger than {limit} bytes", 413)


def malformed(message: str) -> Refusal:
    """Not what it says it is."""
    return Refusal("malformed", message, 400)


def unsupported(message: str) -> Refusal:
    """A content type or encoding that is not read."""
    return Refusal("unsupported", message, 415)


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its content encoding; raises Refusal. Checked while inflating."""
    if len(body) > limit:
        raise too_large(limit)
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _inflate(body, _GZIP_BITS, limit)
        case "deflate":
            # RFC 9110: zlib format; some clients send raw deflate all the same.
            is_zlib = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0
            return _inflate(body, _ZLIB_BITS if is_zlib else _RAW_BITS, limit)
        case other:
            raise unsupported(f"content encoding {other!r}; known: gzip, deflate, identity")


def _inflate(body: bytes, bits: int, limit: int) -> bytes:
    parts: list[bytes] = []
    size, left = 0, body
    inflater = isal_zlib.decompressobj(bits)
    try:
        while True:
            part = inflater.decompress(left, _STEP)
            parts.append(part)
            size += len(part)
            if size > limit:
                raise too_large(limit)
            if inflater.eof:
                left = inflater.unused_data
                if bits != _GZIP_BITS or not left.startswith(_GZIP_MAGIC):
                    return b"".join(parts)
                inflater = isal_zlib.decompressobj(bits)  # RFC 1952: members follow one another
                continue
            left = inflater.unconsumed_tail
            if not part and not left:
                raise malformed("the compressed body is cut off")
    except (zlib.error, isal_zlib.error) as error:  # type: ignore[misc]
        raise malformed(f"cannot decompress: {error}") from None


def feed(decoder: Decoder, body: bytes) -> Counts:
    """Decodes a body; raises Refusal when it cannot be parsed."""
    try:
        return decoder.feed(body)
    except MalformedInput as error:
        raise malformed(error.message) from None

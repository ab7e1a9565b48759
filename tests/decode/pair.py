"""Both decoders side by side; to be imported where the native one is built."""

from __future__ import annotations

from typing import Any

from polars.testing import assert_frame_equal

from collector.decode.bridge import NativeDecoder
from collector.decode.errors import MalformedInput
from collector.decode.model import Decoded, DecodeOptions
from collector.decode.protobuf import ProtobufDecoder
from detectors.kit.columns import SPAN_COLUMNS, SPAN_SCHEMA
from detectors.kit.texts import Texts


class Pair:
    """Both decoders, each with texts of its own."""

    def __init__(self, options: DecodeOptions | None = None, **bounds: int) -> None:
        self.texts = Texts(**bounds), Texts(**bounds)
        self.reference = ProtobufDecoder(self.texts[0], options)
        self.native = NativeDecoder(self.texts[1], options)

    def agree(self, body: bytes) -> Decoded | None:
        """The spans of a body, which both see alike; None when both say that it has none."""
        results: list[Any] = []
        for decoder in (self.reference, self.native):
            try:
                results.append(decoder(body))
            except MalformedInput as error:
                results.append((error.message, error.offset))
        expected, found = results
        if not isinstance(expected, Decoded):
            assert found == expected
            return None
        assert dict(found.frame.schema) == SPAN_SCHEMA
        assert_frame_equal(found.frame, expected.frame)
        assert (found.rejected, found.repaired) == (expected.rejected, expected.repaired)
        for column in SPAN_COLUMNS:
            if column.role == "text":
                codes = set(found.frame[column.name]) - {None}
                known = self.texts[0].select(codes)
                assert self.texts[1].select(codes) == known
        return expected

"""Which decoder is used: the native one where it is built, else the reference.

Both give the same spans (`tests/decode/test_native.py`); they differ in speed alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from collector.decode.model import DecodeOptions, Decoder
from collector.decode.otlpjson import JsonDecoder
from collector.decode.protobuf import ProtobufDecoder
from detectors.kit.knobs import SettingsError
from detectors.kit.native import INTERFACE
from detectors.kit.texts import Texts

log = logging.getLogger(__name__)

NATIVE, REFERENCE = "native", "reference"
Maker = Callable[[Texts, DecodeOptions | None], Decoder]


def decoders() -> dict[str, Maker]:
    """All decoders that are here, by name; the preferred one first."""
    found: dict[str, Maker] = {}
    if find_spec("spanlint_native") is not None:
        found[NATIVE] = _native
    found[REFERENCE] = ProtobufDecoder
    return found


def native_module() -> ModuleType:
    """The extension; raises ImportError when it is of another version or not there."""
    module = import_module("spanlint_native")
    spoken = getattr(module, "INTERFACE", 1)
    if spoken != INTERFACE:
        older = "older" if spoken < INTERFACE else "newer"
        raise ImportError(
            f"it is {older} (interface {spoken}, not {INTERFACE}); install the one of this version"
        )
    return module


def fits(decoder: str) -> bool:
    """Whether native code is used where that decoder is asked for: it is here, and speaks this."""
    if decoder == REFERENCE:
        return False
    try:
        native_module()
    except (ImportError, AttributeError):
        return False  # `make_decoder` says why
    return True


def _native(texts: Texts, options: DecodeOptions | None = None) -> Decoder:
    """Raises ImportError, TypeError or ValueError when the extension is of another version."""
    native_module()
    from collector.decode.bridge import NativeDecoder

    return NativeDecoder(texts, options)


def make_decoder(texts: Texts, options: DecodeOptions | None = None) -> Decoder:
    """The decoder that the options ask for; `auto` is the best one that works.

    Raises SettingsError when `native` is asked for and cannot be had.
    """
    wanted = (options or DecodeOptions()).decoder
    if wanted == REFERENCE:
        return ProtobufDecoder(texts, options)
    try:
        return _native(texts, options)
    except ModuleNotFoundError:
        reason = "spanlint-native is not installed"
    except (ImportError, ValueError, TypeError, AttributeError) as error:
        # Built for another version of spanlint: slow is better than not at all.
        reason = f"spanlint-native does not fit this spanlint: {error}"
        log.warning("%s; using the reference decoder", reason)
    if wanted == NATIVE:
        raise SettingsError(f"decoder: native cannot be had: {reason}")
    return ProtobufDecoder(texts, options)


def make_json_decoder(texts: Texts, options: DecodeOptions | None, protobuf: Decoder) -> Decoder:
    """The decoder of OTLP/JSON that goes with one of protobuf, which it feeds where that pays."""
    reference = JsonDecoder(texts, options)
    if protobuf.name != NATIVE:
        return reference
    from collector.decode.bridge import NativeJsonDecoder

    return NativeJsonDecoder(protobuf, reference)

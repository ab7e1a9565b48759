"""Which window is used: the one that goes with the decoder."""

from __future__ import annotations

from collector.decode.choice import fits
from collector.window.model import Limits, Window
from collector.window.reference import ReferenceWindow


def make_window(limits: Limits, decoder: str = "auto") -> Window:
    """The native window where the native decoder can be had, unless the reference is asked for.

    Both close the same traces (`tests/window/test_window.py`); they differ in speed alone.
    """
    if fits(decoder):
        from collector.window.native import NativeWindow

        return NativeWindow(limits)
    return ReferenceWindow(limits)

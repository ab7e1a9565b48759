"""Which spool is used: the one that goes with the decoder."""

from __future__ import annotations

from collector.decode.choice import fits
from collector.spool.model import Spool
from collector.spool.reference import ReferenceSpool


def make_spool(budget_bytes: int, decoder: str = "auto") -> Spool:
    """The native spool where the native decoder can be had, unless the reference is asked for."""
    if fits(decoder):
        from collector.spool.native import NativeSpool

        return NativeSpool(budget_bytes)
    return ReferenceSpool(budget_bytes)

"""All spans of a recording come back, each trace in one slab, whether they fit in memory or not."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from collector.decode.choice import NATIVE, REFERENCE, decoders
from collector.spool.choice import make_spool
from collector.spool.model import Spool
from decode.making import linked
from detectors.kit import native
from detectors.kit.columns import SPAN_SCHEMA
from detectors.kit.texts import Texts
from support.frames import frame, span
from support.recordings import recorded

ROOMY, TIGHT, NONE = 1 << 30, 20_000, 0
KINDS = list(decoders())
BODIES = [*recorded(), linked().SerializeToString()]


def spool_of(kind: str, budget_bytes: int) -> Spool:
    spool = make_spool(budget_bytes, REFERENCE if kind == REFERENCE else "auto")
    assert type(spool).__name__ == ("NativeSpool" if kind == NATIVE else "ReferenceSpool")
    return spool


@pytest.mark.parametrize("budget_bytes", [ROOMY, TIGHT, NONE])
@pytest.mark.parametrize("decoder", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_span_comes_back_in_the_slab_of_its_trace(
    kind: str, decoder: str, budget_bytes: int
) -> None:
    decode = decoders()[decoder](Texts(), None)
    expected = pl.concat([decode(body).frame for body in BODIES])
    assert expected["links"].null_count() < expected.height

    with spool_of(kind, budget_bytes) as spool:
        for body in BODIES:
            decode.feed(body)
            for spans in decode.take_packed():
                spool.add(spans)
        slabs = list(spool.slabs(100))
        assert spool.on_disk == (budget_bytes != ROOMY)
        folder = spool.folder if spool.on_disk else None

    assert spool.rows == expected.height == sum(slab.height for slab in slabs)
    found = pl.concat(slabs)
    assert_frame_equal(found.unique(), expected.unique(), check_row_order=False)
    traces = pl.concat([slab.select("trace_hi", "trace_lo").unique() for slab in slabs])
    assert traces.is_unique().all()
    assert folder is None or not folder.exists()
    if kind == NATIVE:
        assert all(native.lay_out(slab) is not None for slab in slabs)


@pytest.mark.parametrize("budget_bytes", [ROOMY, NONE])
@pytest.mark.parametrize("kind", KINDS)
def test_slabs_are_as_large_as_asked_for(kind: str, budget_bytes: int) -> None:
    rows = (span(n + 1, trace=n // 5, trace_hi=n // 5 << 50) for n in range(1_000))
    with spool_of(kind, budget_bytes) as spool:
        spool.add(frame(*rows))
        spool.add(frame(span(9_999, trace=7_777)))
        sizes = [slab.height for slab in spool.slabs(200)]

    assert sum(sizes) == 1_001
    if kind == NATIVE:  # the reference cuts nothing smaller than a slab of its own
        assert max(sizes) <= 200
    assert len(sizes) <= 20, "partitions share a slab"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_no_slab(kind: str) -> None:
    with spool_of(kind, ROOMY) as spool:
        spool.add(pl.DataFrame(schema=SPAN_SCHEMA))
        assert not list(spool.slabs(100))
        assert spool.rows == 0

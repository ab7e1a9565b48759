"""A receiver feeds many bodies before it takes their spans as one frame."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from collector.decode import otlpjson
from collector.decode.choice import decoders
from collector.decode.errors import MalformedInput
from decode.making import request_of
from detectors.kit.texts import Texts
from support.otlp import as_json


@pytest.mark.parametrize("name", [*decoders(), "json"])
def test_many_bodies_in_one_frame_are_those_of_each_alone(name: str) -> None:
    bodies = [request_of([{"name": f"n{n}"}] * n) for n in (2, 0, 3)]
    written = [as_json(b) if name == "json" else b.SerializeToString() for b in bodies]
    make = otlpjson.JsonDecoder if name == "json" else decoders()[name]
    apart, together = make(Texts(), None), make(Texts(), None)
    alone = [apart(body) for body in written]

    counts = [together.feed(body) for body in written]
    with pytest.raises(MalformedInput):
        together.feed(b"\xff")

    assert [c.accepted for c in counts] == [2, 0, 3]
    assert len(together) == 5
    assert_frame_equal(together.take(), pl.concat([d.frame for d in alone]))
    assert len(together) == together.take().height == 0

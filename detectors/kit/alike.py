"""Rows that are looked at closer: those that may share a key, those of some entries."""

from __future__ import annotations

import numpy as np
import polars as pl

from detectors.kit.forest import Ids, Mask, Rows


def alike(numbers: pl.Series) -> Mask:
    """UInt64, a mix of each row's key (`sampling.mix`) -> rows whose key another row may have too.

    All that do, and a few that do not: those that agree in the upper bits.
    """
    place, same = _sorted(numbers.to_numpy())
    found = np.zeros(len(numbers), np.bool_)
    found[place[1:][same]] = True
    found[place[:-1][same]] = True
    return found


def sorted_places(numbers: Ids) -> Rows:
    """Places of numbers in ascending order; of equal ones the earlier place first."""
    place, same = _sorted(numbers)
    inner, before = numbers[place[1:][same]], numbers[place[:-1][same]]
    return place if np.array_equal(inner, before) else np.argsort(numbers, kind="stable")


def _sorted(numbers: Ids) -> tuple[Rows, Mask]:
    """Places of numbers in the order of their upper bits, and which agree with the one before.

    The place is put into the lower bits: so one sort of plain numbers, a third of what a hash
    table takes and half of what sorting places does, brings together what is alike.
    """
    bits = np.uint64(len(numbers).bit_length())
    packed = (numbers >> bits << bits) | np.arange(len(numbers), dtype=np.uint64)
    packed.sort()
    upper = packed >> bits
    place = (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    return place, upper[1:] == upper[:-1]


def flags(spans: pl.DataFrame, entries: pl.Series) -> Mask:
    """Of all entries in the frame, by their number: whether they are among these."""
    among = np.zeros(int(spans["entry"].max()) + 1, np.bool_)  # type: ignore[arg-type]
    among[entries.to_numpy()] = True
    return among


_PLACES = 1 << 14


def distinct(numbers: pl.Series) -> set[int]:
    """UInt64, well mixed, most of which occur again and again -> those that there are.

    Each is written to the place that its upper bits say, and most find themselves there again: what
    is distinct is in these places, and the few that found another. Half of what hashing all takes.
    """
    values = numbers.to_numpy()
    places = (values >> np.uint64(50)).astype(np.int64)
    last = np.zeros(_PLACES, np.uint64)
    last[places] = values
    others = values[last[places] != values]
    written = np.zeros(_PLACES, np.bool_)
    written[places] = True
    return {*last[written].tolist(), *np.unique(others).tolist()}

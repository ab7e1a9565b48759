"""Which rows may share a key with another: mostly few, and only these need to be grouped."""

from __future__ import annotations

import numpy as np
import polars as pl

from detectors.kit.forest import Mask


def alike(numbers: pl.Series) -> Mask:
    """UInt64, a mix of each row's key (`sampling.mix`) -> rows whose key another row may have too.

    All that do, and a few that do not: numbers are told apart by their upper bits, the lower ones
    being the row's place, so that one sort of plain numbers, a third of what a hash table takes,
    brings together what is alike and says where it was.
    """
    rows = len(numbers)
    found = np.zeros(rows, np.bool_)
    bits = np.uint64(rows.bit_length())
    packed = (numbers.to_numpy() >> bits << bits) | np.arange(rows, dtype=np.uint64)
    packed.sort()
    upper = packed >> bits
    place = packed & ((np.uint64(1) << bits) - np.uint64(1))
    same = upper[1:] == upper[:-1]
    found[place[1:][same]] = True
    found[place[:-1][same]] = True
    return found

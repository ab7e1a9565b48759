"""Exact tests against counting by hand, and against tables of known values."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.kit.statistics import (
    binomial_greater,
    chi_square_greater,
    fisher_greater,
    g_statistic,
    log_choose,
)

COUNTS = st.integers(0, 12)


def by_counting(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """Fisher's test in whole numbers."""
    total, marked = of + other_of, hits + other_hits
    ways = sum(
        math.comb(marked, k) * math.comb(total - marked, of - k)
        for k in range(hits, min(of, marked) + 1)
    )
    return float(Fraction(ways, math.comb(total, of)))


@given(a=COUNTS, b=COUNTS, c=COUNTS, d=COUNTS)
def test_fisher_is_counting(a: int, b: int, c: int, d: int) -> None:
    assert fisher_greater(a, a + b, c, c + d) == pytest.approx(by_counting(a, a + b, c, c + d))


def test_fisher_of_the_lady_tasting_tea() -> None:
    assert fisher_greater(3, 4, 1, 4) == pytest.approx(17 / 70)


def test_fisher_of_many_and_of_none() -> None:
    assert fisher_greater(0, 0, 0, 0) == 1
    assert fisher_greater(50_000, 100_000, 50_000, 100_000) == pytest.approx(0.5, abs=0.01)
    assert fisher_greater(20, 20, 0, 20) < 1e-6 < fisher_greater(8, 8, 0, 16) * 2


@given(
    chances=st.lists(st.sampled_from([0.1, 0.25, 0.5, 0.9]), min_size=1, max_size=9),
    hits=st.integers(0, 9),
)
def test_the_binomial_bound_is_never_below_the_truth(chances: list[float], hits: int) -> None:
    truth = sum(
        math.prod(p if hit else 1 - p for p, hit in zip(chances, outcome, strict=True))
        for outcome in itertools.product((False, True), repeat=len(chances))
        if sum(outcome) >= hits
    )

    bound = binomial_greater(min(hits, len(chances)), len(chances), sum(chances) / len(chances))

    assert bound >= (truth if hits <= len(chances) else 0) - 1e-12


def test_the_binomial_bound_is_not_idle() -> None:
    assert binomial_greater(100, 100, 1 / 3) == pytest.approx((1 / 3) ** 100)
    assert binomial_greater(33, 100, 1 / 3) == 1
    assert binomial_greater(3, 3, 0.0) == 0


@given(table=st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=6))
def test_g_is_the_likelihood_ratio(table: list[tuple[int, int]]) -> None:
    g, degrees = g_statistic(table)
    whole = sum(map(sum, table))
    columns = [sum(c) for c in zip(*table, strict=True)]

    def log_likelihood(chance: object) -> float:
        return sum(
            seen * math.log(chance(row, j))  # type: ignore[operator]
            for row in table
            for j, seen in enumerate(row)
            if seen
        )

    free = log_likelihood(lambda row, j: row[j] / sum(row))
    bound = log_likelihood(lambda _, j: columns[j] / whole)
    assert g == pytest.approx(2 * (free - bound), abs=1e-9)
    assert degrees == max(0, sum(any(r) for r in table) - 1) * max(
        0, sum(c > 0 for c in columns) - 1
    )


@pytest.mark.parametrize(
    ("degrees", "bound", "chance"),
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4
    [(1, 3.841, 0.05), (1, 10.828, 0.001), (10, 18.307, 0.05), (10, 29.588, 0.001),
     (100, 124.342, 0.05), (100, 149.449, 0.001)],
)  # fmt: skip
def test_chi_square_of_the_tables(degrees: int, bound: float, chance: float) -> None:
    assert chi_square_greater(bound, degrees) == pytest.approx(chance, rel=0.01)


@given(x=st.floats(0.01, 200), half=st.integers(1, 40))
def test_chi_square_of_even_degrees_is_a_poisson_sum(x: float, half: int) -> None:
    poisson = sum(math.exp(k * math.log(x / 2) - x / 2 - math.lgamma(k + 1)) for k in range(half))

    assert chi_square_greater(x, 2 * half) == pytest.approx(poisson, abs=1e-12, rel=1e-9)


def test_choose_outside_of_its_range() -> None:
    assert log_choose(3, 4) == log_choose(3, -1) == -math.inf
    assert math.exp(log_choose(5, 2)) == pytest.approx(10)

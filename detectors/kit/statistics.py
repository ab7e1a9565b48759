"""Exact tests on small tables of counts, by the logarithm of the gamma function alone.

All give the probability of what was seen, or more of it, if nothing were the matter. Rules hold it
against a bound; a ratio alone says nothing about ten requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

_NEGLIGIBLE = 1e-17
"""Further terms of a falling series do not change a double any more."""
_TINY = 1e-300
_MAX_TERMS = 10_000


def log_choose(n: int, k: int) -> float:
    """Natural logarithm of the binomial coefficient; minus infinity outside 0 ≤ k ≤ n."""
    if not 0 <= k <= n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def fisher_greater(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """One-sided exact test of Fisher (1922): P(at least `hits` of `of` | the margins of the table).

    Small when `hits` of `of` are more than `other_hits` of `other_of` can explain; 1 without data.
    """
    total, marked = of + other_of, hits + other_hits
    most = min(of, marked)
    whole = log_choose(total, of)
    found = 0.0
    for k in range(hits, most + 1):
        term = math.exp(log_choose(marked, k) + log_choose(total - marked, of - k) - whole)
        found += term
        # Beyond its peak the distribution falls faster and faster.
        if term < found * _NEGLIGIBLE and k * total > of * marked:
            break
    return min(1.0, found)


def binomial_greater(hits: int, of: int, chance: float) -> float:
    """Upper bound of P(at least `hits` of `of` | independent chances whose mean is `chance`).

    Hoeffding (1963), theorem 1: holds for unequal chances too, and is no test of ours to tune.
    """
    if not of or hits <= of * chance:
        return 1.0
    if chance <= 0:
        return 0.0
    share = hits / of
    distance = share * math.log(share / chance)
    if share < 1:
        distance += (1 - share) * math.log((1 - share) / (1 - chance))
    return math.exp(-of * distance)


def g_statistic(table: Iterable[Sequence[int]]) -> tuple[float, int]:
    """Deviance of a table of counts from independence, and its degrees of freedom.

    G = 2 Σ O ln(O/E). Rows and columns without any count do not take part.
    """
    rows = [row for row in table if sum(row)]
    columns = [sum(column) for column in zip(*rows, strict=True)]
    whole = sum(columns)
    g = 0.0
    for row in rows:
        in_row = sum(row)
        for seen, in_column in zip(row, columns, strict=True):
            if seen:
                g += seen * math.log(seen * whole / (in_row * in_column))
    degrees = (len(rows) - 1) * (sum(c > 0 for c in columns) - 1) if rows else 0
    return max(0.0, 2 * g), max(0, degrees)


def chi_square_greater(statistic: float, degrees: int) -> float:
    """P(a chi-square of so many degrees of freedom is at least `statistic`); 1 with none.

    The regularised upper incomplete gamma function: a series left of its bend, a continued fraction
    (Lentz) right of it.
    """
    if degrees <= 0 or statistic <= 0:
        return 1.0
    a, x = degrees / 2, statistic / 2
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        return max(0.0, 1.0 - scale * _lower_series(a, x))
    return min(1.0, scale * _upper_fraction(a, x))


def _lower_series(a: float, x: float) -> float:
    term = total = 1 / a
    for n in range(1, _MAX_TERMS):
        term *= x / (a + n)
        total += term
        if term < total * _NEGLIGIBLE:
            break
    return total


def _upper_fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    h = d
    for n in range(1, _MAX_TERMS):
        step = n * (a - n)
        b += 2
        d = 1 / _nonzero(step * d + b)
        c = _nonzero(b + step / c)
        h *= d * c
        if abs(d * c - 1) < _NEGLIGIBLE * 100:
            break
    return h


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY

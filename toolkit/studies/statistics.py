"""The statistics of a bias table: intervals, a test against stated shares, Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

DRAWS = 20_000


def wilson(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share (Wilson 1927); (0, 1) when nothing was seen."""
    from scipy.stats import binomtest

    if total == 0:
        return 0.0, 1.0
    interval = binomtest(count, total).proportion_ci(confidence, "wilson")
    return float(interval.low), float(interval.high)


def shares_test(counts: ArrayLike, shares: ArrayLike, seed: int = 0) -> float:
    """p-value that the counts come from these shares; NaN when nothing was counted.

    Pearson's chi-square where every expected count is at least 5, an exact binomial test for two
    levels otherwise, and for more levels the same statistic against 20,000 drawn tables (its
    p-value can't be under 1 / 20,001).
    """
    from scipy.stats import binomtest, chisquare

    seen, expected = np.asarray(counts), np.asarray(shares, float)
    total = int(seen.sum())
    if total == 0:
        return float("nan")
    if (seen[expected == 0] > 0).any():
        return 0.0  # something was drawn that the reference rules out
    seen, expected = seen[expected > 0], expected[expected > 0]
    if len(seen) < 2:
        return 1.0
    if (total * expected).min() >= 5:
        return float(chisquare(seen, total * expected).pvalue)
    if len(seen) == 2:
        return float(binomtest(int(seen[0]), total, float(expected[0])).pvalue)
    drawn = np.random.default_rng(seed).multinomial(total, expected, DRAWS)
    distance = ((drawn - total * expected) ** 2 / (total * expected)).sum(1)
    ours = ((seen - total * expected) ** 2 / (total * expected)).sum()
    return float((1 + (distance >= ours - 1e-9).sum()) / (1 + DRAWS))


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979); NaN stays NaN and is no test."""
    p = np.asarray(pvalues, float)
    adjusted = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p) if not np.isnan(p[i])]
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted.tolist()

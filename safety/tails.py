"""Tails of sums of independent terms, from their cumulants."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.optimize import brentq


def upper_tail(
    total: float, spread: float, cumulants: Callable[[float], tuple[float, float, float]]
) -> float:
    """P(a symmetric sum is at least `total` > 0): Lugannani & Rice (1980, formula 10).

    `cumulants(s)` gives the sum's cumulant generating function and its first two derivatives;
    `total` lies under the greatest sum, and `spread` is the sum's standard deviation.
    """
    if total < 0.01 * spread:  # the formula is 0 / 0 at the mean
        return 0.5 * math.erfc(total / spread / math.sqrt(2))
    high = 1.0 / spread
    while cumulants(high)[1] < total:
        high *= 2
    s = float(brentq(lambda at: cumulants(at)[1] - total, 0, high))
    cumulant, _, curve = cumulants(s)
    w = math.sqrt(max(2 * (s * total - cumulant), 0))
    u = s * math.sqrt(curve)
    density = math.exp(-w * w / 2) / math.sqrt(2 * math.pi)
    return min(1.0, math.erfc(w / math.sqrt(2)) / 2 + density * (1 / u - 1 / w))

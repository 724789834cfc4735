"""Differences of class means: the baseline that is hard to beat (Wu et al. 2025, AxBench)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from probes.direction import Direction, Space
from probes.inputs import along, checked, contrasts, space_or_unknown


class MeanDifference(BaseEstimator):
    """Difference of class means, level against the rest (Kim et al. 2018 call it a mean CAV).

    Evidence: `gap`, its length, and `separation`, the same in standard deviations along it
    (Cohen's d).

    Misleads when another factor goes along with the labelled one in the data: the other's
    difference is then a part of this direction, and pushing along it moves both. Balance the
    labels, or look at the leaks that `prove` measures.

    Learned: `directions_` (name to Direction; "glasses", or "skin=pale" for one level of many).
    """

    def __init__(self, space: Space | None = None):
        self.space = space

    def fit(self, X: Any, Y: Any) -> MeanDifference:
        """Fit on (n, d) vectors and a mapping from factor to n labels (None: left out)."""
        X = checked(self, X, np.float64, reset=True)
        self.directions_: dict[str, Direction] = {}
        for one in contrasts(Y, len(X)):
            difference = X[one.on].mean(0) - X[one.off].mean(0)
            gap = float(np.linalg.norm(difference))
            unit = difference / max(gap, 1e-300)
            inside = np.sqrt(((X[one.on] @ unit).var() + (X[one.off] @ unit).var()) / 2)
            evidence = one.counts | {"gap": gap, "separation": float(gap / max(inside, 1e-12))}
            self.directions_[one.name] = along(
                difference, X, space_or_unknown(self.space), one.name,
                "difference of class means", evidence,
            )  # fmt: skip
        return self

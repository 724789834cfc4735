"""Directions from contrastive pairs: twins that differ in one thing (Zou et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from probes.direction import Direction, Space
from probes.inputs import along, space_or_unknown
from probes.text_difference import consistency, pairs


def _axis(differences: np.ndarray) -> np.ndarray:
    """First right singular vector of (m, d) differences, uncentred, pointing their way."""
    vector = np.linalg.svd(differences, full_matrices=False)[2][0]
    return vector if (differences @ vector).sum() >= 0 else -vector


class ContrastivePairs(BaseEstimator):
    """The axis that pairs of twins differ along most: first component of their differences.

    Pairs share everything but the factor, so nothing that goes along with it in the world comes
    in: what other methods correct for, pairs avoid. Evidence: `held_out`, the share of pairs
    whose difference points along the axis of the *other* pairs (5 folds; 0.5 is chance) with its
    count, and `explained`, the axis' part of the differences' squares.

    Misleads when the twins differ in more than was meant, as those of an image generator often do:
    the axis then holds all of it, and held-out pairs agree just as well.

    Learned: `directions_` (name to Direction; mean and sigma are those of all twins).
    """

    def __init__(self, space: Space | None = None, random_state: int = 0):
        self.space = space
        self.random_state = random_state

    def fit(self, X: Mapping[str, tuple[Any, Any]], y: None = None) -> ContrastivePairs:
        """Fit on vectors by name: (m, d) with the thing, and their m twins without."""
        self.directions_: dict[str, Direction] = {}
        for name, (on, off) in pairs(X).items():
            each = on - off
            if len(each) < 3:
                raise ValueError(f"{name} has {len(each)} pairs; contrastive pairs need 3")
            if not each.any():
                raise ValueError(f"the twins of {name} are all alike; there is nothing to find")
            order = np.random.default_rng(self.random_state).permutation(len(each))
            hits = 0
            for test in np.array_split(order, min(5, len(each))):
                hits += int((each[test] @ _axis(np.delete(each, test, 0)) > 0).sum())
            vector = _axis(each)
            evidence = {
                "pairs": len(each),
                "held_out": hits / len(each),
                "explained": float(((each @ vector) ** 2).sum() / (each**2).sum()),
                "consistency": consistency(each),
            }
            self.directions_[name] = along(
                vector, np.concatenate([on, off]), space_or_unknown(self.space), name,
                "contrastive pairs", evidence,
            )  # fmt: skip
        return self

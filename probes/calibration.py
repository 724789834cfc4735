"""From class-balanced scores to probabilities, and how far those are from what happened."""

from __future__ import annotations

import numpy as np


def probabilities(scores: np.ndarray, share: float) -> np.ndarray:
    """Probabilities at the data's share from class-balanced log odds (King & Zeng 2001)."""
    odds = np.log(share / (1 - share)) if 0 < share < 1 else 0.0
    return 1 / (1 + np.exp(-np.clip(scores + odds, -60, 60)))


def calibration_error(on: np.ndarray, probability: np.ndarray, bins: int = 10) -> float:
    """Mean |said - happened| over bins of probability, by their size (Guo et al. 2017, ECE)."""
    if not len(on):
        return float("nan")
    place = np.minimum((probability * bins).astype(int), bins - 1)
    gap = np.bincount(place, probability - on, minlength=bins)
    return float(np.abs(gap).sum() / len(on))

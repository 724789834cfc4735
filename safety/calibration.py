"""Scores and thresholds from labelled embeddings, with what they were set on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


def exact_interval(hits: int, n: int) -> tuple[float, float]:
    """95 % Clopper-Pearson interval of a proportion (Clopper & Pearson 1934)."""
    from scipy.stats import beta

    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(0.975, hits + 1, n - hits))
    return low, high


STRENGTH = 0.01  # of a logistic fit: the inverse of its penalty


@dataclass(frozen=True)
class Concept:
    """A named concept in an embedding space: score = weights . x + offset, and its threshold.

    `special` concepts, when they fire, lower the bar for all others (the special-care logic of
    the Stable Diffusion safety checker, with names that can be read).
    """

    name: str
    weights: np.ndarray  # (d,)
    offset: float
    threshold: float
    special: bool = False
    calibration: dict[str, Any] = field(default_factory=dict)

    def score(self, x: np.ndarray) -> np.ndarray:
        """(n, d) to (n,) scores; 0 is halfway between the classes, 1 the concept's mean."""
        return np.asarray(x, np.float64) @ self.weights + self.offset


def whitener(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and inverse covariance (d, d) of real embeddings, shrunk (Ledoit & Wolf 2004)."""
    from sklearn.covariance import LedoitWolf

    fitted = LedoitWolf().fit(np.asarray(x, np.float64))
    return fitted.location_, np.linalg.inv(fitted.covariance_)


def _parts(x: np.ndarray, share: float = 0.5) -> list[np.ndarray]:
    """The first `share`, and the two halves of what is left."""
    first = int(share * len(x))
    return np.array_split(x, [first, first + (len(x) - first) // 2])


def fisher(on: np.ndarray, off: np.ndarray) -> np.ndarray:
    """Weights (d,) of a linear discriminant between two classes (Fisher 1936), shrunk."""
    means = on.mean(0), off.mean(0)
    _, inverse = whitener(np.concatenate([on - means[0], off - means[1]]))
    return inverse @ (means[0] - means[1])


def logistic(on: np.ndarray, off: np.ndarray) -> np.ndarray:
    """Weights (d,) of a logistic regression on standardised inputs (Cox 1958), classes balanced.

    It heeds the pictures near the border, where a discriminant heeds the bulk of each class: the
    better one for marks that are now plain and now faint.
    """
    from sklearn.linear_model import LogisticRegression

    x = np.concatenate([on, off])
    spread = np.maximum(x.std(0), 1e-9)
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500)
    model.fit((x - x.mean(0)) / spread, np.arange(len(x)) < len(on))
    return np.asarray(model.coef_[0], np.float64) / spread


def fit_concept(
    name: str,
    positive: np.ndarray,
    negative: np.ndarray,
    *,
    weigh: Callable[[np.ndarray, np.ndarray], np.ndarray] = fisher,
    fpr: float = 0.005,
    miss: float | None = None,
    share: float = 0.5,
    special: bool = False,
) -> Concept:
    """A linear concept, its direction by `weigh`, and a threshold at a stated false positive rate.

    That `share` of each class fits the direction; half of the rest sets the threshold, the other
    half measures it, so that the rates are those of data never used. Where the classes lie apart
    the threshold moves to the middle of the gap: pictures that a model drew are never just like
    those fitted on. With `miss` it moves on to where that share of the positives is missed: for a
    check that others stand behind, and that should be wrong about hardly anybody.
    """
    on, off = (_parts(np.asarray(x), share) for x in (positive, negative))
    means = on[0].mean(0), off[0].mean(0)
    weights = weigh(on[0], off[0])
    half = float(weights @ (means[0] - means[1])) / 2
    weights, offset = weights / half, -float(weights @ (means[0] + means[1])) / 2 / half
    bar = float(np.quantile(off[1] @ weights + offset, 1 - fpr, method="higher")) + 1e-9
    gap = float(np.quantile(on[1] @ weights + offset, 0.05)) - bar
    threshold = bar + max(gap, 0.0) / 2
    if miss is not None:
        threshold = max(bar, float(np.quantile(on[1] @ weights + offset, miss)))
    on, off = on[2] @ weights + offset, off[2] @ weights + offset
    hits, false = int((on >= threshold).sum()), int((off >= threshold).sum())
    calibration = {
        "positives": len(on),
        "negatives": len(off),
        "tpr": hits / len(on),
        "tpr_ci95": exact_interval(hits, len(on)),
        "fpr": false / len(off),
        "fpr_ci95": exact_interval(false, len(off)),
        "auc": float((on[:, None] > off[None]).mean()),
    }
    return Concept(name, weights, offset, threshold, special, calibration)


def for_other_vectors(
    concept: Concept, innocent: np.ndarray, *, fpr: float = 0.005, least: float | None = None
) -> Concept:
    """The concept with a threshold for vectors of another kind, never under `least` (its own).

    What a prior imagines is not quite what an image tower sees: half of such `innocent` vectors
    (n, d) set the threshold at that false positive rate, the other half measure it.
    """
    setting, measured = np.array_split(concept.score(innocent), 2)
    bar = float(np.quantile(setting, 1 - fpr, method="higher")) + 1e-9
    threshold = max(bar, concept.threshold if least is None else least)
    false = int((measured >= threshold).sum())
    facts = {
        "negatives": len(measured),
        "fpr": false / len(measured),
        "fpr_ci95": exact_interval(false, len(measured)),
    }
    return replace(concept, threshold=threshold, calibration=facts)

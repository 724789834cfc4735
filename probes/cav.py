"""Concept activation vectors with their random twins (Kim et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from probes.direction import Direction, Space
from probes.inputs import Contrast, along, checked, contrasts, finite, space_or_unknown
from probes.logistic import balanced_weights, fit_heads


@dataclass(frozen=True)
class Sensitivity:
    """Share of gradients that rise along a concept, by CAV, and along random CAVs.

    `p` tests the concept's shares against the random ones (Welch's t, two-sided, section 3.4).
    """

    score: float
    random: float
    p: float
    runs: int


def _units(coef: np.ndarray) -> np.ndarray:
    return coef / np.maximum(np.linalg.norm(coef, axis=1, keepdims=True), 1e-300)


class CAVDirections(BaseEstimator):
    """Normals of classifiers that tell a concept's examples from random others, many times.

    Each of `runs` classifiers sees all examples of a level and as many rows drawn from the rest,
    two thirds to learn, a third to test. The direction is the mean of the unit normals. `stability`
    is their mean pairwise cosine, and `random_stability` the same for random rows taken for a
    concept: it is high too where examples are many, so only a stability above it says anything.

    Misleads when used to push (a classifier's normal reads, and leans on axes where vectors hardly
    vary), when the concept's examples share something else than the concept, and when `stability`
    is believed without `random_stability` beside it.

    Learned: `directions_` (name to Direction), `cavs_` (name to (runs, d)), `random_` (runs, d).
    """

    def __init__(
        self, space: Space | None = None, runs: int = 20, C: float = 0.1, random_state: int = 0
    ):
        self.space = space
        self.runs = runs
        self.C = C
        self.random_state = random_state

    def _fit(self, X: np.ndarray, on: np.ndarray, off: np.ndarray, rng: np.random.Generator):
        """CAVs (runs, d) and their accuracies (runs,) on examples kept apart."""
        n = len(X)
        rows, test = np.zeros((n, self.runs), bool), np.zeros((n, self.runs), bool)
        count = min(len(on), len(off))
        learn = max(1, round(count * 2 / 3))
        for run in range(self.runs):
            for pool in (on, off):
                drawn = rng.permutation(pool)[:count]
                rows[drawn[:learn], run] = True
                test[drawn[learn:], run] = True
        labels = np.zeros((n, self.runs), bool)
        labels[on] = True
        heads = fit_heads(X, labels, self.C, balanced_weights(labels, rows), tol=1e-5)
        right = (heads.logits(X) > 0) == labels
        tested = np.maximum(test.sum(0), 1)
        return _units(heads.coef), (right & test).sum(0) / tested

    def fit(self, X: Any, Y: Any) -> CAVDirections:
        """Fit on (n, d) vectors and a mapping from factor to n labels (None: left out)."""
        X = checked(self, X, np.float64, reset=True)
        if self.runs < 2:
            raise ValueError(f"runs is {self.runs}; a CAV needs at least 2 to say how stable it is")
        found = contrasts(Y, len(X))
        for one in found:
            if min(one.on.sum(), one.off.sum()) < 3:
                raise ValueError(
                    f"{one.name} has {int(one.on.sum())} examples and {int(one.off.sum())} others; "
                    "a CAV needs 3 of each"
                )
        rng = np.random.default_rng(self.random_state)
        scale = X.std(0).mean()
        Z = (X - X.mean(0)) / max(scale, 1e-12)
        size = int(np.median([min(one.on.sum(), one.off.sum()) for one in found]))
        draws = [rng.permutation(len(X)) for _ in range(self.runs)]
        self.random_ = np.concatenate(
            [self._one(Z, order[:size], order[size : 2 * size], rng) for order in draws]
        )
        self.cavs_: dict[str, np.ndarray] = {}
        self.directions_: dict[str, Direction] = {}
        for one in found:
            cavs, accuracy = self._fit(Z, np.flatnonzero(one.on), np.flatnonzero(one.off), rng)
            null = [self._twin(Z, one, rng) for _ in range(3)]
            self.cavs_[one.name] = cavs
            evidence = one.counts | {
                "accuracy": float(accuracy.mean()),
                "stability": _stability(cavs),
                "random_stability": float(np.mean(null)),
                "runs": self.runs,
            }
            self.directions_[one.name] = along(
                cavs.mean(0), X, space_or_unknown(self.space), one.name, "CAV", evidence
            )
        return self

    def _twin(self, Z: np.ndarray, one: Contrast, rng: np.random.Generator) -> float:
        """Stability of as many random rows taken for a concept."""
        order, count = rng.permutation(np.flatnonzero(one.rows)), int(one.on.sum())
        return _stability(self._fit(Z, order[:count], order[count:], rng)[0])

    def _one(self, Z: np.ndarray, on: np.ndarray, off: np.ndarray, rng: np.random.Generator):
        """One CAV (1, d) of a random set against another."""
        labels = np.zeros((len(Z), 1), bool)
        labels[on] = True
        rows = labels.copy()
        rows[off] = True
        return _units(fit_heads(Z, labels, self.C, balanced_weights(labels, rows), tol=1e-5).coef)

    def sensitivity(self, name: str, gradients: Any) -> Sensitivity:
        """TCAV score: how often an output rises along the concept (Kim et al. 2018, section 3.3).

        `gradients` (m, d) of the output with respect to the vectors, from whoever has the model.

        Misleads when the output bends between real vectors: a gradient speaks of the next small
        step, not of the whole way. A share far from one half means nothing unless `p` is small.
        """
        check_is_fitted(self, "cavs_")
        if name not in self.cavs_:
            raise ValueError(f"no CAV is named {name!r}; there is {', '.join(self.cavs_)}")
        G = finite(gradients, what="gradients", width=self.random_.shape[1])
        mine = (self.cavs_[name] @ G.T > 0).mean(1)
        random = (self.random_ @ G.T > 0).mean(1)
        p = _welch(mine, random)
        return Sensitivity(float(mine.mean()), float(random.mean()), p, self.runs)


def _welch(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p-value of Welch's t-test; shares that are all alike part surely or not at all."""
    from scipy.stats import t

    u, v = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    if u + v < 1e-18:
        return float(np.isclose(a.mean(), b.mean()))
    freedom = (u + v) ** 2 / (u**2 / (len(a) - 1) + v**2 / (len(b) - 1))
    return float(2 * t.sf(abs(a.mean() - b.mean()) / np.sqrt(u + v), freedom))


def _stability(cavs: np.ndarray) -> float:
    """Mean cosine between different rows of (r, d) unit vectors."""
    r = len(cavs)
    return float(((cavs @ cavs.T).sum() - r) / (r * (r - 1)))

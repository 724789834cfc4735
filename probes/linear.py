"""Directions from linear probes (Alain & Bengio 2017), every attribute in one fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from probes.direction import Direction, Space
from probes.folds import assign_folds, level_accuracy, out_of_fold, stack
from probes.inputs import Contrast, along, checked, contrasts, enough, space_or_unknown, varied
from probes.logistic import balanced_weights, fit_heads
from probes.ridge import fit_ridge

MODELS = ("logistic", "ridge")


def pattern(weights: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Covariance of the vectors `X` (n, d) times weights (d,) (Haufe et al. 2014, equation 7)."""
    centred = X - X.mean(0)
    return centred.T @ (centred @ weights) / len(X)


def shuffled(found: Sequence[Contrast], rng: np.random.Generator) -> list[Contrast]:
    """One factor's contrasts with its labels handed out anew among its labelled rows."""
    rows = np.flatnonzero(found[0].rows)
    order = rng.permutation(rows)
    made = []
    for one in found:
        on = np.zeros_like(one.on)
        on[order] = one.on[rows]
        made.append(Contrast(one.name, one.factor, one.level, one.levels, one.rows, on))
    return made


class LinearDirections(BaseEstimator):
    """Class-balanced linear probes; a direction a binary factor, or one a level ("skin=pale").

    The directions are the probes' activation *patterns*, covariance times weights (Haufe et al.
    2014): the weights say how to read a factor and lean on axes where vectors hardly vary, the
    pattern says how vectors change with it, which is where to push. Binary ones point to the
    level that is *on* (yes, old). `take="weights"` gives the reading weights instead.

    `model` is "logistic" (penalty |w|^2 / (2 C)) or "ridge" (alpha |w|^2), on standardised
    vectors. Evidence: cross-validated balanced accuracy, the same with shuffled labels and their
    difference; `probes.probe_report` asks much more.

    Misleads when a factor goes along with another in the data (the probe reads either), when rows
    of one person or scene stand in several folds (accuracy is then memory: use `probe_report` with
    `groups`), and when being readable is taken for doing something: a model may not use what a
    probe finds.

    Learned: `directions_` (name to Direction), `weights_` (name to (d,) weights on the vectors
    as they came) and `intercepts_`, `scores_` (factor to balanced accuracy), `selectivity_`,
    `classes_` (factor to levels).
    """

    def __init__(
        self,
        space: Space | None = None,
        model: str = "logistic",
        C: float = 1.0,
        alpha: float = 1.0,
        take: str = "pattern",
        folds: int = 3,
        random_state: int = 0,
    ):
        self.space = space
        self.model = model
        self.C = C
        self.alpha = alpha
        self.take = take
        self.folds = folds
        self.random_state = random_state

    def _scores(self, Z: np.ndarray, found: list[Contrast], fold: np.ndarray) -> dict[str, float]:
        on, rows = stack(found)
        scores = out_of_fold(Z, on, rows, fold, self.C, self.model, self.alpha)
        factors = np.array([one.factor for one in found])
        return {
            factor: level_accuracy(
                [one for one in found if one.factor == factor], scores[:, factors == factor]
            )
            for factor in dict.fromkeys(factors.tolist())
        }

    def fit(self, X: Any, Y: Any, groups: Sequence[Any] | None = None) -> LinearDirections:
        """Fit on (n, d) vectors and a mapping from factor to n labels (None: left out).

        Rows of one group (n ids) stay on one side of every cross-validation split.
        """
        if self.model not in MODELS or self.take not in ("pattern", "weights"):
            raise ValueError(
                f"a probe can't be {self.model!r} and give its {self.take!r}; the model is one of "
                f"{', '.join(MODELS)}, and it gives its pattern or its weights"
            )
        X = enough(varied(checked(self, X, np.float64, reset=True)), "a linear probe")
        mean, scale = X.mean(0), X.std(0)
        Z = ((X - mean) / scale).astype(np.float32)
        found = contrasts(Y, len(X))
        rng = np.random.default_rng(self.random_state)
        fold = assign_folds(len(X), self.folds, self.random_state, groups)
        self.classes_ = {one.factor: one.levels for one in found}
        self.scores_ = self._scores(Z, found, fold)
        control: list[Contrast] = []
        for factor in self.classes_:
            control += shuffled([one for one in found if one.factor == factor], rng)
        chance = self._scores(Z, control, fold)
        self.selectivity_ = {f: self.scores_[f] - chance[f] for f in self.scores_}
        on, rows = stack(found)
        if self.model == "ridge":
            heads = fit_ridge(Z, on, rows, self.alpha)
        else:
            heads = fit_heads(Z, on, self.C, balanced_weights(on, rows))
        weights = heads.coef / scale  # (K, d)
        self.weights_ = {one.name: weights[k] for k, one in enumerate(found)}
        self.intercepts_ = {
            one.name: float(heads.intercept[k] - mean @ weights[k]) for k, one in enumerate(found)
        }
        self.directions_: dict[str, Direction] = {}
        for k, one in enumerate(found):
            evidence = one.counts | {
                "balanced_accuracy": self.scores_[one.factor],
                "control_accuracy": chance[one.factor],
                "selectivity": self.selectivity_[one.factor],
            }
            vector = weights[k] if self.take == "weights" else pattern(weights[k], X[one.rows])
            self.directions_[one.name] = along(
                vector, X, space_or_unknown(self.space), one.name,
                f"{self.model} probe, its {self.take}", evidence,
            )  # fmt: skip
        return self

    def scores(self, X: Any) -> dict[str, np.ndarray]:
        """(n,) score of every name for (n, d) vectors: above 0 where the probe reads *on*."""
        check_is_fitted(self, "weights_")
        X = checked(self, X, np.float64, reset=False)
        return {name: X @ w + self.intercepts_[name] for name, w in self.weights_.items()}

    def predict(self, X: Any) -> dict[str, np.ndarray]:
        """The probes' levels for (n, d) vectors: factor to (n,) array of str."""
        scores, read = self.scores(X), {}
        for factor, levels in self.classes_.items():
            if len(levels) == 2:
                read[factor] = np.array(levels)[(scores[factor] > 0).astype(int)]
            else:
                each = np.stack([scores[f"{factor}={level}"] for level in levels])
                read[factor] = np.array(levels)[each.argmax(0)]
        return read

"""Directions from labels: logistic probes (Alain & Bengio 2017) and differences of means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.validation import check_is_fitted

from probes.direction import Direction, Space

Labels = Mapping[str, Sequence[Any]]


def known(labels: Sequence[Any]) -> np.ndarray:
    """(n,) bool: rows with a label; None and NaN mark a factor that is undefined or hidden."""
    return np.array([label is not None and label == label for label in labels], bool)


def _vectors(X: np.ndarray) -> np.ndarray:
    X = np.asarray(X, np.float64)
    if X.ndim != 2 or not np.isfinite(X).all():
        raise ValueError(f"vectors must be finite and (n, d), got {X.shape}; check the embeddings")
    return X


def _targets(levels: np.ndarray, names: Sequence[str]) -> list[str]:
    """Levels that get a direction: both-sided factors one (their last level), others all."""
    return [names[-1]] if len(names) == 2 else list(names)


def _order(factor: str, labels: np.ndarray) -> list[str]:
    """Levels in the order off, on where the words say so, else sorted."""
    levels = sorted({str(label) for label in labels})
    if len(levels) == 2 and levels[0] in ("on", "old", "yes", "true", "1"):
        levels.reverse()
    return levels


def along(vector: np.ndarray, X: np.ndarray, space: Space, name: str, method: str, evidence: dict):
    """A Direction whose mean and sigma are those of the vectors `X` (n, d)."""
    unit = vector / np.linalg.norm(vector)
    return Direction(unit, X.mean(0), float((X @ unit).std()), space, name, method, evidence)


def pattern(weights: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Covariance of the vectors `X` (n, d) times weights (d,) (Haufe et al. 2014, equation 7)."""
    centred = X - X.mean(0)
    return centred.T @ (centred @ weights) / len(X)


class LinearDirections(BaseEstimator):
    """One logistic probe a factor; a direction a binary factor, or one a level ("skin=pale").

    The directions are the probes' activation *patterns*, covariance times weights (Haufe et al.
    2014): the weights say how to read a factor and lean on axes where vectors hardly vary, the
    pattern says how vectors change with it, which is where to push. Binary ones point to the
    level that is *on* (yes, old). Evidence: cross-validated balanced accuracy, the same with
    shuffled labels (a control task, Hewitt & Liang 2019) and their difference, selectivity.

    Learned: `directions_` (name to Direction), `scores_` (factor to balanced accuracy),
    `selectivity_`, `classes_` (factor to levels), `probes_`.
    """

    def __init__(
        self,
        space: Space | None = None,
        C: float = 1.0,
        folds: int = 3,
        max_iter: int = 400,
        random_state: int = 0,
    ):
        self.space = space
        self.C = C
        self.folds = folds
        self.max_iter = max_iter
        self.random_state = random_state

    def _model(self) -> LogisticRegression:
        return LogisticRegression(C=self.C, max_iter=self.max_iter, class_weight="balanced")

    def _score(self, X: np.ndarray, y: np.ndarray) -> float:
        folds = min(self.folds, int(np.min(np.unique(y, return_counts=True)[1])))
        if folds < 2:
            return float("nan")
        splits = StratifiedKFold(folds, shuffle=True, random_state=self.random_state).split(X, y)
        scores = [
            balanced_accuracy_score(y[test], self._model().fit(X[train], y[train]).predict(X[test]))
            for train, test in splits
        ]
        return float(np.mean(scores))

    def fit(self, X: np.ndarray, Y: Labels) -> LinearDirections:
        """Fit on (n, d) vectors and a mapping from factor to n labels (None: left out)."""
        X = _vectors(X)
        space = self.space or Space("unknown", "unknown")
        self.mean_, self.scale_ = X.mean(0), np.maximum(X.std(0), 1e-12)
        Z = (X - self.mean_) / self.scale_
        rng = np.random.default_rng(self.random_state)
        self.directions_: dict[str, Direction] = {}
        self.scores_, self.selectivity_, self.classes_, self.probes_ = {}, {}, {}, {}
        for factor, labels in Y.items():
            rows = known(labels)
            if len(labels) != len(X):
                raise ValueError(
                    f"{factor} has {len(labels)} labels for {len(X)} vectors; give one each"
                )
            y = np.array([str(label) for label, ok in zip(labels, rows, strict=True) if ok])
            levels = _order(factor, y)
            if len(levels) < 2:
                raise ValueError(f"{factor} has one level only ({levels}); a probe needs two")
            score = self._score(Z[rows], y)
            control = self._score(Z[rows], rng.permutation(y))
            self.scores_[factor], self.classes_[factor] = score, levels
            self.selectivity_[factor] = score - control
            probe = self._model().fit(Z[rows], y)
            self.probes_[factor] = probe
            evidence = {
                "balanced_accuracy": score,
                "control_accuracy": control,
                "selectivity": score - control,
                "n": int(rows.sum()),
                "levels": levels,
            }
            for level in _targets(y, levels):
                if len(levels) == 2:
                    weights = probe.coef_[0] * (1 if probe.classes_[1] == level else -1)
                else:
                    weights = probe.coef_[list(probe.classes_).index(level)]
                name = factor if len(levels) == 2 else f"{factor}={level}"
                self.directions_[name] = along(
                    pattern(weights / self.scale_, X[rows]),
                    X,
                    space,
                    name,
                    "logistic probe, its pattern",
                    evidence | {"level": level},
                )
        return self

    def predict(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """The probes' levels for (n, d) vectors: factor to (n,) array of str."""
        check_is_fitted(self, "probes_")
        Z = (_vectors(X) - self.mean_) / self.scale_
        return {factor: probe.predict(Z) for factor, probe in self.probes_.items()}


class MeanDifference(BaseEstimator):
    """Difference of class means, level against the rest (Kim et al. 2018 call it a mean CAV).

    Learned: `directions_` (name to Direction; names as in LinearDirections).
    """

    def __init__(self, space: Space | None = None):
        self.space = space

    def fit(self, X: np.ndarray, Y: Labels) -> MeanDifference:
        """Fit on (n, d) vectors and a mapping from factor to n labels (None: left out)."""
        X = _vectors(X)
        space = self.space or Space("unknown", "unknown")
        self.directions_: dict[str, Direction] = {}
        for factor, labels in Y.items():
            rows = known(labels)
            y = np.array([str(label) for label, ok in zip(labels, rows, strict=True) if ok])
            levels = _order(factor, y)
            if len(levels) < 2:
                raise ValueError(f"{factor} has one level only ({levels}); a difference needs two")
            for level in _targets(y, levels):
                difference = X[rows][y == level].mean(0) - X[rows][y != level].mean(0)
                name = factor if len(levels) == 2 else f"{factor}={level}"
                evidence = {
                    "level": level,
                    "n": int(rows.sum()),
                    "gap": float(np.linalg.norm(difference)),
                }
                self.directions_[name] = along(
                    difference, X, space, name, "difference of class means", evidence
                )
        return self

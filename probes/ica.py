"""Independent components as directions (Hyvärinen & Oja 2000, FastICA)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from probes.direction import Direction, Space
from probes.inputs import checked, space_or_unknown


class ICADirections(TransformerMixin, BaseEstimator):
    """Directions along which independent sources mix: the columns of the mixing matrix.

    Sorted by the variance they carry, each pointing to its source's longer tail. `kurtosis` in
    the evidence says how far from a Gaussian a source is.

    Misleads when `kurtosis` is near 0 (Gaussian sources can't be told apart, so the direction is
    any), when `converged_` is False (another `random_state` would give others), and when factors go
    together in the data: sources are made independent, which such factors are not.

    Learned: `directions_` ("source 1", ... to Direction), `ica_`, `order_` (k,), `signs_` (k,),
    `converged_`.
    """

    def __init__(
        self,
        n_components: int = 2,
        space: Space | None = None,
        max_iter: int = 400,
        random_state: int = 0,
    ):
        self.n_components = n_components
        self.space = space
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: None = None) -> ICADirections:
        """Fit on (n, d) vectors."""
        X = checked(self, X, np.float64, reset=True)
        rank = int(np.linalg.matrix_rank(X - X.mean(0)))
        if not 1 <= self.n_components <= rank:
            raise ValueError(
                f"{self.n_components} components were asked for, but these {len(X)} vectors of "
                f"{X.shape[1]} dimensions vary along {rank} only; ask for 1 to {rank}"
                if rank
                else "all vectors are the same; independent components need them to vary"
            )
        self.ica_ = FastICA(
            self.n_components,
            whiten="unit-variance",
            max_iter=self.max_iter,
            tol=1e-4,
            random_state=self.random_state,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # said by `converged_` instead
            sources = np.asarray(self.ica_.fit_transform(X))  # (n, k), unit variance
        self.n_iter_ = int(self.ica_.n_iter_)
        self.converged_ = self.n_iter_ < self.max_iter
        mixing = np.asarray(self.ica_.mixing_)  # (d, k)
        third, fourth = (sources**3).mean(0), (sources**4).mean(0) - 3
        self.order_ = np.argsort(-np.linalg.norm(mixing, axis=0), kind="stable")
        self.signs_ = np.where(third[self.order_] < 0, -1.0, 1.0)
        space, total = space_or_unknown(self.space), X.var(0).sum()
        self.directions_: dict[str, Direction] = {}
        for k, (source, sign) in enumerate(zip(self.order_, self.signs_, strict=True), 1):
            vector = sign * mixing[:, source]
            unit = vector / np.linalg.norm(vector)
            evidence = {
                "kurtosis": float(fourth[source]),
                "skewness": float(abs(third[source])),
                "variance_ratio": float((vector**2).sum() / total),
                "converged": self.converged_,
            }
            self.directions_[f"source {k}"] = Direction(
                unit, X.mean(0), float((X @ unit).std()), space, f"source {k}", "ICA", evidence
            )
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(n, d) vectors to (n, k) sources of unit variance, in the directions' order and sign."""
        check_is_fitted(self)
        X = checked(self, X, np.float64, reset=False)
        return np.asarray(self.ica_.transform(X))[:, self.order_] * self.signs_

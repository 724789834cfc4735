"""Principal components as directions (Pearson 1901; Härkönen et al. 2020 for generators)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted, validate_data

from probes.direction import Direction, Space
from probes.inputs import space_or_unknown


class PCADirections(TransformerMixin, BaseEstimator):
    """The directions of largest variance, in order; signs fixed by the largest coefficient.

    It misleads as a list of concepts: components are at right angles whatever the factors are,
    and two factors of equal variance come out as any mixture of them.

    Learned: `directions_` ("component 1", ... to Direction), `explained_variance_ratio_` (k,),
    `pca_`.
    """

    def __init__(self, n_components: int = 2, space: Space | None = None):
        self.n_components = n_components
        self.space = space

    def fit(self, X: Any, y: None = None) -> PCADirections:
        """Fit on (n, d) vectors."""
        X = np.asarray(validate_data(self, X, dtype=np.float64, ensure_min_samples=2))
        count = min(self.n_components, *X.shape)
        self.pca_ = PCA(count, svd_solver="full").fit(X)
        self.explained_variance_ratio_ = self.pca_.explained_variance_ratio_
        space = space_or_unknown(self.space)
        variances = np.asarray(self.pca_.explained_variance_)
        self.directions_: dict[str, Direction] = {}
        for index, vector in enumerate(np.asarray(self.pca_.components_)):
            evidence = {"explained_variance_ratio": float(self.explained_variance_ratio_[index])}
            name = f"component {index + 1}"
            sigma = float(np.sqrt(max(variances[index], 0)))
            self.directions_[name] = Direction(
                vector, self.pca_.mean_, sigma, space, name, "PCA", evidence
            )
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(n, d) vectors to (n, k) coordinates along the components, centred."""
        check_is_fitted(self)
        return self.pca_.transform(validate_data(self, X, dtype=np.float64, reset=False))

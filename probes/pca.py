"""Principal components as directions (Pearson 1901; Härkönen et al. 2020 for generators)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from probes.direction import Direction, Space
from probes.inputs import checked, finite, space_or_unknown
from probes.moments import Components, Moments, upright

KINDS = [np.float64, np.float32, np.float16]


class PCADirections(TransformerMixin, BaseEstimator):
    """The directions of largest variance, in order; signs fixed by the largest coefficient.

    One pass over the rows (`probes.moments`), in fp32 with sums in fp64 where they are fp32 or
    fp16: as exact as scikit-learn's full solver at a fraction of its time.

    Misleads when components are taken for concepts: they are at right angles whatever the factors
    are, two factors of equal variance come out as any mixture of them, and what varies most need
    not be what matters (lighting or a background before a face).

    Learned: `directions_` ("component 1", ... to Direction), `components_` (k, d), `mean_` (d,),
    `explained_variance_` (k,), `explained_variance_ratio_` (k,).
    """

    def __init__(self, n_components: int = 2, space: Space | None = None):
        self.n_components = n_components
        self.space = space

    def fit(self, X: Any, y: None = None) -> PCADirections:
        """Fit on (n, d) vectors, fp16 to fp64.

        Raises ValueError that names a row with NaN or infinite numbers, and where the rows vary
        along fewer directions than there are components.
        """
        X = checked(self, X, KINDS, reset=True, finish=False)  # moments look at every row
        found = _components(X, self.n_components)
        self.components_, self.mean_ = found.vectors, found.mean
        self.explained_variance_, self.explained_variance_ratio_ = found.variances, found.ratio
        space = space_or_unknown(self.space)
        self.directions_: dict[str, Direction] = {}
        for k, vector in enumerate(found.vectors):
            name, sigma = f"component {k + 1}", float(np.sqrt(found.variances[k]))
            evidence = {"explained_variance_ratio": float(found.ratio[k])}
            self.directions_[name] = Direction(
                vector, found.mean, sigma, space, name, "PCA", evidence
            )
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(n, d) vectors to (n, k) coordinates along the components, centred."""
        check_is_fitted(self)
        X = checked(self, X, KINDS[:2], reset=False)
        return (X - self.mean_.astype(X.dtype)) @ self.components_.T.astype(X.dtype)


def _components(X: np.ndarray, k: int) -> Components:
    """From moments; fewer rows than dimensions by their singular values, which is less work."""
    n, d = X.shape
    if k < 1:
        raise ValueError(f"{k} components were asked for; give at least 1")
    if n > d:
        found = Moments.of(X).pca(min(k, d))
        least = 1e-12 if X.dtype == np.float64 else 1e-7
    else:
        mean = finite(X).mean(0)
        _, values, vectors = np.linalg.svd(X - mean, full_matrices=False)
        variances = values**2 / (n - 1)
        found = Components(mean, upright(vectors[:k]), variances[:k], float(variances.sum()))
        least = 1e-12
    real = int((found.variances > least * found.variances[0]).sum())
    if real < k:
        raise ValueError(
            f"{k} components were asked for, but these {n} vectors of {d} dimensions vary along "
            f"{real} only; ask for {real or 'components of vectors that vary'}"
        )
    return found

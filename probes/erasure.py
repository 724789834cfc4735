"""Erase a concept from vectors so that no linear probe reads it (LEACE, Belrose et al. 2023)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from probes.direction import Direction, Space
from probes.inputs import along, as_labels, checked, contrasts, enough, finite, space_or_unknown

RANK = 1e-8  # eigenvalues below this share of the largest are directions that no vector has


def _roots(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The whitening matrix (pseudo-inverse root) and the root of a covariance (d, d)."""
    values, basis = np.linalg.eigh(covariance)
    real = values > RANK * values.max()
    basis, root = basis[:, real], np.sqrt(values[real])
    return basis / root @ basis.T, basis * root @ basis.T


class LeaceEraser(TransformerMixin, BaseEstimator):
    """The smallest change to vectors (in least squares) that hides labels from linear probes.

    r(x) = x - W+ P W (x - mean), W the whitening matrix, P the projection on the whitened
    covariance of vectors with labels (theorem 4.3). It removes what is *linearly* readable, from
    the rows it was fitted on exactly, from new rows up to sampling.

    Misleads when "no linear probe reads it" is taken for "it is gone": a network may still read the
    rest. Whatever goes along with the concept in the data goes with it, so measure what else broke.

    Rows where any factor has no label are left out of the fit.
    Learned: `mean_` (d,), `projection_` (d, d), `rank_` (how many dimensions went).
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: Any, Y: Any) -> LeaceEraser:
        """Fit on vectors (n, d) and labels: factor to n labels, or an array (n,) or (n, m)."""
        X = checked(self, X, np.float64, reset=True)
        if isinstance(Y, np.ndarray) and Y.ndim == 2 and Y.dtype.kind in "fiub":
            Z, rows = finite(Y, what="labels"), np.ones(len(X), bool)
            if len(Z) != len(X):
                raise ValueError(f"there are {len(Z)} labels for {len(X)} vectors; give one each")
        else:
            found = contrasts(as_labels(Y, len(X)), len(X))
            Z = np.stack([one.on for one in found], 1).astype(np.float64)
            rows = np.all([one.rows for one in found], 0)
        X, Z = enough(X[rows], "erasure"), Z[rows]
        self.mean_ = X.mean(0)
        centred = X - self.mean_
        white, root = _roots(centred.T @ centred / len(X))
        cross = white @ (centred.T @ (Z - Z.mean(0)) / len(X))  # (d, m)
        axes, sizes, _ = np.linalg.svd(cross, full_matrices=False)
        axes = axes[:, sizes > 1e-8 * max(sizes.max(), 1e-12)]
        self.rank_ = axes.shape[1]
        self.projection_ = root @ axes @ (axes.T @ white)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(n, d) vectors without the concept."""
        check_is_fitted(self, "projection_")
        X = checked(self, X, np.float64, reset=False)
        return X - (X - self.mean_) @ self.projection_.T


class LeaceNormals(BaseEstimator):
    """Normals of the hyperplanes that LEACE flattens vectors onto: one a level.

    The normal, covariance^-1 times the difference of means, is the direction that *reads* a
    level best (Fisher's discriminant); erasing moves vectors along the difference of means until
    the normal reads nothing.

    Misleads when used to push: it leans on axes where vectors hardly vary, so that a step along it
    leaves the real vectors before the level changes. Push along `MeanDifference` instead.

    Learned: `directions_` (name to Direction, with `share`, the part of all variance erased).
    """

    def __init__(self, space: Space | None = None):
        self.space = space

    def fit(self, X: Any, Y: Any) -> LeaceNormals:
        """Fit on (n, d) vectors and a mapping from factor to n labels (None: left out)."""
        X = checked(self, X, np.float64, reset=True)
        self.directions_: dict[str, Direction] = {}
        for one in contrasts(Y, len(X)):
            mine = enough(X[one.rows], f"the LEACE normal of {one.name}", "labelled vectors")
            centred = mine - mine.mean(0)
            covariance = centred.T @ centred / len(mine)
            white, _ = _roots(covariance)
            z = one.on[one.rows].astype(float)
            cross = centred.T @ (z - z.mean()) / len(mine)
            whitened = white @ cross
            # Squared multiple correlation of the label with the vectors.
            fits = float(whitened @ whitened / z.var())
            share = float(cross @ cross / (whitened @ whitened) / np.trace(covariance))
            self.directions_[one.name] = along(
                white @ whitened, X, space_or_unknown(self.space), one.name, "LEACE normal",
                one.counts | {"r2": fits, "share": share},
            )  # fmt: skip
        return self

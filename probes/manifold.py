"""Whether moved vectors still lie where real ones do: the on-manifold alarm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probes.inputs import finite


@dataclass(frozen=True)
class Manifold:
    """Mean (d,), whitener (d, d) and the whitened norm that one real vector in a hundred passes.

    The norm is Mahalanobis' distance over the root of d: about 1 for real vectors.

    Misleads when the real vectors are bent or in clumps: a point in the hole between them has a
    small norm and raises no alarm. It sees only what leaves the ellipsoid.
    """

    mean: np.ndarray
    whitener: np.ndarray
    limit: float

    @classmethod
    def fit(cls, vectors: np.ndarray, share: float = 0.99) -> Manifold:
        """Covariance of every other vector (n, d), limit of the rest.

        Vectors that made the covariance look nearer to it than new ones do, hence the halves.
        Raises ValueError for fewer than 4 d vectors (and 40), or for ones that are not finite.
        """
        x = finite(vectors, what="real vectors")
        if len(x) < max(40, 4 * x.shape[1]):
            raise ValueError(
                "the alarm needs real vectors (n, d), at least 40 and four times as many as "
                f"dimensions, got {x.shape}; give more"
            )
        spread, axes = np.linalg.eigh(np.cov(x[::2].T))
        # No shrinking of the whole: it would make the thin axes, where leaving shows, look thick.
        whitener = axes / np.sqrt(np.maximum(spread, 1e-3 * spread.mean()))
        made = cls(x[::2].mean(0), whitener, 0.0)
        return cls(made.mean, whitener, float(np.quantile(made.norm(x[1::2]), share)))

    def norm(self, x: np.ndarray) -> np.ndarray:
        """(n, d) vectors to (n,) whitened norms."""
        away = (finite(x, width=len(self.mean)) - self.mean) @ self.whitener
        return np.linalg.norm(away, axis=1) / np.sqrt(away.shape[1])

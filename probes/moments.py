"""One pass over vectors: n, mean and scatter in fp64, for PCA, whitening, ridge and probes.

Memory is d x d however many rows there are, and moments of parts add up, so that shards, resumed
work and machines just sum (Chan, Golub & LeVeque 1979, eq. 2.1, in its matrix form).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

BLOCK = 8192  # rows multiplied at a time, in fp32 where they are; sums are in fp64
PENDING = 256  # blocks whose means wait to be put into the scatter together


@dataclass(frozen=True)
class Components:
    """Principal axes: `vectors` (k, d) of unit length, their `variances` (k,), of `total`."""

    mean: np.ndarray
    vectors: np.ndarray
    variances: np.ndarray
    total: float

    @property
    def ratio(self) -> np.ndarray:
        """(k,) the share of all variance that each axis holds."""
        return self.variances / self.total if self.total > 0 else np.zeros_like(self.variances)

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(n, d) vectors to (n, k) coordinates along the axes, from the mean."""
        X = np.asarray(X)
        kind = np.result_type(X.dtype, np.float32)
        return X @ self.vectors.T.astype(kind) - (self.mean @ self.vectors.T).astype(kind)


def upright(vectors: np.ndarray) -> np.ndarray:
    """Vectors (k, d) with signs that make each one's largest coefficient positive."""
    return vectors * np.sign(vectors[np.arange(len(vectors)), np.abs(vectors).argmax(1)])[:, None]


@dataclass(frozen=True)
class Moments:
    """`n` rows, their `mean` (d,) and `scatter` (d, d): the sum of (x - mean)(x - mean)', fp64.

    Misleads when vectors and labels are summed apart: moments know nothing of order, so what is
    paired must stand side by side in one row (see `ridge`). A few far outliers rule both mean and
    scatter.
    """

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray | Iterable[np.ndarray], first: int = 0) -> Moments:
        """Of one array (n, d), or of blocks (n_i, d) as they come, fp16 to fp64.

        fp32 blocks are multiplied in fp32 after their mean is taken off, and summed in fp64.
        Raises ValueError for no row, for blocks of unequal width, and for a row with NaN or an
        infinite number, which it names by its number, counted from `first`.
        """
        blocks = (rows,) if isinstance(rows, np.ndarray) else rows
        sums: _Sums | None = None
        for block in blocks:
            block = np.asarray(block)
            if block.ndim != 2 or (sums and block.shape[1] != sums.width):
                width = f"{sums.width} columns" if sums else "two axes (n, d)"
                raise ValueError(f"a block of vectors has the shape {block.shape}; give {width}")
            sums = sums or _Sums(block.shape[1])
            for start in range(0, len(block), BLOCK):
                sums.add(block[start : start + BLOCK], first)
        if sums is None or not sums.n:
            raise ValueError("there is no vector to take moments of; give at least one row")
        mean = sums.fold()
        return cls(sums.n, mean, sums.scatter)

    def __add__(self, other: Moments) -> Moments:
        """The moments of both sets of rows together."""
        if self.mean.shape != other.mean.shape:
            raise ValueError(
                f"moments of {len(self.mean)} and of {len(other.mean)} dimensions can't be added"
            )
        n = self.n + other.n
        apart = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * (self.n * other.n / n)
        return Moments(n, self.mean + apart * (other.n / n), scatter)

    @property
    def gram(self) -> np.ndarray:
        """(d, d) X'X, the mean not taken off."""
        return self.scatter + self.n * np.outer(self.mean, self.mean)

    @property
    def covariance(self) -> np.ndarray:
        """(d, d), divided by n - 1. Raises ValueError for fewer than two rows."""
        if self.n < 2:
            raise ValueError("one row has no covariance; give at least two")
        return self.scatter / (self.n - 1)

    def constant(self) -> np.ndarray:
        """Numbers of the columns that never change, to rounding."""
        scale = np.maximum(np.abs(self.mean), np.sqrt(np.diag(self.scatter) / self.n))
        return np.flatnonzero(np.diag(self.scatter) <= self.n * (1e-6 * scale) ** 2)

    def pca(self, k: int | None = None) -> Components:
        """The k axes of largest variance (all), signs fixed by the largest coefficient.

        The eigenvectors of the covariance, as scikit-learn's `covariance_eigh`. Variances under
        about 1e-7 of the largest are rounding: they come from squares of fp32 numbers.
        Raises ValueError for a k past d, or for fewer than two rows.
        """
        from scipy.linalg import eigh

        d = len(self.mean)
        k = d if k is None else k
        if not 1 <= k <= d:
            raise ValueError(f"{k} components were asked for, of {d} dimensions; give 1 to {d}")
        values, vectors = eigh(self.covariance, subset_by_index=(d - k, d - 1), driver="evr")
        total = float(np.trace(self.covariance))
        return Components(
            self.mean, upright(vectors[:, ::-1].T), np.maximum(values[::-1], 0), total
        )

    def whitening(self, shrinkage: float = 0.0) -> np.ndarray:
        """(d, d) symmetric W: rows of (X - mean) @ W have unit covariance (ZCA, Bell & Sejnowski).

        `shrinkage` in [0, 1] mixes the covariance with its mean variance times the identity
        (Ledoit & Wolf 2004). Without it, fewer rows than dimensions or a column that is constant
        or a mixture of others leave directions without variance, and ValueError says how many.
        """
        if not 0 <= shrinkage <= 1:
            raise ValueError(f"the shrinkage is {shrinkage}; give a number from 0 to 1")
        d = len(self.mean)
        values, axes = np.linalg.eigh(self.covariance)
        values = (1 - shrinkage) * values + shrinkage * np.trace(self.covariance) / d
        flat = int((values <= 1e-7 * values.max()).sum())
        if flat or values.max() <= 0:
            what = ""
            if (still := self.constant()).size:
                what = f" (column {still[0]} is constant)"
            raise ValueError(
                f"{flat} of {d} directions have no variance in {self.n} rows{what}, so they can't "
                "be whitened; give more rows or a shrinkage above 0"
            )
        return (axes / np.sqrt(values)) @ axes.T

    def ridge(self, targets: int, alphas: Iterable[float]) -> tuple[np.ndarray, np.ndarray]:
        """Ridge regression of the last `targets` columns on those before (Hoerl & Kennard 1970).

        Take the moments of [X, Y] side by side. Minimises |Y - XB - b|² + alpha |B|², the
        intercept unpenalised, for every alpha from one eigendecomposition. Returns coefficients
        (alphas, d, targets) and intercepts (alphas, targets). Raises ValueError for no column
        left, an alpha that is not positive, or alpha 0 where X'X is singular.
        """
        d = len(self.mean) - targets
        if targets < 1 or d < 1:
            raise ValueError(
                f"{targets} of {len(self.mean)} columns can't be targets; leave one for X"
            )
        values, axes = np.linalg.eigh(self.scatter[:d, :d])
        rotated = axes.T @ self.scatter[:d, d:]  # (d, targets)
        found = []
        for alpha in alphas:
            if not alpha >= 0:
                raise ValueError(f"alpha is {alpha}; it can't be negative")
            below = np.maximum(values, 0) + alpha
            if below.min() <= 1e-12 * max(below.max(), 1e-300):
                raise ValueError("X'X is singular, so alpha 0 has no answer; give one above 0")
            found.append(axes @ (rotated / below[:, None]))
        if not found:
            raise ValueError("there is no alpha; give at least one")
        coefficients = np.stack(found)
        return coefficients, self.mean[d:] - self.mean[:d] @ coefficients

    def preconditioner(self, C: float = 1.0) -> np.ndarray:
        """(d + 1, d + 1) lower Cholesky factor of [X 1]'[X 1] / 4 + I / C.

        It bounds the Hessian of every logistic head on these rows (Böhning & Lindsay 1988), so
        one factor serves all of them; the last row and column are the intercept's, unpenalised
        but for 1e-6 / C.
        """
        d = len(self.mean)
        bound = np.empty((d + 1, d + 1))
        bound[:d, :d] = self.gram / 4
        bound[:d, d] = bound[d, :d] = self.n * self.mean / 4
        bound[d, d] = self.n / 4
        bound[np.arange(d + 1), np.arange(d + 1)] += np.r_[np.full(d, 1 / C), 1e-6 / C]
        return np.linalg.cholesky(bound)


class _Sums:
    """What `Moments.of` adds into, in place: rooms for a block and its product are made once."""

    def __init__(self, d: int):
        self.n, self.scatter = 0, np.zeros((d, d))
        self.means: list[np.ndarray] = []  # of blocks, in fp64
        self.lefts: list[np.ndarray] = []  # what a block's rounded mean missed
        self.counts: list[int] = []
        self.rooms: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def width(self) -> int:
        return len(self.scatter)

    def add(self, block: np.ndarray, first: int) -> None:
        """Add rows. The block's own mean is taken off first: nothing is lost far from zero."""
        if block.dtype != np.float64:
            block = np.asarray(block, np.float32)
        m, d = block.shape
        if block.dtype.char not in self.rooms:
            shapes = (BLOCK, d), (d, d)
            rooms = [np.empty(shape, block.dtype) for shape in shapes]
            self.rooms[block.dtype.char] = rooms[0], rooms[1]
        room, product = self.rooms[block.dtype.char]
        with np.errstate(invalid="ignore", over="ignore"):
            ones = np.ones(m, block.dtype)
            near = ones @ block / m  # rounded; what it misses is put right in `whole`
            centred = np.subtract(block, near, out=room[:m])
            left = (ones @ centred).astype(np.float64) / m
            np.matmul(centred.T, centred, out=product)  # one array twice: half the work, by syrk
        if not np.isfinite(np.diag(product)).all():
            _refuse(block, first + self.n)
        self.scatter += product
        self.means.append(near.astype(np.float64) + left)
        self.lefts.append(left)
        self.counts.append(m)
        self.n += m
        if len(self.counts) == PENDING:
            self.fold()

    def fold(self) -> np.ndarray:
        """Put what the blocks' means say into the scatter, at once; the mean (d,) of all rows."""
        counts = np.array(self.counts, float)
        means, lefts = np.stack(self.means), np.stack(self.lefts)
        mean = counts @ means / counts.sum()
        apart = (means - mean) * np.sqrt(counts)[:, None]
        lefts *= np.sqrt(counts)[:, None]
        self.scatter += apart.T @ apart - lefts.T @ lefts
        np.fill_diagonal(self.scatter, np.maximum(np.diag(self.scatter), 0))  # of rounding
        self.counts, self.means, self.lefts = [self.n], [mean], [np.zeros_like(mean)]
        return mean


def _refuse(block: np.ndarray, start: int) -> None:
    wrong = ~np.isfinite(block).all(1)
    if wrong.any():
        row = start + int(np.argmax(wrong))
        raise ValueError(f"row {row} has NaN or infinite numbers; leave it out or repair it")
    row = start + int(np.abs(block).max(1).argmax())
    raise ValueError(f"row {row} has numbers too large to square in fp32; scale the vectors")

"""Many logistic heads at once: one pass over the vectors serves them all.

Every head minimises what scikit-learn's LogisticRegression does, sum of losses + |w|^2 / (2 C)
with a free intercept. L-BFGS runs for all heads side by side, each step two matrix products, and
starts from one eigendecomposition of the Gram matrix: c X'X + I / C bounds (c = 1/4, Böhning &
Lindsay 1988) or follows (c = mean of p (1 - p)) every head's Hessian, so a dozen steps suffice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CHUNK = 1024  # rows whose vectors and scores stay in the cache between the two products
MEMORY = 8


@dataclass(frozen=True)
class Heads:
    """`coef` (K, d) and `intercept` (K,) of K heads, their `objective` (K,) in fp64, steps."""

    coef: np.ndarray
    intercept: np.ndarray
    objective: np.ndarray
    steps: int

    def logits(self, X: np.ndarray) -> np.ndarray:
        """(n, d) vectors to (n, K) log odds."""
        return X @ self.coef.T.astype(X.dtype) + self.intercept.astype(X.dtype)


def balanced_weights(on: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n, K) weights that give both classes of a head half of its rows' weight; 0 off `rows`."""
    on, rows = on & rows, np.broadcast_to(rows, on.shape)
    n, hits = rows.sum(0), on.sum(0)
    if ((hits == 0) | (hits == n)).any():
        raise ValueError("a head has rows of one class only; a probe needs both")
    weights = np.where(on, n / (2 * hits), n / (2 * (n - hits)))
    return np.where(rows, weights, 0).astype(np.float32)


def fit_heads(
    X: np.ndarray,
    on: np.ndarray,
    C: float | np.ndarray = 1.0,
    weights: np.ndarray | None = None,
    tol: float = 1e-8,
    max_steps: int = 300,
) -> Heads:
    """Fit K heads on vectors X (n, d) to labels `on` (n, K) bool.

    `weights` (n, K), at least 0, weigh rows by head (0: left out of it); None is 1 everywhere.
    `C` is one number or (K,). Ends for a head when the gain still to come is below `tol` of its
    objective: the descent runs in the vectors' own precision, its last steps in fp64.
    """
    dtype = np.float32 if X.dtype in (np.float16, np.float32) else np.float64
    X = np.ascontiguousarray(X, dtype)
    mean = X.mean(0, dtype=np.float64).astype(dtype)
    X = X - mean  # so that the intercept hardly depends on the weights
    task = _Task(X, np.asarray(on, bool), np.broadcast_to(np.asarray(C, float), on.shape[1:]))
    at = task.start(weights)
    steps = 0
    # fp32 to a tenth of a millionth, where its rounding does not yet show; fp64 has the last word.
    for precision, goal in ((dtype, max(tol, 1e-7)), (np.float64, tol)):
        if precision is np.float32 or goal == tol:
            at, objective, took = _descend(task, at, precision, goal, max_steps)
            steps += took
    W, b = at[:-1], at[-1]
    return Heads(W.T, b - mean @ W, objective, steps)


class _Task:
    """The data of all heads, their slopes at a point, and what their Hessians look like."""

    def __init__(self, X: np.ndarray, on: np.ndarray, C: np.ndarray):
        self.X, self.on, self.C = X, on, C
        self.weights: np.ndarray | None = None
        # The Gram matrix only guides the steps: sixteen rows a dimension show it well enough.
        some = X[:: max(1, len(X) // (16 * X.shape[1]))]
        values, self.basis = np.linalg.eigh((some.T @ some).astype(np.float64) / len(some))
        self.values = np.maximum(values, 0)

    def start(self, weights: np.ndarray | None) -> np.ndarray:
        """(d + 1, K): no weights, and the intercept that gives the classes' odds."""
        if weights is not None and (weights.shape != self.on.shape or (weights < 0).any()):
            raise ValueError(f"weights must be {self.on.shape} and at least 0")
        self.weights = weights
        if weights is None:
            self.total = np.full(self.on.shape[1], float(len(self.X)))
            hits = self.on.sum(0).astype(float)
        else:
            self.total = weights.sum(0, dtype=np.float64)
            hits = np.where(self.on, weights, 0).sum(0, dtype=np.float64)
        if (hits <= 0).any() or (hits >= self.total).any():
            raise ValueError("a head has rows of one class only; a probe needs both")
        at = np.zeros((self.X.shape[1] + 1, self.on.shape[1]))
        at[-1] = np.log(hits / (self.total - hits))
        return at

    def slopes(self, at: np.ndarray, heads: np.ndarray, dtype: type):
        """Gradients (d + 1, K), curvatures (K,) and, in fp64, objectives (K,) at `at`."""
        low = at[:-1].astype(dtype)
        g = np.zeros(low.shape, dtype)
        ends, bends = np.zeros(low.shape[1]), np.zeros(low.shape[1])
        objective = (at[:-1] ** 2).sum(0) / (2 * self.C[heads])
        every = len(heads) == self.on.shape[1]
        for i in range(0, len(self.X), CHUNK):
            rows = slice(i, i + CHUNK)
            x = self.X[rows].astype(dtype, copy=False)
            on = self.on[rows] if every else self.on[rows][:, heads]
            weights = None if self.weights is None else self.weights[rows][:, heads]
            s = x @ low  # (c, K)
            s += at[-1].astype(dtype)
            if dtype is np.float64:
                loss = np.maximum(s, 0) + np.log1p(np.exp(-np.abs(s))) - on * s
                objective += (loss if weights is None else loss * weights).sum(0)
            np.maximum(s, -80, out=s)
            np.negative(s, out=s)
            np.exp(s, out=s)
            s += 1
            np.reciprocal(s, out=s)  # the probability of on
            bend = s - s * s
            s -= on
            if weights is not None:
                s *= weights
                bend *= weights
            g += x.T @ s
            ends += s.sum(0)
            bends += bend.sum(0)
        g = np.concatenate([g + at[:-1] / self.C[heads], ends[None]])
        return g, bends, objective

    def newton(self, g: np.ndarray, bends: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """The gradient (d + 1, K) through the inverse of the model Hessian, a head a scale."""
        scale = bends[None] * self.values[:, None] + 1 / self.C[heads]
        turned = (self.basis.T @ g[:-1]) / scale
        return np.concatenate([self.basis @ turned, g[-1:] / np.maximum(bends, 1e-12)])


def _descend(task: _Task, at: np.ndarray, dtype: type, tol: float, max_steps: int):
    """L-BFGS of all heads (Nocedal & Wright, algorithm 7.4), each leaving when it is done.

    Steps are checked by slope alone: along a convex curve, a step that ends with a slope below
    nine tenths of the first one's size has gone down; a longer one is cut by the secant rule.
    Returns the points (d + 1, K), their objectives (exact in fp64 only) and the steps taken.
    """
    heads = np.arange(task.on.shape[1])
    exact = dtype is np.float64
    done, worth = at.copy(), 0.05 * task.total  # a low guess of the objective, for fp32
    g, bends, values = task.slopes(at, heads, dtype)
    past: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for step in range(max_steps):
        q, kept = g.copy(), []
        for s, y, r in reversed(past):
            a = r * (s * q).sum(0)
            q -= a * y
            kept.append(a)
        p = task.newton(q, bends, heads)
        for (s, y, r), a in zip(past, reversed(kept), strict=True):
            p += s * (a - r * (y * p).sum(0))
        first = -(g * p).sum(0)  # slope at the start of the step, negative
        if exact:
            worth[heads] = values
        going = -first / 2 > tol * worth[heads]
        # fp32 takes the last small step unchecked: fp64 looks at what comes of it.
        done[:, heads] = at if exact else at - p
        if not going.any():
            return done, worth, step
        if going.mean() < 0.8:
            heads, at, g, p = heads[going], at[:, going], g[:, going], p[:, going]
            bends, first = bends[going], first[going]
            past = [(s[:, going], y[:, going], r[going]) for s, y, r in past]
        length = np.ones(len(heads))
        for _ in range(8):
            new = at - length * p
            slope, bends, values = task.slopes(new, heads, dtype)
            last = -(slope * p).sum(0)
            far = last > 0.9 * np.abs(first)
            if not far.any():
                break
            length = np.where(far, length * np.clip(first / (first - last), 0.1, 0.9), length)
        s, y = new - at, slope - g
        bent = (s * y).sum(0)
        past = [*past[-MEMORY + 1 :], (s, y, np.where(bent > 0, 1 / np.maximum(bent, 1e-300), 0))]
        at, g = new, slope
    done[:, heads] = at
    if exact:
        worth[heads] = values
    return done, worth, max_steps

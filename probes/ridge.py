"""Many ridge heads at once, from one Gram matrix for all heads that share their rows."""

from __future__ import annotations

import numpy as np

from probes.logistic import Heads


def fit_ridge(X: np.ndarray, on: np.ndarray, rows: np.ndarray, alpha: float = 1.0) -> Heads:
    """K heads of least squares on +1 and -1 with penalty alpha |w|^2 (Hoerl & Kennard 1970).

    X (n, d), `on` and `rows` (n, K) bool: labels, and which rows have one. The intercept puts
    the border halfway between the classes' mean scores, so that rare classes are read too.
    """
    if not alpha > 0:
        raise ValueError(f"alpha is {alpha}; a ridge needs one above 0")
    X = np.asarray(X, np.float64)
    rows = np.broadcast_to(rows, on.shape)
    d, count = X.shape[1], on.shape[1]
    coef, intercept, objective = np.zeros((count, d)), np.zeros(count), np.zeros(count)
    for mask in np.unique(rows, axis=1).T:
        heads = np.flatnonzero((rows == mask[:, None]).all(0))
        x, t = X[mask], np.where(on[mask][:, heads], 1.0, -1.0)
        if (np.abs(t.sum(0)) == len(t)).any():
            raise ValueError("a head has rows of one class only; a probe needs both")
        x, t = x - x.mean(0), t - t.mean(0)
        w = np.linalg.solve(x.T @ x + alpha * np.eye(d), x.T @ t)  # (d, heads)
        scores = X[mask] @ w
        for k, head in enumerate(heads):
            here = on[mask][:, head]
            border = (scores[here, k].mean() + scores[~here, k].mean()) / 2
            coef[head], intercept[head] = w[:, k], -border
        objective[heads] = ((t - x @ w) ** 2).sum(0) + alpha * (w**2).sum(0)
    return Heads(coef, intercept, objective, 1)

"""All heads at once reach what scikit-learn reaches one by one, with weights and masks."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from probes.logistic import balanced_weights, fit_heads
from probes.ridge import fit_ridge


def _data(n: int = 400, d: int = 12, heads: int = 5, seed: int = 0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.linspace(3, 0.05, d) + 2
    logits = (X - 2) @ rng.normal(size=(d, heads)) + rng.normal(size=heads)
    return X, logits + rng.logistic(size=logits.shape) > 0


def _objective(X, y, w, b, C, weights) -> float:
    s = X @ w + b
    loss = np.logaddexp(0, s) - y * s
    return float((weights * loss).sum() + (w**2).sum() / (2 * C))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("C", [0.01, 0.316, 100.0])
def test_no_head_is_worse_than_scikit_learn(dtype, C):
    X, on = _data()
    rng = np.random.default_rng(3)
    weights = rng.integers(0, 3, size=on.shape).astype(float)  # some rows left out of some heads
    heads = fit_heads(X.astype(dtype), on, C, weights)
    wide = X.astype(dtype).astype(float)
    for k in range(on.shape[1]):
        theirs = LogisticRegression(C=C, tol=1e-10, max_iter=5000)
        theirs.fit(wide, on[:, k], sample_weight=weights[:, k])
        best = _objective(
            wide, on[:, k], theirs.coef_[0], np.ravel(theirs.intercept_)[0], C, weights[:, k]
        )
        mine = _objective(wide, on[:, k], heads.coef[k], heads.intercept[k], C, weights[:, k])
        assert mine <= best * (1 + 1e-6)
        assert heads.objective[k] == pytest.approx(mine, rel=1e-7)
        assert np.allclose(heads.coef[k], theirs.coef_[0], rtol=0.02, atol=0.01)


def test_a_head_does_not_know_of_its_neighbours():
    X, on = _data()
    together = fit_heads(X, on, 1.0)
    alone = fit_heads(X, on[:, 2:3], 1.0)
    assert np.allclose(together.coef[2], alone.coef[0], atol=1e-3)
    assert together.objective[2] == pytest.approx(alone.objective[0], rel=1e-7)


def test_nearly_separable_classes_still_end():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    on = X[:, :1] > 0
    heads = fit_heads(X, on, 1e4)
    theirs = LogisticRegression(C=1e4, tol=1e-10, max_iter=5000).fit(X, on[:, 0])
    best = _objective(X, on[:, 0], theirs.coef_[0], theirs.intercept_[0], 1e4, np.ones(300))
    assert heads.objective[0] <= best * (1 + 1e-5) and heads.steps < 200


def test_balance_by_hand():
    on = np.array([[True], [False], [False], [True], [False]])
    rows = np.array([[True], [True], [True], [False], [True]])
    assert np.allclose(balanced_weights(on, rows)[:, 0], [2, 2 / 3, 2 / 3, 0, 2 / 3])
    with pytest.raises(ValueError, match="one class only"):
        balanced_weights(on, on)


def test_refused():
    X, on = _data(50)
    with pytest.raises(ValueError, match="one class only"):
        fit_heads(X, np.ones((50, 1), bool))
    with pytest.raises(ValueError, match="at least 0"):
        fit_heads(X, on, weights=-np.ones(on.shape))
    with pytest.raises(ValueError, match="alpha is 0"):
        fit_ridge(X, on, np.ones_like(on), 0)


def test_ridge_is_scikit_learns_with_the_border_halfway():
    X, on = _data()
    rows = np.ones_like(on)
    rows[:100, 1] = False
    heads = fit_ridge(X, on, rows, 2.5)
    for k in range(on.shape[1]):
        mine = rows[:, k]
        theirs = Ridge(alpha=2.5).fit(X[mine], np.where(on[mine, k], 1.0, -1.0))
        assert np.allclose(heads.coef[k], theirs.coef_)
        scores = X[mine] @ heads.coef[k] + heads.intercept[k]
        assert scores[on[mine, k]].mean() == pytest.approx(-scores[~on[mine, k]].mean())

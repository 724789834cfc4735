"""Moments equal what scikit-learn and numpy work out from all rows at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from probes.moments import Moments

RNG = np.random.default_rng(7)
SCALE = np.linspace(3, 0.2, 24)
X = RNG.normal(size=(9000, 24)) * SCALE @ np.linalg.qr(RNG.normal(size=(24, 24)))[0] + 5


def angle(one: np.ndarray, other: np.ndarray) -> float:
    """The largest principal angle between the spans of rows, in radians."""
    cosines = np.linalg.svd(one @ other.T, compute_uv=False)
    return float(np.arccos(np.clip(cosines.min(), -1, 1)))


def test_by_hand() -> None:
    found = Moments.of(np.array([[1.0, 0.0], [3.0, 4.0]]))
    assert found.n == 2
    np.testing.assert_allclose(found.mean, [2, 2])
    np.testing.assert_allclose(found.scatter, [[2, 4], [4, 8]])
    np.testing.assert_allclose(found.gram, [[10, 12], [12, 16]])
    np.testing.assert_allclose(found.covariance, [[2, 4], [4, 8]])


@pytest.mark.parametrize(("kind", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_covariance_is_numpys(kind: type, tolerance: float) -> None:
    rows = X.astype(kind)
    found, exact = Moments.of(rows), np.cov(rows.astype(np.float64).T)
    np.testing.assert_allclose(found.mean, rows.mean(0, np.float64), rtol=1e-7)
    assert np.abs(found.covariance - exact).max() <= tolerance * exact.max()
    assert found.scatter.dtype == np.float64


def test_far_from_zero_nothing_is_lost() -> None:
    """A raw fp32 Gram matrix would lose every digit of these variances."""
    rows = (RNG.normal(size=(5000, 3)) + 4096).astype(np.float32)
    exact = np.cov(rows.astype(np.float64).T)
    np.testing.assert_allclose(Moments.of(rows).covariance, exact, rtol=1e-4, atol=1e-5)
    raw = (rows.T @ rows).astype(np.float64) / len(rows) - np.outer(rows.mean(0), rows.mean(0))
    assert np.abs(raw - exact).max() > 0.1


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_moments_of_parts_add_up(sizes: list[int]) -> None:
    cuts = np.cumsum(sizes)
    parts = np.split(X[: cuts[-1]], cuts[:-1])
    whole = Moments.of(X[: cuts[-1]])
    total = Moments.of(parts[-1])
    for part in parts[:-1]:
        total = total + Moments.of(part)
    for other in (total, Moments.of(iter(parts))):
        assert other.n == whole.n
        np.testing.assert_allclose(other.mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(other.scatter, whole.scatter, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_many_small_blocks_far_from_zero_sum_to_the_same(kind: type) -> None:
    """More blocks than wait together, of unequal size, with a drift from block to block."""
    rng = np.random.default_rng(8)
    rows = rng.normal(size=(2000, 5)) + np.linspace(0, 3, 2000)[:, None] + 1000
    ends = np.sort(rng.choice(np.arange(1, 2000), 600, replace=False))
    parts = Moments.of(part.astype(kind) for part in np.split(rows, ends))
    exact = np.cov(rows.astype(kind).astype(np.float64).T)
    np.testing.assert_allclose(parts.covariance, exact, rtol=1e-5 if kind is np.float32 else 1e-9)
    np.testing.assert_allclose(parts.mean, rows.astype(kind).mean(0, np.float64), rtol=1e-12)


def test_pca_is_scikit_learns() -> None:
    exact = PCA(6, svd_solver="full").fit(X)
    for rows, tolerance in ((X, 1e-6), (X.astype(np.float32), 1e-3)):
        found = Moments.of(rows).pca(6)
        np.testing.assert_allclose(found.variances, exact.explained_variance_, rtol=1e-5)
        np.testing.assert_allclose(found.ratio, exact.explained_variance_ratio_, rtol=1e-5)
        assert angle(found.vectors, exact.components_) < tolerance
        np.testing.assert_allclose(
            np.abs(found.transform(rows[:50])), np.abs(exact.transform(X[:50])), atol=5e-3
        )
    assert Moments.of(X).pca().vectors.shape == (24, 24)


def test_a_rotation_of_the_rows_rotates_the_axes() -> None:
    turn = np.linalg.qr(RNG.normal(size=(24, 24)))[0]
    one, other = Moments.of(X).pca(5), Moments.of(X @ turn).pca(5)
    np.testing.assert_allclose(one.variances, other.variances, rtol=1e-9)
    assert angle(one.vectors @ turn, other.vectors) < 1e-6


def test_whitened_rows_have_unit_covariance() -> None:
    found = Moments.of(X)
    white = (X - found.mean) @ found.whitening()
    np.testing.assert_allclose(np.cov(white.T), np.eye(24), atol=1e-9)
    fewer = Moments.of(X[:10])
    with pytest.raises(ValueError, match="15 of 24 directions have no variance in 10 rows"):
        fewer.whitening()
    assert np.isfinite(fewer.whitening(0.1)).all()


def test_a_constant_column_is_named() -> None:
    rows = X.astype(np.float32).copy()
    rows[:, 3] = 0.7
    found = Moments.of(rows)
    assert found.constant().tolist() == [3]
    with pytest.raises(ValueError, match=r"1 of 24 directions .* \(column 3 is constant\)"):
        found.whitening()
    assert Moments.of(X).constant().size == 0


@pytest.mark.parametrize("alpha", [0.0, 0.5, 300.0])
def test_ridge_is_scikit_learns(alpha: float) -> None:
    y = X[:, :3] @ RNG.normal(size=(3, 2)) + RNG.normal(size=(len(X), 2)) + 1
    coefficients, intercepts = Moments.of(np.c_[X, y]).ridge(2, [1.0, alpha])
    exact = Ridge(alpha, solver="cholesky").fit(X, y)
    np.testing.assert_allclose(coefficients[1].T, exact.coef_, atol=1e-8)
    np.testing.assert_allclose(intercepts[1], exact.intercept_, atol=1e-7)


def test_ridge_refuses_what_has_no_answer() -> None:
    rows = np.c_[X[:9], RNG.normal(size=9)]
    with pytest.raises(ValueError, match="singular"):
        Moments.of(rows).ridge(1, [0.0])
    with pytest.raises(ValueError, match="can't be negative"):
        Moments.of(rows).ridge(1, [-1.0])
    with pytest.raises(ValueError, match="leave one for X"):
        Moments.of(rows).ridge(25, [1.0])


def test_one_preconditioner_serves_every_logistic_head() -> None:
    """Steps by the bound never make any head's loss larger, and arrive where L-BFGS does."""
    rows = X[:2000]
    ones = np.c_[rows, np.ones(len(rows))]
    lower = Moments.of(rows).preconditioner(C=0.5)
    rule = np.r_[np.full(24, 2.0), 2e-6]  # 1 / C, and the intercept's share of it

    def loss(w: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        margin = ones @ w
        value = np.logaddexp(0, margin).sum() - y @ margin + rule @ w**2 / 2
        return value, ones.T @ (1 / (1 + np.exp(-margin)) - y) + rule * w

    for column in (0, 5):
        y = (rows[:, column] + RNG.normal(size=len(rows)) > 6).astype(float)
        w, before = np.zeros(25), np.inf
        for _ in range(60):
            value, slope = loss(w, y)
            assert value <= before + 1e-9
            before = value
            w = w - np.linalg.solve(lower @ lower.T, slope)
        best = minimize(loss, np.zeros(25), args=(y,), jac=True, method="L-BFGS-B")
        assert loss(w, y)[0] <= best.fun * (1 + 1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_bad_row_is_named_by_its_number(bad: float, kind: type) -> None:
    rows = X.astype(kind)
    rows[6123, 2] = bad
    with pytest.raises(ValueError, match="row 6123 has NaN or infinite"):
        Moments.of(rows[i : i + 1000] for i in range(0, 9000, 1000))
    with pytest.raises(ValueError, match="row 7123 has"):
        Moments.of(rows, first=1000)


def test_other_mistakes_are_one_sentence() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        Moments.of([])
    with pytest.raises(ValueError, match="at least one row"):
        Moments.of(X[:0])
    with pytest.raises(ValueError, match="24 columns"):
        Moments.of([X, X[:, :3]])
    with pytest.raises(ValueError, match="too large to square"):
        Moments.of(np.array([[1e30, 0], [-1e30, 1]], np.float32))
    with pytest.raises(ValueError, match="one row has no covariance"):
        Moments.of(X[:1]).pca(2)
    with pytest.raises(ValueError, match="give 1 to 24"):
        Moments.of(X).pca(25)
    with pytest.raises(ValueError, match="can't be added"):
        Moments.of(X) + Moments.of(X[:, :2])

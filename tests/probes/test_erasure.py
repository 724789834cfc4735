"""LEACE erases exactly what it promises, and as concept-erasure does."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import LeaceEraser, LeaceNormals, MeanDifference
from probes.folds import assign_folds, balanced_accuracy, out_of_fold


def _data(n: int = 300, d: int = 8, seed: int = 0):
    rng = np.random.default_rng(seed)
    on, skin = rng.integers(2, size=n), rng.integers(3, size=n)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    X[:, 0] += 2 * on
    X[np.arange(n), 1 + skin] += 2
    labels = {"glasses": list(np.array(["no", "yes"])[on]), "skin": [f"s{k}" for k in skin]}
    return X, labels, on, skin


def test_an_independent_implementation_agrees():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses what torch has deprecated
        concept_erasure = pytest.importorskip("concept_erasure", reason="a [dev] oracle")
    import torch

    X, _, on, skin = _data()
    Z = np.stack([on, skin == 0, skin == 1], 1).astype(float)
    fitter = concept_erasure.LeaceFitter(8, 3, dtype=torch.float64, shrinkage=False)
    fitter.update(torch.from_numpy(X), torch.from_numpy(Z))
    theirs = fitter.eraser(torch.from_numpy(X)).numpy()
    mine = LeaceEraser().fit(X, Z)
    assert mine.rank_ == 3
    assert np.allclose(mine.transform(X), theirs, atol=1e-8)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 50))
def test_classes_share_their_mean_afterwards_in_any_turned_or_scaled_space(seed, scale):
    X, labels, on, _ = _data(seed=seed)
    turn = scale * np.linalg.qr(np.random.default_rng(seed).normal(size=(8, 8)))[0]
    eraser = LeaceEraser().fit(X, labels)
    clean = eraser.transform(X)
    assert np.allclose(clean[on == 1].mean(0), clean[on == 0].mean(0), atol=1e-7)
    assert eraser.rank_ == 3 and np.allclose(eraser.transform(clean), clean, atol=1e-7)
    turned = LeaceEraser().fit(X @ turn, labels).transform(X @ turn)
    assert np.allclose(turned, clean @ turn, atol=1e-5 * scale)


def test_no_linear_probe_reads_what_was_erased_and_the_rest_stays():
    X, labels, on, skin = _data(n=900)
    Z = (X - X.mean(0)) / X.std(0)
    clean = LeaceEraser().fit(Z, {"glasses": labels["glasses"]}).transform(Z)
    both = np.stack([on == 1, skin == 1], 1)
    rows, fold = np.ones_like(both), assign_folds(900, 3, 0)
    before = balanced_accuracy(both, rows, out_of_fold(Z, both, rows, fold))
    after = balanced_accuracy(both, rows, out_of_fold(clean, both, rows, fold))
    assert before[0] > 0.7 and abs(after[0] - 0.5) < 0.06
    assert after[1] > before[1] - 0.05


def test_the_normal_reads_and_the_difference_is_what_goes():
    """Two axes by hand: the second carries the first's noise alone."""
    rng = np.random.default_rng(4)
    on, noise = rng.integers(2, size=4000), rng.normal(size=4000)
    X = np.stack([on + noise, 0.9 * noise + 0.1 * rng.normal(size=4000)], 1)
    labels = {"glasses": ["yes" if o else "no" for o in on]}
    normal = LeaceNormals().fit(X, labels).directions_["glasses"]
    difference = MeanDifference().fit(X, labels).directions_["glasses"]
    assert normal.vector[1] < -0.5 and abs(difference.vector[1]) < 0.1
    assert normal.evidence["r2"] > 0.85
    moved = X - LeaceEraser().fit(X, labels).transform(X)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    assert np.allclose(np.abs(moved @ difference.vector), 1, atol=1e-5)

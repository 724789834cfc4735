"""Rotation, scale and the order of rows change what they should and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import (
    ContrastivePairs,
    Direction,
    IdealWords,
    LeaceNormals,
    LinearDirections,
    Manifold,
    MeanDifference,
    PCADirections,
    TextDifference,
    anisotropy,
    modality_gap,
)

D = 6
SEEDS = st.integers(0, 2**32 - 1)


def cloud(seed: int, n: int = 90) -> tuple[np.ndarray, dict[str, list[str]]]:
    """(n, D) vectors whose axes hold unlike variance, and a label of three levels in them."""
    rng = np.random.default_rng(seed)
    level = rng.integers(3, size=n)
    X = rng.normal(size=(n, D)) * np.geomspace(3, 0.3, D) + rng.normal(size=D)
    X[np.arange(n), level] += 2
    return X, {"skin": [f"s{k}" for k in level]}


def turned(seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng([seed, 1]).normal(size=(D, D)))[0]


def words(X: np.ndarray, rows: np.ndarray) -> dict[str, Direction]:
    """Two prompts' sides stand for texts: rows i and i + 30, whatever order rows are in."""
    place = np.argsort(rows)
    return TextDifference().fit(X, {"it": (X[place[:30]], X[place[30:60]])}).directions_


def twins(X: np.ndarray, rows: np.ndarray) -> dict[str, Direction]:
    place = np.argsort(rows)
    return ContrastivePairs().fit({"it": (X[place[:30]], X[place[30:60]])}).directions_


def with_labels(kind: type) -> Callable[..., dict[str, Direction]]:
    def fit(X: np.ndarray, rows: np.ndarray, labels: dict[str, list[str]]) -> dict[str, Direction]:
        return kind().fit(X, {"skin": [labels["skin"][i] for i in rows]}).directions_

    return fit


METHODS: dict[str, Callable[..., dict[str, Direction]]] = {
    "pca": lambda X, rows, labels: PCADirections(3).fit(X).directions_,
    "means": with_labels(MeanDifference),
    "leace": with_labels(LeaceNormals),
    "ideal words": with_labels(IdealWords),
    "text": lambda X, rows, labels: words(X, rows),
    "pairs": lambda X, rows, labels: twins(X, rows),
}


@pytest.mark.parametrize("method", METHODS)
@given(SEEDS, st.floats(0.01, 100))
@settings(max_examples=8, deadline=None)
def test_a_direction_turns_with_the_space_whatever_its_scale_and_the_order(method, seed, scale):
    X, labels = cloud(seed)
    turn, rows = turned(seed), np.random.default_rng([seed, 2]).permutation(len(X))
    plain = METHODS[method](X, np.arange(len(X)), labels)
    other = METHODS[method]((scale * X @ turn)[rows], rows, labels)
    assert set(plain) == set(other)
    for name, one in plain.items():
        # The sign of a component is fixed by its coordinates, which a rotation changes.
        along = other[name].vector @ (one.vector @ turn)
        assert (abs(along) if method == "pca" else along) > 1 - 1e-4, name
        assert other[name].sigma == pytest.approx(scale * one.sigma, rel=1e-4)


@given(SEEDS, st.floats(0.01, 100))
@settings(max_examples=5, deadline=None)
def test_a_probe_reads_the_same_in_any_units_and_order(seed, scale):
    X, labels = cloud(seed)
    rows = np.random.default_rng([seed, 2]).permutation(len(X))
    units = scale * np.geomspace(0.1, 10, D)
    plain = LinearDirections().fit(X, labels)
    other = LinearDirections().fit((X * units)[rows], {"skin": [labels["skin"][i] for i in rows]})
    for name, scores in plain.scores(X).items():
        np.testing.assert_allclose(other.scores(X * units)[name], scores, atol=1e-3)


@given(SEEDS, st.floats(0.01, 100))
@settings(max_examples=10, deadline=None)
def test_gap_anisotropy_and_the_alarm_do_not_change(seed, scale):
    X, _ = cloud(seed)
    other = X[:40] + 1.5
    turn, rows = turned(seed), np.random.default_rng([seed, 2]).permutation(len(X))
    moved = scale * X @ turn
    gap = modality_gap(X, other), modality_gap(moved[rows], scale * other @ turn)
    assert gap[0].distance == pytest.approx(gap[1].distance)
    assert gap[0].relative == pytest.approx(gap[1].relative)
    for one, two in zip(
        vars(anisotropy(X)).values(), vars(anisotropy(moved[rows])).values(), strict=True
    ):
        assert one == pytest.approx(two)
    alarm = Manifold.fit(X), Manifold.fit(moved)
    np.testing.assert_allclose(alarm[0].norm(other), alarm[1].norm(scale * other @ turn))

"""Geometry against scipy, against clouds whose dimension is known, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.geometry import anisotropy, intrinsic_dimension, modality_gap, subspace_angles

SEEDS = st.integers(0, 10_000)


def rotation(d: int, seed: int) -> np.ndarray:
    """A random orthogonal matrix (d, d)."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
    return q * np.sign(np.diag(r))


@given(SEEDS, st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_angles_are_those_of_scipy(seed: int, j: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((j, 7)), rng.standard_normal((k, 7))
    expected = scipy.linalg.subspace_angles(a.T, b.T)
    assert np.allclose(subspace_angles(a, b), expected, atol=1e-7)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_angles_do_not_change_with_rotation_scale_or_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, turn = rng.standard_normal((2, 6)), rng.standard_normal((3, 6)), rotation(6, seed)
    plain = subspace_angles(a, b)
    assert np.allclose(subspace_angles(a @ turn, b @ turn), plain)
    assert np.allclose(subspace_angles(a * [[3.0], [-0.2]], b[::-1]), plain)
    assert np.allclose(subspace_angles(b, a), plain)


def test_angles_by_hand() -> None:
    east, north = np.array([[1.0, 0, 0]]), np.array([[0.0, 2, 0]])
    assert np.allclose(subspace_angles(east, north), np.pi / 2)
    assert np.allclose(subspace_angles(east, east + north / 2), np.pi / 4)
    assert np.allclose(subspace_angles(np.vstack([east, east]), east), 0)
    # An angle so small that its cosine can't show it, beside a right angle.
    one, other = np.eye(4)[:2], np.array([[1, 1e-9, 1e-9, 0], [0, 0, 0, 1]])
    assert np.allclose(subspace_angles(one, other), [np.pi / 2, 1e-9], rtol=1e-6, atol=0)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_flat_sheet_has_its_own_dimension(d: int) -> None:
    rng = np.random.default_rng(d)
    sheet = rng.uniform(size=(1500, d)) @ rotation(12, 1)[:d]
    assert intrinsic_dimension(sheet) == pytest.approx(d, rel=0.12)


def test_a_curled_sheet_has_the_dimension_of_the_sheet() -> None:
    rng = np.random.default_rng(0)
    angle, height = rng.uniform(0, 6, 2000), rng.uniform(0, 4, 2000)
    roll = np.stack([angle * np.cos(angle), height, angle * np.sin(angle)], 1)
    assert intrinsic_dimension(roll) == pytest.approx(2, rel=0.15)


@given(SEEDS, st.floats(0.01, 100))
@settings(max_examples=10, deadline=None)
def test_dimension_does_not_change_with_rotation_scale_or_order(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((60, 4))
    moved = scale * rng.permutation(x) @ rotation(4, seed) + 3
    assert intrinsic_dimension(moved) == pytest.approx(intrinsic_dimension(x), rel=1e-6)


def test_the_gap_by_hand() -> None:
    images = np.array([[2.0, 0], [4, 0]])
    texts = np.array([[0.0, 1], [0, 5]])
    gap = modality_gap(images, texts)
    assert np.allclose(gap.vector, [1, -1])
    assert gap.distance == pytest.approx(np.sqrt(2))
    assert gap.relative == np.inf
    mixed = np.array([[1.0, 0], [0, 1]])
    assert modality_gap(mixed, mixed[::-1]).distance == pytest.approx(0)
    # Each cloud is the two axes, so its radius is sqrt(1/2); the other is turned by half a turn.
    assert modality_gap(mixed, -mixed).relative == pytest.approx(np.sqrt(2) / np.sqrt(0.5))


def test_anisotropy_by_hand_and_against_every_pair() -> None:
    cross = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    found = anisotropy(cross)
    assert found.cosine == pytest.approx(-1 / 3)
    assert (found.participation, found.top) == (pytest.approx(2), pytest.approx(0.5))
    x = np.random.default_rng(2).standard_normal((30, 5)) + 2
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i in range(30) for j in range(30) if i != j]
    spectrum = np.linalg.eigvalsh(np.cov(x.T))
    assert anisotropy(x).cosine == pytest.approx(np.mean(pairs))
    assert anisotropy(x).participation == pytest.approx(spectrum.sum() ** 2 / (spectrum**2).sum())
    assert anisotropy(x).top == pytest.approx(spectrum[-1] / spectrum.sum())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: subspace_angles(np.zeros((2, 3)), np.ones((1, 3))), "span nothing"),
        (lambda: subspace_angles(np.ones((1, 3)), np.ones((1, 4))), "share no space"),
        (lambda: intrinsic_dimension(np.ones((19, 2))), "at least 20"),
        (lambda: intrinsic_dimension(np.repeat(np.eye(20), 2, 0)), "is there twice"),
        (lambda: modality_gap(np.zeros((2, 3)), np.ones((2, 3))), "row 0 of the images is zero"),
        (lambda: anisotropy(np.array([[1.0, np.nan], [0, 1]])), "row 0"),
        (lambda: anisotropy(np.ones((5, 3))), "all equal"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()

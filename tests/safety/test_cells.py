"""The test of coarse cells: exact without the mark, the same for arrays and tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from safety.cells import PATTERNS, SIDE, find_cells, frame, patterns, responses

KEY = b"a key of the test, 32 bytes long"


def pictures(n: int, seed: int, side: int = 64) -> np.ndarray:
    """Smooth blobs with edges, as pictures have."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.uniform(0, 255, (n, 8, 8, 3)), np.ones((1, side // 8, side // 8, 1)))
    return (coarse + rng.normal(0, 3, coarse.shape)).clip(1, 255).astype(np.uint8)


def pushed(image: np.ndarray, key: bytes, by: float, which: int = 3) -> np.ndarray:
    """Each cell's grey moved as one of the key's patterns says."""
    side = image.shape[0] // SIDE
    change = np.kron(patterns(key)[which, 0], np.ones((side, side)))
    return (image + by * change[..., None]).clip(1, 255).astype(np.uint8)


def test_false_alarms_are_no_more_frequent_than_the_p_value_says() -> None:
    rng = np.random.default_rng(1)
    p = np.array(
        [one.p_value for _ in range(100) for one in find_cells(pictures(8, 2), rng.bytes(32))]
    )
    for level in (0.1, 0.02):
        assert binomtest(int((p <= level).sum()), len(p), level, "greater").pvalue > 0.01
    assert (p <= 0.5).any()  # not merely always 1


@pytest.mark.parametrize("side", [64, 128])
def test_a_pushed_picture_of_any_size_is_found_by_its_key_alone(side: int) -> None:
    flat = np.full((1, side, side, 3), 120, np.uint8)
    marked = pushed(flat[0], KEY, 2.0)[None]
    assert find_cells(marked, KEY)[0].p_value < 1e-30
    assert find_cells(flat, KEY)[0].p_value > 0.01
    assert find_cells(marked, b"another key of 16 bytes or more")[0].p_value > 1e-3


def test_what_is_blotted_out_says_nothing() -> None:
    marked = pushed(np.full((64, 64, 3), 120, np.uint8), KEY, 3.0)
    marked[:, :24] = 0
    marked[:9] = 0
    assert find_cells(marked[None], KEY)[0].p_value < 1e-15
    assert find_cells(np.zeros((1, 64, 64, 3), np.uint8), KEY)[0].p_value == 1.0


def test_an_average_of_marked_pictures_forges_one_pattern_but_not_many() -> None:
    rng, flat = np.random.default_rng(4), np.full((64, 64, 3), 120.0)

    def forged(which: np.ndarray) -> float:
        mean = np.mean([pushed(flat.astype(np.uint8), KEY, 3.0, k) - flat for k in which], 0)
        louder = mean * 4.0 / mean.std()
        return find_cells((flat + louder).clip(1, 255).astype(np.uint8)[None], KEY)[0].p_value

    assert forged(np.zeros(300, int)) < 1e-20
    assert forged(rng.integers(PATTERNS, size=300)) > 1e-6


def test_tensors_give_what_arrays_give() -> None:
    pixels = pictures(3, 5, 56).transpose(0, 3, 1, 2).astype(np.float32)
    seen = np.random.default_rng(6).uniform(size=(3, 56, 56)) > 0.3
    arrays = responses(pixels, seen.astype(np.float32), frame(56, 56))
    tensors = responses(
        torch.from_numpy(pixels),
        torch.from_numpy(seen.astype(np.float32)),
        tuple(torch.from_numpy(np.ascontiguousarray(one)) for one in frame(56, 56)),
    )
    for one, two in zip(arrays, tensors, strict=True):
        np.testing.assert_allclose(one, two.numpy(), atol=1e-3)


@pytest.mark.parametrize("length", [16, 50, 64, 1000])
def test_cells_are_means_over_equal_stretches(length: int) -> None:
    down, across, _ = frame(length, length)
    np.testing.assert_allclose(down.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(down.sum(0), SIDE / length, rtol=1e-4)
    np.testing.assert_array_equal(down, across.T)


def test_patterns_belong_to_the_key_and_bad_input_gets_a_sentence() -> None:
    assert patterns(KEY).shape == (PATTERNS, 3, SIDE, SIDE)
    assert set(np.unique(patterns(KEY))) == {-1, 1}
    with pytest.raises(ValueError, match="at least 16 bytes"):
        patterns(b"short")
    with pytest.raises(ValueError, match=r"expected \(n, height, width, 3\) uint8"):
        find_cells(np.zeros((64, 64, 3), np.uint8), KEY)

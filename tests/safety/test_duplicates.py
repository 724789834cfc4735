"""The near-duplicate graph on sets whose twins are known."""

from __future__ import annotations

import numpy as np
import pytest

from safety.duplicates import close_pairs, hashes, near_duplicates, tile_distance


def blobs(seed: int) -> np.ndarray:
    """(64, 64, 3) uint8: a rough random picture, as PDQ needs."""
    from scipy.ndimage import zoom

    small = np.random.default_rng(seed).uniform(0, 255, (16, 16, 3))
    return zoom(small, (4, 4, 1), order=1).clip(0, 255).astype(np.uint8)


def test_tile_distance_sees_the_worst_tile_by_hand() -> None:
    one = np.zeros((1, 64, 64, 3), np.uint8)
    other = one.copy()
    other[0, :16, :16] = 51  # a fifth of the range in one tile of sixteen
    assert tile_distance(one, other) == pytest.approx([0.2])
    other[0, :16, :8] = 0
    assert tile_distance(one, other) == pytest.approx([0.2 / np.sqrt(2)])


def test_close_pairs_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2, (60, 256)).astype(np.uint8)
    bits[40] = bits[3]
    bits[41] = bits[3] ^ (np.arange(256) < 31)
    bits[42] = bits[3] ^ (np.arange(256) < 32)
    wanted = {
        (i, j) for i in range(60) for j in range(i + 1, 60) if (bits[i] != bits[j]).sum() <= 31
    }
    assert {(3, 40), (3, 41)} <= wanted and (3, 42) not in wanted
    for block in (7, 60):
        assert {tuple(map(int, pair)) for pair in close_pairs(bits, block=block)} == wanted


def test_groups_and_counts_are_the_planted_ones() -> None:
    pictures = np.stack([blobs(i) for i in range(12)])
    rng = np.random.default_rng(2)
    noisy = pictures[4].astype(int) + rng.integers(-6, 7, pictures[4].shape)
    pictures[9] = noisy.clip(0, 255)
    pictures[10] = pictures[4]
    pictures[7] = pictures[0]
    found = near_duplicates(pictures)
    assert found.groups == ((4, 9, 10), (0, 7))
    assert found.repeats().tolist() == [2, 1, 1, 1, 3, 1, 1, 2, 1, 3, 3, 1]
    assert len(found.pairs) == 4 and (found.distances <= 0.08).all()


def test_a_changed_corner_is_no_duplicate_though_the_hash_is_near() -> None:
    picture = blobs(3)
    marked = picture.copy()
    marked[:16, :16] = 255 - marked[:16, :16]
    one = near_duplicates(np.stack([picture, marked]), most=256)
    assert one.candidates == 1 and one.groups == ()


def test_no_picture_has_no_twin() -> None:
    none = near_duplicates(np.zeros((0, 64, 64, 3), np.uint8))
    assert none.groups == () and none.repeats().tolist() == []
    assert hashes([]).shape == (0, 256)

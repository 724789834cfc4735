"""Near-duplicates of a training set: a cheap hash proposes pairs, the pixels decide.

What is repeated is what a model learns by heart (Carlini et al. 2023, section 4), so a training
set is looked through before training. Pairs whose PDQ hashes lie close are candidates; a candidate
stands when no tile of the two pictures differs by much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from safety.pdq import MATCH, pdq

TILES = 4  # a side
SAME = 0.08  # root mean square of the worst tile, in ranges of a pixel; JPEG 75 moves it less


@dataclass(frozen=True)
class Duplicates:
    """The graph: verified `pairs` (m, 2) with `distances` (m,), and its connected groups.

    `groups` hold row numbers, largest group first; pictures without a twin are in none.
    `candidates` is how many pairs the hash proposed.
    """

    pictures: int
    pairs: np.ndarray
    distances: np.ndarray
    groups: tuple[tuple[int, ...], ...]
    candidates: int

    def repeats(self) -> np.ndarray:
        """(pictures,) how often each picture is there, itself counted."""
        counts = np.ones(self.pictures, int)
        for group in self.groups:
            counts[list(group)] = len(group)
        return counts


def tile_distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Largest root mean square difference over 4 x 4 tiles (Carlini et al. 2023, section 4.2).

    Both (n, h, w, 3) uint8 of one size; (n,) from 0 to 1. A whole picture's mean would call two
    portraits on one plain background the same.
    """
    rows, columns = (np.linspace(0, side, TILES + 1).astype(int) for side in one.shape[1:3])
    gap = ((one.astype(np.float32) - other) / 255) ** 2
    worst = np.zeros(len(one), np.float32)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            worst = np.maximum(worst, gap[:, top:bottom, left:right].mean((1, 2, 3)))
    return np.sqrt(worst)


def hashes(pictures: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """(n, 256) PDQ bits of pictures of any sizes."""
    digests = [np.frombuffer(bytes.fromhex(pdq(one)), np.uint8) for one in pictures]
    return np.unpackbits(np.stack(digests), axis=1) if digests else np.zeros((0, 256), np.uint8)


def close_pairs(bits: np.ndarray, most: int = MATCH, block: int = 2048) -> np.ndarray:
    """(m, 2) rows whose hashes differ in at most so many bits; exhaustive, in blocks."""
    signs = bits.astype(np.float32) * 2 - 1
    found = []
    for start in range(0, len(bits), block):
        # agreeing less differing bits, exact in float32
        agreement = signs[start : start + block] @ signs[start:].T
        left, right = np.nonzero(agreement >= bits.shape[1] - 2 * most)
        rows = np.stack([left, right], 1)
        found.append(rows[left < right] + start)
    return np.concatenate(found) if found else np.zeros((0, 2), int)


def near_duplicates(
    pictures: np.ndarray,
    *,
    most: int = MATCH,
    same: float = SAME,
    batch: int = 4096,
    progress: Callable[[str], None] = lambda text: None,
) -> Duplicates:
    """The near-duplicate graph of (n, h, w, 3) uint8 pictures (memory-mapped ones too)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    progress(f"hashing {len(pictures)} pictures")
    candidates = close_pairs(hashes(pictures), most)
    progress(f"comparing the pixels of {len(candidates)} pairs")
    distances = np.zeros(len(candidates), np.float32)
    for start in range(0, len(candidates), batch):
        part = candidates[start : start + batch]
        distances[start : start + batch] = tile_distance(pictures[part[:, 0]], pictures[part[:, 1]])
    kept = distances <= same
    pairs, n = candidates[kept], len(pictures)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, labels = connected_components(links, directed=False)
    order = np.argsort(labels, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    groups = sorted((tuple(map(int, g)) for g in parts if len(g) > 1), key=lambda g: (-len(g), g))
    return Duplicates(n, pairs, distances[kept], tuple(groups), len(candidates))

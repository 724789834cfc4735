"""Minimum description length of labels given vectors (Voita & Titov 2020, online code)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from probes.folds import assign_folds
from probes.logistic import fit_heads

PARTS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


def description_length(
    X: np.ndarray, on: np.ndarray, rows: np.ndarray, ids: np.ndarray, C: float, seed: int
) -> np.ndarray:
    """(K,) online codelength of labels, as a share of their codelength without vectors.

    Labels are sent in blocks (`PARTS` of the groups, in random order): each block is coded by a
    probe fitted on all before it, the first by coin flips. Without vectors, each block is coded
    by the share seen so far (with one of each added), the best a sender without them can do.
    X (n, d), `on` and `rows` (n, K) bool, `ids` (n,) groups. NaN for labels of one class.
    """
    n, K = on.shape
    count = int(ids.max()) + 1
    place = assign_folds(n, count, seed, ids.tolist()) if count > 1 else np.zeros(n)
    when = (place + 1) / count  # a random order of groups, in (0, 1]
    with_vectors, without = np.zeros(K), np.zeros(K)
    first = when <= PARTS[0]
    with_vectors += (first[:, None] & rows).sum(0)
    without += (first[:, None] & rows).sum(0)
    for start, end in pairwise(PARTS):
        past, block = when <= start, (when > start) & (when <= end)
        seen, coming = rows & past[:, None], rows & block[:, None]
        hits, total = (on & seen).sum(0), seen.sum(0)
        base = (hits + 1) / (total + 2)
        plain = np.where(on, np.log2(base), np.log2(1 - base))
        without -= np.where(coming, plain, 0).sum(0)
        said = np.broadcast_to(np.log(base / (1 - base)), on.shape).copy()
        able = np.flatnonzero((hits > 0) & (hits < total))
        if len(able):
            weights = seen[:, able].astype(np.float32)
            said[:, able] = fit_heads(X, on[:, able], C, weights, tol=1e-5).logits(X)
        said = np.clip(said, -15, 15)  # no certainty costs more than 22 bits
        cost = np.logaddexp(0, np.where(on, -said, said)) / np.log(2)
        with_vectors += np.where(coming, cost, 0).sum(0)
    classes = (on & rows).sum(0)
    return np.where((classes > 0) & (classes < rows.sum(0)), with_vectors / without, np.nan)

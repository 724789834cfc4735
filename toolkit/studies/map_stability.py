"""How far a map can be trusted: what it keeps of the real neighbours, and what seeds change.

High figures say that neighbours on the map are neighbours in the space. They say nothing of
distances between groups, of their sizes, or of empty space, which a UMAP makes up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from toolkit.studies.maps import NEIGHBORS

RESAMPLES = 1000


def flat_neighbours(points: np.ndarray, k: int = NEIGHBORS) -> np.ndarray:
    """(n, k) indices of each point's nearest others on the map."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)


def trust(vectors: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(n,) each point's trustworthiness (Venna & Kaski 2001), whose mean is scikit-learn's.

    1 when all of its map neighbours `near` (n, k) are among its k nearest by cosine distance;
    less, the further out in the ranking they lie. Needs k under n / 2.
    """
    n, k = near.shape
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found, rows = np.empty(n), max(1, 20_000_000 // (n * k))
    for start in range(0, n, rows):
        apart = 1 - unit[start : start + rows] @ unit.T  # (rows, n)
        apart[np.arange(len(apart)), np.arange(start, start + len(apart))] = np.inf
        to = np.take_along_axis(apart, near[start : start + rows], 1)  # (rows, k)
        rank = 1 + (apart[:, None, :] < to[:, :, None]).sum(2)
        found[start : start + rows] = np.maximum(rank - k, 0).sum(1)
    return 1 - found * 2 / (k * (2 * n - 3 * k - 1))


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) the share of each point's k neighbours that two lists (n, k) have in common."""
    shared = [len(np.intersect1d(a, b)) for a, b in zip(one, other, strict=True)]
    return np.array(shared) / one.shape[1]


def _row(measure: str, kind: str, each: Sequence[np.ndarray], chance: float | None, seed: int):
    """Mean over points and seeds, with a 95 % interval over resampled points (Efron 1979)."""
    mean = np.mean(each, axis=0)
    rng = np.random.default_rng(seed)
    tries = [mean[rng.integers(len(mean), size=len(mean))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(tries, [2.5, 97.5])
    values = [float(one.mean()) for one in each]
    facts: dict[str, Any] = {
        "map": kind, "measure": measure, "value": float(mean.mean()), "low": float(low),
        "high": float(high), "least": min(values), "most": max(values), "maps": len(each),
        "chance": chance, "n": len(mean),
    }  # fmt: skip
    return facts


def stability(
    vectors: np.ndarray, near: np.ndarray, maps: dict[str, list[np.ndarray]], seed: int
) -> list[dict[str, Any]]:
    """One row a measure: `trustworthiness`, `neighbours kept` and `neighbours across seeds`.

    `near` (n, k) are the true neighbours, `maps` coordinates (n, 2) by kind of map, one a seed.
    `low` and `high` are the interval over points; `least` and `most` the extremes over single
    maps, or pairs of them; `chance` what coordinates drawn at random would have.
    """
    rows, (n, k) = [], near.shape
    by_luck = k / (n - 1)
    ranks = 1 - (n - 1 - k) * (n - k) / ((n - 1) * (2 * n - 3 * k - 1))  # every rank as likely
    for kind, drawn in maps.items():
        flat = [flat_neighbours(points, k) for points in drawn]
        each = [trust(vectors, one) for one in flat]
        rows.append(_row("trustworthiness", kind, each, ranks, seed))
        each = [overlap(near, one) for one in flat]
        rows.append(_row("neighbours kept", kind, each, by_luck, seed))
        if pairs := [overlap(a, b) for a, b in combinations(flat, 2)]:
            rows.append(_row("neighbours across seeds", kind, pairs, by_luck, seed))
    return rows


def sentences(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The rows in words, to stand beside the picture."""
    said = []
    for row in rows:
        pairs = "pairs of seeds" if row["measure"] == "neighbours across seeds" else "seeds"
        several = f", {row['maps']} {pairs} {row['least']:.2f} to {row['most']:.2f}"
        said.append(
            f"{row['map']}: {row['measure']} {row['value']:.2f} "
            f"[{row['low']:.2f}, {row['high']:.2f}]"
            f"{several if row['maps'] > 1 else ''}, by chance {row['chance']:.2f}"
        )
    return said

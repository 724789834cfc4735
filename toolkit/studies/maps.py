"""Maps of embeddings by PCA and UMAP, and how far a map can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

NEIGHBORS = 15
SEEDS = 3  # UMAPs that are compared


def pca2(real: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """(n, 2) coordinates of real then drawn vectors, by a PCA that has seen the real ones alone.

    The facts say how much of the real vectors' variance the two axes hold.
    """
    from sklearn.decomposition import PCA

    pca = PCA(2, random_state=0).fit(real)
    share = [round(float(s), 4) for s in pca.explained_variance_ratio_]
    return pca.transform(np.concatenate([real, drawn])), {"fitted_on": len(real), "share": share}


def umap2(
    vectors: np.ndarray, seed: int, near: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """(n, 2) UMAP coordinates by cosine distance (McInnes et al. 2018); the same for a seed.

    `near` is what `neighbours` found, for several seeds to share. Too few vectors for a
    neighbourhood give NaN: a map of a handful would be an invention.
    """
    if len(vectors) <= 2 * NEIGHBORS:
        return np.full((len(vectors), 2), np.nan)
    import warnings

    graph: dict[str, Any] = {}
    if near is not None:
        itself = np.arange(len(vectors))[:, None]  # UMAP counts a point as its own neighbour
        index, far = near[0][:, : NEIGHBORS - 1], near[1][:, : NEIGHBORS - 1]
        nothing = np.zeros((len(vectors), 1), np.float32)
        graph["precomputed_knn"] = (np.hstack([itself, index]), np.hstack([nothing, far]), None)
    with warnings.catch_warnings():
        # It looks for an optional TensorFlow when it is imported.
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        # A finished map needs no search for new points.
        warnings.filterwarnings("ignore", r"precomputed_knn\[2\]", UserWarning)
        from umap import UMAP

        # A seed forces one thread anyway; saying so avoids its warning.
        made = UMAP(n_neighbors=NEIGHBORS, metric="cosine", random_state=seed, n_jobs=1, **graph)
        return np.asarray(made.fit_transform(vectors))


def neighbours(
    vectors: np.ndarray, k: int = NEIGHBORS, rows: int = 1024
) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) indices and cosine distances of each vector's nearest others, exact, in blocks.

    Raises ValueError for a vector of length zero, which has no direction to compare.
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not length.all():
        raise ValueError(f"row {int(np.argmin(length))} is all zeros, so it has no neighbours")
    unit = (vectors / length).astype(np.float32)
    index, far = np.empty((len(unit), k), np.int64), np.empty((len(unit), k), np.float32)
    for start in range(0, len(unit), rows):
        apart = 1 - unit[start : start + rows] @ unit.T
        apart[np.arange(len(apart)), np.arange(start, start + len(apart))] = np.inf
        near = np.argpartition(apart, k - 1, axis=1)[:, :k]
        here = np.take_along_axis(apart, near, 1)
        order = np.argsort(here, axis=1, kind="stable")
        index[start : start + rows] = np.take_along_axis(near, order, 1)
        far[start : start + rows] = np.maximum(np.take_along_axis(here, order, 1), 0)
    return index, far


def embedding_map(
    ids: Sequence[str], kinds: Sequence[str], drawn: np.ndarray, real: np.ndarray, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One row a point: id, kind ("real" or the pipeline), pca1, pca2, umap1, umap2; and facts.

    The facts' `stability` compares the maps with the vectors, and the UMAP with two of other seeds.
    """
    import pandas as pd

    from toolkit.studies.map_stability import stability

    drawn = drawn.reshape(-1, real.shape[1])
    flat, facts = pca2(real, drawn)
    every = np.concatenate([real, drawn])
    curved, facts["stability"] = umap2(every, seed), []
    if len(every) > 2 * NEIGHBORS:
        near = neighbours(every)
        curved = [umap2(every, one, near) for one in range(seed, seed + SEEDS)]
        facts["stability"] = stability(every, near[0], {"PCA": [flat], "UMAP": curved}, seed)
        curved = curved[0]
    names = [f"real-{index:04d}" for index in range(len(real))] + list(ids)
    table = pd.DataFrame(
        {
            "id": names,
            "kind": ["real"] * len(real) + list(kinds),
            "pca1": flat[:, 0],
            "pca2": flat[:, 1],
            "umap1": curved[:, 0],
            "umap2": curved[:, 1],
        }
    )
    return table, facts

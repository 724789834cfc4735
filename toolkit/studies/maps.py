"""The map of embeddings: PCA and UMAP of drawn pictures among real portraits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

NEIGHBORS = 15


def pca2(real: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """(n, 2) coordinates of real then drawn vectors, by a PCA that has seen the real ones alone.

    The facts say how much of the real vectors' variance the two axes hold.
    """
    from sklearn.decomposition import PCA

    pca = PCA(2, random_state=0).fit(real)
    share = [round(float(s), 4) for s in pca.explained_variance_ratio_]
    return pca.transform(np.concatenate([real, drawn])), {"fitted_on": len(real), "share": share}


def umap2(vectors: np.ndarray, seed: int) -> np.ndarray:
    """(n, 2) UMAP coordinates by cosine distance (McInnes et al. 2018); the same for a seed.

    Too few vectors for a neighbourhood give NaN: a map of a handful would be an invention.
    """
    if len(vectors) <= 2 * NEIGHBORS:
        return np.full((len(vectors), 2), np.nan)
    import warnings

    with warnings.catch_warnings():
        # It looks for an optional TensorFlow when it is imported.
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        from umap import UMAP
    # A seed forces one thread anyway; saying so avoids its warning.
    projection = UMAP(n_neighbors=NEIGHBORS, metric="cosine", random_state=seed, n_jobs=1)
    return np.asarray(projection.fit_transform(vectors))


def embedding_map(
    ids: Sequence[str], kinds: Sequence[str], drawn: np.ndarray, real: np.ndarray, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One row a point: id, kind ("real" or the pipeline), pca1, pca2, umap1, umap2; and facts."""
    import pandas as pd

    drawn = drawn.reshape(-1, real.shape[1])
    flat, facts = pca2(real, drawn)
    curved = umap2(np.concatenate([real, drawn]), seed)
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

"""The shape of clouds of vectors: angles of subspaces, dimension, the modality gap, anisotropy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probes.inputs import finite


def _rows(x: np.ndarray, what: str, least: int) -> np.ndarray:
    x = finite(x, what=what)
    if len(x) < least:
        raise ValueError(f"the {what} are {len(x)} rows; give at least {least}")
    return x


def _basis(x: np.ndarray, what: str) -> np.ndarray:
    """(d, r) orthonormal columns that span the rows of `x` (k, d)."""
    u, s, _ = np.linalg.svd(x.T, full_matrices=False)
    rank = int((s > s[0] * max(x.shape) * np.finfo(float).eps).sum())
    if rank == 0:
        raise ValueError(f"the {what} are all zero; they span nothing")
    return u[:, :rank]


def subspace_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Principal angles in radians, largest first, between the spans of two sets of rows.

    `a` (j, d) and `b` (k, d) are directions as rows, any scale; the result has the length of the
    smaller rank. Cosines for large angles and sines for small ones, as each is exact there (Bjorck
    & Golub 1973; Knyazev & Argentati 2002). Raises ValueError for rows that are not finite, sets
    that are all zero, or of unlike width.

    Misleads when the spans are large for their space: two random 50-dimensional subspaces of 100
    dimensions meet. Hold angles against those of random directions of the same number.
    """
    a, b = _rows(a, "first directions", 1), _rows(b, "second directions", 1)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"directions of {a.shape[1]} and {b.shape[1]} dimensions share no space")
    one, two = _basis(a, "first directions"), _basis(b, "second directions")
    if one.shape[1] < two.shape[1]:
        one, two = two, one
    product = one.T @ two
    cosines = np.linalg.svd(product, compute_uv=False)  # largest first: smallest angle first
    sines = np.linalg.svd(two - one @ product, compute_uv=False)[::-1]
    angles = np.where(
        cosines**2 < 0.5, np.arccos(cosines.clip(-1, 1)), np.arcsin(sines.clip(-1, 1))
    )
    return angles[::-1]


def intrinsic_dimension(x: np.ndarray, discard: float = 0.1) -> float:
    """TwoNN: the dimension of the sheet on which the rows of `x` (n, d) lie (Facco et al. 2017).

    From the ratio of each row's second to first neighbour distance; the share `discard` with the
    largest ratios is left out of the line's fit, as in the paper. Raises ValueError for fewer than
    20 rows or for two equal rows, which have no ratio.

    Misleads when noise is wider than the distance to a neighbour (it then says the noise's
    dimension), when the sheet is curved at that scale, and from about 20 dimensions on, where it is
    too low.
    """
    from sklearn.neighbors import NearestNeighbors

    x = _rows(x, "vectors", 20)
    if not 0 <= discard < 1:
        raise ValueError(f"the share to discard is {discard}; it must be from 0 to under 1")
    distances, nearest = NearestNeighbors(n_neighbors=3).fit(x).kneighbors(x)
    same = np.flatnonzero(distances[:, 1] == 0)
    if len(same):
        raise ValueError(f"row {same[0]} is there twice (row {nearest[same[0], 1]}); drop copies")
    ratios = np.sort(np.log(distances[:, 2] / distances[:, 1]))
    kept = max(2, int(len(x) * (1 - discard)))
    # log of 1 less the empirical share, at n + 1 so that the last one is finite.
    left = -np.log1p(-np.arange(1, kept + 1) / (len(x) + 1))
    ratios = ratios[:kept]
    if not ratios.any():
        raise ValueError("every row has two neighbours at one distance, as on a grid: no dimension")
    return float(ratios @ left / (ratios @ ratios))


@dataclass(frozen=True)
class ModalityGap:
    """How far two clouds lie apart: `vector` (d,) joins their means, `distance` is its length.

    `relative` is the distance in units of the clouds' own root mean square radius.
    """

    vector: np.ndarray
    distance: float
    relative: float


def modality_gap(images: np.ndarray, texts: np.ndarray) -> ModalityGap:
    """The gap between image and text embeddings, (n, d) and (m, d) (Liang et al. 2022, section 2).

    Rows are brought to unit norm first, as the paper does; they need not be pairs. Raises
    ValueError for a zero row, rows that are not finite or of unlike width.

    Misleads when images and texts are about different things: that distance is then in it too.
    Closing the gap by moving one mean onto the other need not make matches better.
    """
    images, texts = _rows(images, "images", 2), _rows(texts, "texts", 2)
    if images.shape[1] != texts.shape[1]:
        raise ValueError(f"images have {images.shape[1]} dimensions and texts {texts.shape[1]}")
    images, texts = _unit(images, "images"), _unit(texts, "texts")
    vector = images.mean(0) - texts.mean(0)
    radius = np.sqrt((images.var(0).sum() + texts.var(0).sum()) / 2)
    distance = float(np.linalg.norm(vector))
    return ModalityGap(vector, distance, distance / radius if radius else float("inf"))


def _unit(x: np.ndarray, what: str) -> np.ndarray:
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    if (norms == 0).any():
        raise ValueError(f"row {int(np.argmin(norms))} of the {what} is zero and has no direction")
    return x / norms


@dataclass(frozen=True)
class Anisotropy:
    """How unevenly a cloud fills its space.

    `cosine` is the mean cosine of two different rows: 0 for a cloud around the origin, 1 for one
    narrow cone (Ethayarajh 2019). `participation` is the number of axes that share the variance
    evenly enough to give this spectrum, (sum of eigenvalues)^2 / sum of squares, from 1 to d;
    `top` is the share of the first component.
    """

    cosine: float
    participation: float
    top: float


def anisotropy(x: np.ndarray) -> Anisotropy:
    """The anisotropy of rows `x` (n, d); exact over all pairs, in one pass.

    Raises ValueError for a zero row, a row that is not finite, or rows that are all equal.

    Misleads when one or two coordinates are huge, as in many transformers: they alone give a narrow
    cone, while the rest of the cloud may be round. Look at `top`, and again without its component.
    """
    x = _rows(x, "vectors", 2)
    unit, n = _unit(x, "vectors"), len(x)
    cosine = (np.sum(unit.sum(0) ** 2) - n) / (n * (n - 1))
    spectrum = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    if spectrum.sum() <= 1e-24 * np.sum(x**2):
        raise ValueError("the vectors are all equal; they have no spread to describe")
    return Anisotropy(
        float(cosine),
        float(spectrum.sum() ** 2 / (spectrum**2).sum()),
        float(spectrum[0] / spectrum.sum()),
    )

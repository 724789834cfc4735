"""A coarse map of a picture's brightness, signed into its manifest: is this still that picture?

16 x 16 mean values outlive re-encoding, resizing, noise and a change of brightness; an edit shows
as cells that do not fit. On 300 portraits of 64 pixels, re-encoding (JPEG 50, half and double
size, noise of sigma 10) misses the map by at most 1.5 grey levels, and the nearest of 20,000 pairs
of different ones by 4.1. A crop or a turn misses it as far as another picture does: `safety.crops`
looks for crops, and whoever compares turns the picture back; else the answer is "inconclusive".
Portraits are alike: among 1,000 maps, one fits 6 of 1,000 portraits that are in none of them.
Mirrored, 30 of 5,700 (faces are nearly symmetric), turned by quarters, mirrored or not, none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

SIDE = 16  # cells down and across
SAME = 2.5  # grey levels, root mean square over the nine tenths of the cells that fit best
TRIM = 0.9
CELL, TIMES = 10.0, 8.0  # a changed cell misses by so many grey levels, and so many times the rest
FLAT = 4.0  # grey levels of deviation below which a map tells nothing apart
Kind = Literal["same", "edited", "cropped", "inconclusive"]


@dataclass(frozen=True)
class Compared:
    """How a picture compares with a map.

    `rms` is what is left in grey levels once brightness and contrast are fitted; `changed` how
    many of the 256 cells do not fit, `where` they lie (left, top, right, bottom, each 0 to 1).
    `cut` is what part of the map's picture is left where it was cropped (`safety.crops`).
    "inconclusive": cropped, turned, edited in large part, or another picture.
    """

    kind: Kind
    rms: float
    contrast: float  # relative to the map's
    changed: int
    where: tuple[float, float, float, float] | None = None
    cut: tuple[float, float, float, float] | None = None

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def cells(image: np.ndarray) -> np.ndarray:
    """Mean luma (ITU-R BT.601) of 16 x 16 cells of (h, w, 3) uint8 pixels, (16, 16) float."""
    luma = image @ np.array([0.299, 0.587, 0.114])
    for _ in range(2):  # down, then across; a cell may end within a pixel
        edges = np.linspace(0, len(luma), SIDE + 1)
        sums = np.concatenate([np.zeros((1, luma.shape[1])), np.cumsum(luma, 0)])
        whole = np.minimum(edges.astype(int), len(luma) - 1)
        at = sums[whole] + (edges - whole)[:, None] * luma[whole]
        luma = (np.diff(at, axis=0) / np.diff(edges)[:, None]).T
    return luma


def brightness_map(image: np.ndarray) -> bytes:
    """The map of (h, w, 3) uint8 pixels: 256 bytes, row by row."""
    return np.rint(cells(image)).clip(0, 255).astype(np.uint8).tobytes()


def compare(map_: bytes, image: np.ndarray) -> Compared:
    """Whether (h, w, 3) uint8 pixels are the picture of a map. Raises ValueError for a bad map."""
    if len(map_) != SIDE * SIDE:
        raise ValueError(f"the map has {len(map_)} bytes, expected {SIDE * SIDE}")
    said = np.frombuffer(map_, np.uint8).astype(float)
    contrasts, left = _fit(cells(image).ravel(), said[None])
    return _judged(said, float(contrasts[0]), left[0])


def nearest(maps: np.ndarray, seen: np.ndarray) -> tuple[int, Compared] | None:
    """Which of maps (n, 256) fits cells (16, 16) best, and how; None where none does."""
    if not len(maps):
        return None
    said = maps.astype(float)
    contrasts, left = _fit(seen.ravel(), said)
    misses = _misses(left)
    for index in np.argsort(misses, kind="stable")[: int((misses <= SAME).sum())]:
        compared = _judged(said[index], float(contrasts[index]), left[index])
        if compared.kind != "inconclusive":
            return int(index), compared
    return None


def _judged(said: np.ndarray, contrast: float, left: np.ndarray) -> Compared:
    rms = float(_misses(left[None])[0])
    changed = (np.abs(left) > max(CELL, TIMES * rms)).reshape(SIDE, SIDE)
    if rms > SAME or not 0.5 <= contrast <= 2 or said.std() < FLAT:
        return Compared("inconclusive", rms, contrast, int(changed.sum()))
    if not changed.any():
        return Compared("same", rms, contrast, 0)
    rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
    ends = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    left_, top, right, bottom = (float(end) / SIDE for end in ends)
    return Compared("edited", rms, contrast, int(changed.sum()), (left_, top, right, bottom))


def _misses(left: np.ndarray) -> np.ndarray:
    """Root mean square of the nine tenths of (n, 256) residuals that fit best, (n,)."""
    most = int(TRIM * left.shape[1])
    return np.sqrt(np.partition(left**2, most, axis=1)[:, :most].mean(1))


def _fit(seen: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Contrast from what maps (n, 256) say to what is seen (256,), and what is left of that."""
    keep = np.ones(said.shape)
    contrast, left = np.ones(len(said)), np.broadcast_to(seen, said.shape)
    for _ in range(3):  # the tenth that fits worst may be an edit
        count = keep.sum(1, keepdims=True)
        x_mean = (keep * said).sum(1, keepdims=True) / count
        y_mean = (keep * seen).sum(1, keepdims=True) / count
        x, y = said - x_mean, seen - y_mean
        spread, both = (keep * x * x).sum(1), (keep * x * y).sum(1)
        contrast = np.divide(both, spread, out=np.zeros_like(both), where=spread > 0)
        left = y - contrast[:, None] * x
        size = np.abs(left)
        keep = (size <= np.quantile(size, TRIM, axis=1, keepdims=True)).astype(float)
    return contrast, left

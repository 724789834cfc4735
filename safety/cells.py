"""A mark in the coarse colours of a picture: what a generator is guided towards, and its test.

A picture of any size is averaged to 16 x 16 cells of brightness and two colour differences. The
key says of every cell whether it shall lie above or below its neighbours. That much of a picture
outlives strong JPEG, a quarter of its size and the loss of 40 % of its area, as long as what is
left lies where it was: a picture that was moved, turned or cropped and enlarged loses the mark.

The limiter is the one that is locally optimal under Cauchy noise (Briassouli & Strintzis 2004,
section 3): a step as large as those of the picture's own edges counts for nothing.

The test is exact for any picture: without the mark the key's signs are as good as coins thrown
afterwards, and the p-value counts all the key's patterns, by brightness alone and with the colours.
So many, that an average of marked pictures shows none of them: of one alone, it would give whoever
has some hundreds of pictures a mark to forge.

The functions that say nothing of a key use operators alone, and so take tensors as well as arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from safety.orientation import AS_IT_LIES, OTHERS, Orientation
from safety.shading import Shaded, signs, thrown
from safety.watermark import PRESENT

SIDE = 16  # cells down and across
WIDEST = 3.0  # grey levels from the neighbours' mean that count most
PATTERNS = 256
TESTS = 2 * PATTERNS  # each by brightness alone, which JPEG spares, and with the colours
PLANES = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))  # Y, Cb, Cr
PURPOSE = b"pellucid cells 1"


def frame(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `responses` averages a picture of that size with: (16, h), (w, 16), (16, 16) float32.

    Rows to cells, columns to cells, and the sum over a cell and its neighbours.
    """
    near = np.abs(np.subtract.outer(range(SIDE), range(SIDE))) <= 1
    return _shares(height), _shares(width).T, near.astype(np.float32)


def _shares(length: int) -> np.ndarray:
    """(16, length): each cell's mean over the pixels that it covers, whole or in part."""
    edges = np.linspace(0, length, SIDE + 1)
    begin, end = np.arange(length), np.arange(1, length + 1)
    over = np.minimum(end, edges[1:, None]) - np.maximum(begin, edges[:-1, None])
    return (np.maximum(over, 0) * SIDE / length).astype(np.float32)


def responses(pixels: Any, seen: Any, frame: Any) -> list[Any]:
    """How far cells lie from their neighbours' mean, limited: Y, Cb and Cr, (n, 16, 16) each.

    `pixels` (n, 3, h, w) in grey levels; `seen` (n, h, w) or (1, h, w) is 1 where a picture is and
    0 where it was blotted out; a cell that is hidden by half or more gives 0.
    """
    down, across, near = frame
    share = down @ seen @ across
    known = (share > 0.5) * 1.0
    hidden = 1 - known
    planes = []
    for mix in PLANES:
        plane = sum(weight * pixels[:, i] for i, weight in enumerate(mix)) * seen
        cells = known * (down @ plane @ across) / (share + hidden)
        away = known * (cells - near @ cells @ near / (near @ known @ near + hidden))
        planes.append(away / (1 + (away / WIDEST) ** 2))
    return planes


def patterns(key: bytes) -> np.ndarray:
    """The key's patterns, (256, 3, 16, 16) float32 of -1 and 1."""
    return signs(key, (PATTERNS, len(PLANES), SIDE, SIDE), PURPOSE)


def find_cells(images: np.ndarray, key: bytes) -> list[Shaded]:
    """How pictures (n, h, w, 3) uint8 agree with a key. Raises ValueError for anything else.

    Black pixels (0, 0, 0) count as blotted out. `agreement` is that of the best pattern.
    """
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
        raise ValueError(
            f"pictures have shape {images.shape} and type {images.dtype}; expected "
            "(n, height, width, 3) uint8"
        )
    wanted = patterns(key).astype(float)
    return [_best(one, wanted) for one in _found(images)]


def find_anyhow(image: np.ndarray, key: bytes) -> tuple[Shaded, Orientation]:
    """`find_cells` of one picture (h, w, 3), and how it lies: mirrored or turned by quarters, too.

    The other seven are looked at where nothing is found as it lies; the p-value is corrected for
    all eight. Cells turn as pixels do, so they are taken once.
    """
    wanted = patterns(key).astype(float)
    (found,) = _found(image[None])
    cells = np.moveaxis(found, 0, -1)
    tried = []
    for lies in (AS_IT_LIES, *OTHERS):
        best = _best(np.moveaxis(lies.undo(cells), -1, 0), wanted)
        tried.append((Shaded(best.agreement, lies.corrected(best.p_value)), lies))
        if tried[0][0].p_value < PRESENT:  # as it lies
            break
    return min(tried, key=lambda one: one[0].p_value)


def _found(images: np.ndarray) -> np.ndarray:
    """The responses of pictures (n, h, w, 3) uint8, (n, 3, 16, 16)."""
    pixels = images.transpose(0, 3, 1, 2).astype(np.float32)
    seen = images.any(3).astype(np.float32)
    return np.stack(responses(pixels, seen, frame(*images.shape[1:3])), 1).astype(float)


def _best(found: np.ndarray, wanted: np.ndarray) -> Shaded:
    """The pattern of (256, 3, 16, 16) that responses (3, 16, 16) agree with best."""
    tried = []
    each = np.einsum("pkij,kij->pk", wanted, found)
    for values, totals in ((found[:1], each[:, 0]), (found, each.sum(1))):
        agreement = float(totals.max()) / max(float(np.linalg.norm(values)), 1e-12)
        tried.append((thrown(float(totals.max()), values.ravel()), agreement))
    p_value, agreement = min(tried)
    return Shaded(agreement, min(1.0, TESTS * p_value))

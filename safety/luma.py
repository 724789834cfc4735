"""Brightness in 8x8 blocks: the coefficients that carry a mark, and a picture's fingerprint.

The blocks and the band are JPEG's own (ITU-T T.81): a coefficient is kept for the mark when JPEG
quality 90 divides it by at most 6, so that a change of a few units survives.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dct

SIDE = 8  # pixels of a block
SMALLEST = 64  # pixels: the least height and width of a marked image
CELLS = 4  # the fingerprint looks at 4x4 cells
STEP = 32.0  # a fingerprint's grain in units of a block's DC: 4 grey levels of a cell's mean
DCT = np.asarray(dct(np.eye(SIDE), axis=0, norm="ortho"))  # (8, 8): rows are frequencies

# T.81 table K.1, luminance.
QUANTISATION = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
])  # fmt: skip
AT_90 = np.floor((QUANTISATION * 20 + 50) / 100)
BAND = np.argwhere((AT_90 <= 6) & ~((np.arange(8)[:, None] == 0) & (np.arange(8) == 0)))
# Lattice cells of the mark, (20,): wide enough for JPEG's rounding, finer where JPEG is finer.
LATTICE = 10 + 3 * AT_90[BAND[:, 0], BAND[:, 1]]


def blocks(image: np.ndarray) -> np.ndarray:
    """DCT of each whole 8x8 block's luma (ITU-R BT.601), (rows, columns, 8, 8), orthonormal.

    `image` is (h, w, 3) uint8; what is left over at the right and the bottom is not looked at.
    """
    rows, columns = image.shape[0] // SIDE, image.shape[1] // SIDE
    luma = image[: rows * SIDE, : columns * SIDE] @ np.array([0.299, 0.587, 0.114])
    tiles = luma.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)  # (rows, columns, 8, 8)
    return DCT @ tiles @ DCT.T


def pixels(change: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The change of luma, (h, w), that a change of coefficients (rows, columns, 8, 8) makes."""
    rows, columns = change.shape[:2]
    out = np.zeros(shape[:2])
    tiles = DCT.T @ change @ DCT
    out[: rows * SIDE, : columns * SIDE] = tiles.swapaxes(1, 2).reshape(rows * SIDE, columns * SIDE)
    return out


def band(coefficients: np.ndarray) -> np.ndarray:
    """The coefficients that may carry a mark, in a fixed order: (rows * columns * 20,)."""
    return coefficients[..., BAND[:, 0], BAND[:, 1]].reshape(-1)


def cell_of(rows: int, columns: int) -> np.ndarray:
    """The fingerprint cell (0 to 15) of each block, (rows, columns) int."""
    down = np.arange(rows) * CELLS // rows
    across = np.arange(columns) * CELLS // columns
    return down[:, None] * CELLS + across


def cell_means(coefficients: np.ndarray) -> np.ndarray:
    """Mean DC of the blocks of each cell, (16,): eight times the cell's mean luma."""
    cells = cell_of(*coefficients.shape[:2]).reshape(-1)
    total = np.bincount(cells, coefficients[..., 0, 0].reshape(-1), CELLS * CELLS)
    return total / np.bincount(cells, minlength=CELLS * CELLS)


def steps(means: np.ndarray) -> bytes:
    """Cells' brightness in steps of 4 grey levels, a byte a cell."""
    return np.floor(means / STEP).clip(0, 255).astype(np.uint8).tobytes()


def fingerprint(coefficients: np.ndarray) -> bytes:
    """A picture's 16 steps of brightness: they tell pictures apart, and re-encoding keeps them."""
    return steps(cell_means(coefficients))

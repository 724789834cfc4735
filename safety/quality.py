"""How alike two pictures are to a measure: PSNR, and SSIM (Wang et al. 2004)."""

from __future__ import annotations

import math

import numpy as np

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
EDGE = 5  # pixels at the border that a window of 11 does not fit


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Decibels between uint8 pictures of one shape; 100 where they are the same."""
    error = float(np.mean((one.astype(np.float32) - other) ** 2))
    return min(100.0, 10 * math.log10(255**2 / max(error, 1e-9)))


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Structural similarity of two (h, w, 3) uint8 pictures' brightness, 1 for the same.

    Gaussian windows of sigma 1.5, as in section III.C; pictures are at least 11 pixels a side.
    """
    from scipy.ndimage import gaussian_filter

    from safety.tile import luma

    def mean(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, truncate=3.5)[EDGE:-EDGE, EDGE:-EDGE]

    x, y = luma(one).astype(np.float64), luma(other).astype(np.float64)
    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    alike = (2 * mx * my + C1) * (2 * both + C2)
    return float(np.mean(alike / ((mx * mx + my * my + C1) * (vx + vy + C2))))

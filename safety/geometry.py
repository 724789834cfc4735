"""Guesses of how a marked picture was resized or turned, from the picture alone.

A mark repeats every 64 pixels, which shows in the autocorrelation as a lattice of peaks: its
spacing and slant are the size and the turn (Kutter 1998). No key takes part, so that trying the
best few guesses costs a p-value no more than their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.fft import irfft2, rfft2
from scipy.ndimage import map_coordinates

from safety import tile

LEAST = 2 * tile.SIDE  # pixels of a side below which nothing repeats
MOST = 1024  # pixels of a side that are looked at
SIZES = np.exp(np.arange(np.log(0.4), np.log(2.5), 0.002))  # without a turn
NEAR = np.exp(np.arange(np.log(0.8), np.log(1.25), 0.004))  # with one
TURNS = np.deg2rad(np.arange(-20, 20.01, 0.25))
GUESSES = 5


@dataclass(frozen=True)
class Geometry:
    """What may have been done to a picture: it was made `scale` times as large and turned."""

    scale: float = 1.0
    turn: float = 0.0  # radians, against the clock

    def undo(self, image: np.ndarray) -> np.ndarray:
        """The picture as it was before, as far as this guess is right."""
        size = [max(1, round(side / self.scale)) for side in image.shape[:2]]
        back = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BICUBIC)
        if self.turn:
            angle = -np.rad2deg(self.turn)
            back = back.rotate(angle, Image.Resampling.BICUBIC, expand=False)
        return np.asarray(back)


def guesses(image: np.ndarray) -> list[Geometry]:
    """The likeliest geometries of (h, w, 3) uint8 pixels, best first; none for a small picture."""
    if min(image.shape[:2]) < LEAST:
        return []
    alike = _autocorrelation(image)
    sizes = np.stack([SIZES, np.zeros_like(SIZES)], 1)
    turned = np.stack(np.meshgrid(NEAR, TURNS, indexing="ij"), -1).reshape(-1, 2)
    found = []
    for grid in (sizes, turned):
        score = _score(alike, grid)
        for _ in range(GUESSES):
            best = grid[np.argmax(score)]
            found.append(Geometry(float(best[0]), float(best[1])))
            close = np.abs(np.log(grid[:, 0] / best[0])) + np.abs(grid[:, 1] - best[1]) < 0.0045
            score[close] = -np.inf
    return found


def _autocorrelation(image: np.ndarray) -> np.ndarray:
    """Autocorrelation of the evened brightness of the middle, flattened to unit spread."""
    rows, columns = (slice(max(0, (s - MOST) // 2), (s + MOST) // 2) for s in image.shape[:2])
    even, _ = tile.evened(tile.luma(image[rows, columns]))
    shape = [2 * side for side in even.shape]
    seen = rfft2(even, shape)
    power = np.abs(seen) ** 2
    return np.asarray(irfft2(power / (power.mean() + power), shape))


def _score(alike: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """How high the lattice of each (scale, turn) stands in the autocorrelation, (n,)."""
    height, width = (side // 2 for side in alike.shape)
    spots = [(i, j) for i in range(-4, 5) for j in range(5) if (j > 0 or i > 0)]
    total, count = np.zeros(len(grid)), np.zeros(len(grid))
    cos, sin = (tile.SIDE * grid[:, 0] * f(grid[:, 1]) for f in (np.cos, np.sin))
    for i, j in spots:
        down, across = i * cos - j * sin, i * sin + j * cos
        inside = (np.abs(down) < 0.8 * height) & (np.abs(across) < 0.8 * width)
        at = [down % (2 * height), across % (2 * width)]
        total += np.where(inside, map_coordinates(alike, at, order=1, mode="grid-wrap"), 0)
        count += inside
    return total / np.sqrt(np.maximum(count, 1))

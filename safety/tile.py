"""A picture's brightness folded into one 64 px tile, and the frequencies that carry a mark.

A mark repeats every 64 pixels, so that any part of a picture holds all of it; adding up all tiles
leaves the mark and averages the picture away. Before that, each place is divided by how busy it
is, so that edges do not drown what flat areas say. The frequencies lie between 4 and 15 periods a
tile: lower ones belong to the picture, higher ones do not outlive halving its size or JPEG.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 64  # pixels of the tile
LOWEST, HIGHEST = 4.0, 15.0  # periods a tile
SMOOTH, BUSY = 8, 4  # pixels of the blocks whose mean is taken off, and whose activity is measured
QUIET, POWER = 4.0, 1.5  # grey levels below which a block counts as flat; how activity is weighed


def _band() -> np.ndarray:
    """Rows and columns of the frequencies, (308, 2): half of the plane without the axes."""
    at = np.fft.fftfreq(SIDE, 1 / SIDE).astype(int)
    down, across = np.meshgrid(at, at, indexing="ij")
    far = np.hypot(down, across)
    kept = (far >= LOWEST) & (far <= HIGHEST) & (across > 0) & (down != 0)
    found = np.stack([down[kept], across[kept]], 1)
    return found[np.lexsort((found[:, 1], found[:, 0], (found**2).sum(1)))]


BAND = _band()
PILOT = np.arange(0, len(BAND), 3)  # which of them tell presence; the others carry the payload
CARRIER = np.setdiff1d(np.arange(len(BAND)), PILOT)


def luma(image: np.ndarray) -> np.ndarray:
    """Brightness (ITU-R BT.601) of (h, w, 3) uint8 pixels, (h, w) float32."""
    return np.asarray(Image.fromarray(image).convert("L"), np.float32)


def evened(brightness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness (h, w) less its local mean, each place divided by how busy it is; the weights.

    Both (h, w) float32. Nothing here depends on a key.
    """
    away, busy = flattened(brightness)
    weights = enlarged((busy + QUIET) ** -POWER, BUSY, brightness.shape)
    away *= weights
    return away, weights


def flattened(brightness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness (h, w) less its local mean; mean activity in grey levels of each 4 x 4 pixels."""
    height, width = brightness.shape
    ends = ((0, -height % SMOOTH), (0, -width % SMOOTH))
    padded = np.pad(brightness, ends, "edge") if any(end for _, end in ends) else brightness
    mean = enlarged(_block_means(padded, SMOOTH), SMOOTH, padded.shape)
    away = np.subtract(padded, mean, out=mean)  # new memory costs as much as the arithmetic
    return away[:height, :width], _block_means(np.abs(away), BUSY)


def _block_means(values: np.ndarray, side: int) -> np.ndarray:
    rows, columns = values.shape[0] // side, values.shape[1] // side
    average = np.full(side, 1 / side, np.float32)
    across = (values.reshape(-1, side) @ average).reshape(rows, side, columns)
    return average @ across


def enlarged(values: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """Every value as `side` x `side` pixels, bilinear in between, cut to `shape`.

    Products with a small matrix: several times faster than a general resize.
    """
    at = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    near = np.stack([np.maximum(-at, 0), 1 - np.abs(at), np.maximum(at, 0)])  # (3, side)
    padded = np.pad(values, 1, "edge")
    across = np.stack([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], -1) @ near
    wide = across.reshape(len(padded), -1)
    down = near.T @ np.stack([wide[:-2], wide[1:-1], wide[2:]], 1)  # (rows, side, width)
    return down.reshape(-1, wide.shape[1])[: shape[0], : shape[1]]


def folded(values: np.ndarray) -> np.ndarray:
    """The sum of all tiles of (h, w) values, (64, 64)."""
    height, width = values.shape
    ends = ((0, -height % SIDE), (0, -width % SIDE))
    padded = np.pad(values, ends) if any(end for _, end in ends) else values
    # Down first, in whole rows: adding across first reads memory in short pieces.
    return padded.reshape(-1, SIDE, padded.shape[1]).sum(0).reshape(SIDE, -1, SIDE).sum(1)


def spectrum(values: np.ndarray) -> np.ndarray:
    """The frequencies of folded (h, w) values, (308,) complex."""
    return np.fft.rfft2(folded(values))[BAND[:, 0], BAND[:, 1]]


def seen(image: np.ndarray) -> np.ndarray:
    """The phase factors of (h, w, 3) uint8 pixels, (308,) complex: what a key is compared with."""
    found = spectrum(evened(luma(image))[0])
    size = np.abs(found)
    found[size == 0] = size[size == 0] = 1
    return found / size


def spread(amplitudes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Complex amplitudes (308,) as a picture of repeated tiles, (h, w) float32.

    Its mean square is 2 * sum(|amplitudes|^2) / 64^4 over whole tiles.
    """
    plane = np.zeros((SIDE, SIDE), complex)
    plane[BAND[:, 0], BAND[:, 1]] = amplitudes
    one = (2 * np.fft.ifft2(plane).real).astype(np.float32)
    return np.tile(one, (-(-shape[0] // SIDE), -(-shape[1] // SIDE)))[: shape[0], : shape[1]]


def moved(places: tuple[float, float] | np.ndarray, which: np.ndarray) -> np.ndarray:
    """Phase factors of a shift down and across in pixels, (len(which),) complex."""
    return np.exp(-2j * np.pi * (BAND[which] @ np.asarray(places, float)) / SIDE)


def alignment(phases: np.ndarray, which: np.ndarray = PILOT) -> np.ndarray:
    """Agreement of phase factors (len(which),) at every shift, (64, 64): sums of cosines."""
    plane = np.zeros((SIDE, SIDE // 2 + 1), complex)
    plane[BAND[which, 0], BAND[which, 1]] = phases
    return np.fft.irfft2(plane, (SIDE, SIDE)) * (SIDE * SIDE / 2)

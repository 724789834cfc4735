"""PDQ, Meta's 256-bit perceptual hash.

PDQ as published (Facebook 2019, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing
algorithm", section 3): re-encoding and resizing move a few bits of it, other pictures about half.
A crop, a rotation or a border gives other bits altogether.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

BITS = 256
MATCH = 31  # bits of difference up to which PDQ's authors call two pictures the same
SIDE, FREQUENCIES = 64, 16
DCT = np.sqrt(2 / SIDE) * np.cos(
    np.pi / (2 * SIDE) * np.outer(np.arange(1, FREQUENCIES + 1), 2 * np.arange(SIDE) + 1)
)  # (16, 64)


def _luma(image: np.ndarray) -> np.ndarray:
    """Brightness (ITU-R BT.601) of (h, w, 3) uint8, (h, w) float."""
    return image @ np.array([0.299, 0.587, 0.114])


def _box(luma: np.ndarray, window: int) -> np.ndarray:
    """Mean over `window` rows, fewer at the edges."""
    ahead = (window + 2) // 2
    sums = np.concatenate([np.zeros((1, luma.shape[1])), np.cumsum(luma, 0)])
    rows = np.arange(len(luma))
    first, last = np.maximum(rows - (window - ahead), 0), np.minimum(rows + ahead, len(luma))
    return (sums[last] - sums[first]) / (last - first)[:, None]


def _shrunk(luma: np.ndarray) -> np.ndarray:
    """(64, 64): two passes of box filters (a tent), then every n-th."""
    for _ in range(2):
        window = -(-luma.shape[0] // (2 * SIDE))
        luma = _box(_box(luma, window), window)
        luma = luma[((np.arange(SIDE) + 0.5) * len(luma) / SIDE).astype(int)].T
    return luma


def pdq(image: np.ndarray) -> str:
    """The hash of (h, w, 3) uint8 pixels, 64 hex digits."""
    low = DCT @ _shrunk(_luma(image)) @ DCT.T  # (16, 16)
    bits = low.reshape(-1) > np.partition(low.reshape(-1), BITS // 2 - 1)[BITS // 2 - 1]
    return np.packbits(bits[::-1]).tobytes().hex()


def distance(one: str, other: str) -> int:
    """Bits in which two hashes differ, 0 to 256."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def chance(bits: int) -> float:
    """P(two unrelated hashes differ in at most so many bits), each bit a fair coin.

    For pictures that resemble each other, as portraits do, the true chance is larger.
    """
    return float(binom.cdf(bits, BITS, 0.5))


def turned(image: np.ndarray) -> dict[str, str]:
    """The hashes of the picture turned and mirrored, by what was done."""
    quarter = {f"rotated by {90 * k} degrees": np.rot90(image, -k) for k in (1, 2, 3)}
    mirrored = {"mirrored": image[:, ::-1], "turned upside down": image[::-1]}
    return {name: pdq(np.ascontiguousarray(one)) for name, one in {**quarter, **mirrored}.items()}

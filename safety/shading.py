"""A mark in the noise that a picture is drawn from: Gaussian Shading (Yang et al. 2024).

The key says the sign of every coefficient of the noise, and chance its size, as always: for
whoever has no key the noise is as Gaussian as any. The coefficients are those of a cosine
transform rather than single places, since what a picture keeps of its noise differs by frequency.
No payload: the coefficients of a small picture hold barely enough to say that the key is there.

The test is exact for any picture: what is recovered does not depend on the key, so that without
the mark the key's signs are as good as coins thrown afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import shake_256

import numpy as np
from scipy.fft import dctn, idctn

from safety.tails import upper_tail

LARGEST = 2.5  # times its band's spread: one coefficient may not count for many


@dataclass(frozen=True)
class Shaded:
    """How recovered noise agrees with a key. `agreement` is about standard normal without it."""

    agreement: float
    p_value: float


def signs(key: bytes, shape: tuple[int, ...], purpose: bytes = b"pellucid shading 1") -> np.ndarray:
    """The key's signs, -1 or 1, float32: SHAKE-256, a bit each, others for each purpose."""
    count = math.prod(shape)
    bits = np.unpackbits(stream(purpose, key, -(-count // 8)))[:count]
    return (1 - 2 * bits.astype(np.float32)).reshape(shape)


def stream(purpose: bytes, key: bytes, count: int) -> np.ndarray:
    """`count` bytes that only the key gives, others for each purpose. ValueError for a bad key."""
    if not isinstance(key, bytes) or len(key) < 16:
        raise ValueError("a watermark key has at least 16 bytes; make one with safety.keys.keys")
    return np.frombuffer(shake_256(purpose + key).digest(count), np.uint8)


def shade(noise: np.ndarray, key: bytes) -> np.ndarray:
    """Standard normal noise (n, c, h, w) with the key's signs; the input is left alone."""
    waves = dctn(checked(noise), axes=(2, 3), norm="ortho")
    marked = np.abs(waves) * signs(key, noise.shape[1:])
    return np.asarray(idctn(marked, axes=(2, 3), norm="ortho"), np.float32)


def recognise(recovered: np.ndarray, key: bytes) -> list[Shaded]:
    """How noise recovered from each picture, (n, c, h, w), agrees with a key."""
    waves = np.asarray(dctn(checked(recovered), axes=(2, 3), norm="ortho"), float)
    drawn = signs(key, waves.shape[1:]).ravel()
    return [_test(_evened(one).ravel(), drawn) for one in waves]


def checked(noise: np.ndarray) -> np.ndarray:
    """The noise itself; ValueError unless it is (n, c, h, w) and finite."""
    if noise.ndim != 4 or not np.isfinite(noise).all():
        raise ValueError(
            f"noise has shape {noise.shape}; expected (n, channels, height, width), all finite"
        )
    return noise


def _evened(waves: np.ndarray) -> np.ndarray:
    """Coefficients (c, h, w) in units of the spread of their channel's frequency band, limited."""
    band = np.hypot(*np.indices(waves.shape[1:])).astype(int)
    sizes = np.bincount(band.ravel())
    out = np.empty_like(waves)
    for channel, values in enumerate(waves):
        power = np.bincount(band.ravel(), (values**2).ravel()) / sizes
        out[channel] = values / np.sqrt(np.maximum(power, 1e-12))[band]
    return out.clip(-LARGEST, LARGEST)


def _test(values: np.ndarray, drawn: np.ndarray) -> Shaded:
    total, spread = float(values @ drawn), float(np.linalg.norm(values))
    return Shaded(total / max(spread, 1e-12), thrown(total, values))


def thrown(total: float, values: np.ndarray) -> float:
    """P(the sum of `values`, each with the sign of a coin, is at least `total`)."""
    sizes = np.abs(values)
    if total <= 0:  # by symmetry, one where the sum lies far below
        return 1.0 - thrown(-total, values) if total < 0 else 0.5
    if total >= sizes.sum() * (1 - 1e-9):
        return 2.0 ** -float((sizes > 0).sum())

    def cumulants(s: float) -> tuple[float, float, float]:
        at = s * sizes
        level = float(np.logaddexp(at, -at).sum()) - len(sizes) * math.log(2)
        curve = float((sizes**2 / np.cosh(np.minimum(at, 300)) ** 2).sum())
        return level, float((sizes * np.tanh(at)).sum()), curve

    return upper_tail(total, float(np.linalg.norm(sizes)), cumulants)

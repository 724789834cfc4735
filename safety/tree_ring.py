"""A mark in the Fourier plane of the noise that a picture is drawn from: Tree-Ring.

From the paper (Wen et al. 2023, sections 3.2 and 3.3): the key is written into a disc of low
frequencies of one channel of the starting noise, and looked for in the noise that DDIM recovers
from the picture. Three things are ours. The key gives the phase of each coefficient instead of
one value to a ring: the mark is found at more places, and a rotated or mirrored picture, which
the paper's rings stand, loses it. The moduli stay those of the noise, so that for whoever has no
key it is as Gaussian as any. And the test: the paper's noncentral chi-square takes recovered noise
for white and Gaussian, which that of a picture is not. What is recovered without the mark does
not depend on the key, so given the moduli and phases that are there, the key's phases are as good
as drawn afterwards, uniformly: that test holds for any picture.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import i0e, i1e

from safety.shading import LARGEST, Shaded, checked, stream
from safety.tails import upper_tail


def imprint(
    noise: np.ndarray, key: bytes, radius: float | None = None, mix: np.ndarray | None = None
) -> np.ndarray:
    """Standard normal noise (n, c, h, w) with the key's phases in the disc; the input stays.

    The disc is the largest that fits, 7 cycles of 16 places and 15 of 32, where nothing else is
    said: the paper's 10 of 64 would be a dozen frequencies here. `mix` (c,) says how the channels
    make up the one that is marked: the last, as the paper's authors run it, and of three the grey.
    """
    mix = _mix(checked(noise), mix)
    rows, columns = _disc(noise, radius)
    plane = np.einsum("c,nchw->nhw", mix, noise)
    waves = np.fft.fft2(plane)
    values = np.abs(waves[:, rows, columns]) * _phases(key, len(rows))
    waves[:, rows, columns], waves[:, -rows, -columns] = values, values.conj()
    change = np.fft.ifft2(waves).real - plane
    return np.asarray(noise + mix[:, None, None] * change[:, None], np.float32)


def detect(
    recovered: np.ndarray, key: bytes, radius: float | None = None, mix: np.ndarray | None = None
) -> list[Shaded]:
    """How noise recovered from each picture, (n, c, h, w), agrees with a key."""
    mix = _mix(checked(recovered), mix)
    rows, columns = _disc(recovered, radius)
    waves = np.fft.fft2(np.einsum("c,nchw->nhw", mix, recovered))[:, rows, columns]
    ring, key_phases = np.hypot(rows, columns).astype(int), _phases(key, len(rows))
    return [_test(_evened(one, ring), key_phases) for one in waves]


def turned(total: float, coin: float, sizes: np.ndarray) -> float:
    """P(`coin` with a random sign plus `sizes` times cosines of random angles is >= `total`).

    Close from about eight angles. Near the greatest sum it is the probability of a little less,
    so too large rather than too small.
    """
    coin, sizes = abs(float(coin)), np.abs(sizes)
    if total <= 0:
        return 1.0 - turned(-total, coin, sizes) if total < 0 else 0.5
    total = min(total, (coin + float(sizes.sum())) * (1 - 1e-6))

    def cumulants(s: float) -> tuple[float, float, float]:
        at, flip = s * sizes, s * coin
        ratio = i1e(at) / i0e(at)
        level = float((np.log(i0e(at)) + at).sum()) + float(np.logaddexp(flip, -flip)) - math.log(2)
        bend = np.where(at > 1e-6, 1 - ratio / np.maximum(at, 1e-6) - ratio**2, 0.5)
        curve = float((sizes**2 * bend).sum()) + (coin / math.cosh(min(flip, 300))) ** 2
        return level, float(sizes @ ratio) + coin * math.tanh(flip), curve

    return upper_tail(total, math.sqrt(coin**2 + float(sizes @ sizes) / 2), cumulants)


def _mix(noise: np.ndarray, mix: np.ndarray | None) -> np.ndarray:
    """The marked channel as a unit vector of channels."""
    planes = noise.shape[1]
    if mix is None:
        mix = np.ones(3) if planes == 3 else np.eye(planes)[-1]
    mix = np.asarray(mix, float)
    if mix.shape != (planes,) or not np.isfinite(mix).all() or not mix.any():
        raise ValueError(
            f"the marked channel is made up by {mix.shape} weights; noise of shape {noise.shape} "
            f"takes ({planes},) of them, not all 0"
        )
    return mix / np.linalg.norm(mix)


def _disc(noise: np.ndarray, radius: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The disc's frequencies (rows, columns), one a conjugate pair: 0, its own pair, first."""
    half = min(noise.shape[2:]) / 2
    radius = half - 1 if radius is None else radius
    if not 1 <= radius < half:
        raise ValueError(
            f"the mark's disc has radius {radius}; noise of shape {noise.shape} takes one from 1 "
            f"to under {half:g}"
        )
    reach = int(radius)
    rows, columns = np.mgrid[-reach : reach + 1, 0 : reach + 1]
    inside = (np.hypot(rows, columns) <= radius) & ((columns > 0) | (rows > 0))
    return np.append(0, rows[inside]), np.append(0, columns[inside])


def _phases(key: bytes, count: int) -> np.ndarray:
    """The key's numbers of modulus 1: -1 or 1 at frequency 0, then uniform on the circle."""
    drawn = stream(b"pellucid tree ring 1", key, 4 * count).view("<u4")
    values = np.exp(2j * math.pi * drawn / 2**32)
    values[0] = 1 - 2 * int(drawn[0] & 1)
    return values


def _evened(waves: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Coefficients in units of the spread of their ring, their moduli limited."""
    power = np.bincount(ring, np.abs(waves) ** 2) / np.bincount(ring)
    even = waves / np.sqrt(np.maximum(power, 1e-12))[ring]
    return even / np.maximum(np.abs(even) / LARGEST, 1)


def _test(waves: np.ndarray, key_phases: np.ndarray) -> Shaded:
    """The agreement summed over the disc, where all but frequency 0 stand twice."""
    along = (waves * key_phases.conj()).real
    total = float(along[0] + 2 * along[1:].sum())
    coin, sizes = abs(waves[0]), 2 * np.abs(waves[1:])
    spread = math.sqrt(float(coin) ** 2 + float(sizes @ sizes) / 2)
    return Shaded(total / max(spread, 1e-12), turned(total, coin, sizes))

"""Writing a mark into a picture with no more change than a set amount.

Informed embedding (Miller, Cox & Bloom 2000): the picture is known, so the change goes where it
turns the tile's phases towards the key's, by steepest ascent on a sphere of the allowed energy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import sha256, shake_256

import numpy as np

from safety import tile
from safety.watermark import SMALLEST, wanted

FAINT = (38.4, 45.0)  # PSNR in dB of the smallest pictures, and the most that large ones get
DOUBLING = 1.4  # dB that every doubling of the side adds
WHOLE = 256 * 256  # pixels below which neighbouring tiles are too few to average
STEPS = 40  # of the ascent
FEARED = 4.0  # grey levels of noise that the mark is made to stand


def hide(key: bytes, image: np.ndarray, payload: int) -> np.ndarray:
    """Mark (h, w, 3) uint8 pixels; see `Mark.embed`."""
    aim = wanted(key, payload) * tile.moved(_place(key, image), np.arange(len(tile.BAND)))
    side = math.sqrt(image.shape[0] * image.shape[1])
    decibels = min(FAINT[0] + DOUBLING * math.log2(side / SMALLEST), FAINT[1])
    allowed = 255**2 / 10 ** (decibels / 10) - 1 / 12  # mean square, less that of rounding
    write = _small if side * side < WHOLE else _large
    return write(image, aim, allowed)


def _place(key: bytes, image: np.ndarray) -> np.ndarray:
    """Where this picture's tile begins: elsewhere in each, so that marks do not average out."""
    seed = b"place" + key + sha256(np.ascontiguousarray(image)).digest()
    return np.frombuffer(shake_256(seed).digest(2), np.uint8) % tile.SIDE


def _large(image: np.ndarray, aim: np.ndarray, allowed: float) -> np.ndarray:
    """One ascent over the tile's frequencies, which the many tiles keep apart.

    Busy places take more of the change, where it is seen less and JPEG spares it.
    """
    brightness = tile.luma(image)
    even, weights = tile.evened(brightness)
    shape = np.minimum(weights, tile.QUIET**-tile.POWER) ** (-0.3 / tile.POWER)
    shape /= math.sqrt(float(np.mean(shape * shape)))
    gain = float(np.vdot(weights, shape)) / tile.SIDE**2
    noise = FEARED * math.sqrt(float(np.vdot(weights, weights)))
    amplitudes = _ascend(
        np.zeros(len(aim), complex), tile.spectrum(even), aim, noise,
        lambda x: gain * x, lambda g: g, tile.SIDE**2 * math.sqrt(allowed / 2), STEPS,
    )  # fmt: skip
    return changed(image, shape * tile.spread(amplitudes, brightness.shape))


def _small(image: np.ndarray, aim: np.ndarray, allowed: float) -> np.ndarray:
    """Ascents over pixels: in a few tiles the uneven weights mix frequencies.

    Flat places take more of the change, where the mark is heard. The weights depend on what is
    written, so they are measured anew four times.
    """
    marked, change = image, np.zeros(image.shape[:2], np.float32)
    for _ in range(4):
        even, weights = tile.evened(tile.luma(marked))
        start = change
        change = _ascend(
            start, tile.spectrum(even), aim, FEARED / 2 * float(np.linalg.norm(weights)),
            lambda x, w=weights, s=start: tile.spectrum(w * (x - s)),
            lambda g, w=weights: w * tile.spread(g, w.shape),
            math.sqrt(allowed * change.size), STEPS // 4,
        )  # fmt: skip
        marked = changed(image, change)
    return marked


def _ascend(
    x: np.ndarray, host: np.ndarray, aim: np.ndarray, noise: float,
    respond: Callable[[np.ndarray], np.ndarray], back: Callable[[np.ndarray], np.ndarray],
    radius: float, steps: int,
) -> np.ndarray:  # fmt: skip
    """The x of a given norm whose response turns `host` (308,) towards `aim`.

    Maximises the sum of Re(y conj(aim)) / sqrt(|y|^2 + noise^2), y = host + respond(x): cosines
    that count little where noise would turn them. `back` is the transpose of `respond`.
    """
    for step in range(steps):
        y = host + respond(x)
        size = np.sqrt(np.abs(y) ** 2 + noise**2)
        slope = back(aim / size - (y * aim.conj()).real * y / size**3)
        stride = 0.5 / (1 + 0.1 * step) * radius
        x = x + slope * (stride / max(float(np.linalg.norm(slope)), 1e-30))
        x = x * min(1.0, radius / float(np.linalg.norm(x)))
    return x


def changed(image: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The image with its brightness changed, each channel alike, rounded and kept in 0 to 255."""
    height, width = change.shape
    wide = np.repeat(np.rint(change).astype(np.int16), 3, axis=1)
    wide += image.reshape(height, 3 * width)
    return np.clip(wide, 0, 255, out=wide).astype(np.uint8).reshape(image.shape)

"""Writing a mark into a picture with no more change than a set amount.

Informed embedding (Miller, Cox & Bloom 2000): the picture is known, so the change goes where it
turns the tile's phases towards the key's, by steepest ascent on a sphere of the allowed energy.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from safety import tile
from safety.watermark import SMALLEST, payload_of, read, wanted

FAINT = (38.4, 45.0)  # PSNR in dB of the smallest pictures, and the most that large ones get
DOUBLING = 1.75  # dB that every doubling of the side adds
SURE = 1e-8  # p-value at which a small picture's mark is read back
WHOLE = 256 * 256  # pixels below which neighbouring tiles are too few to average
PILOT = 0.5  # what a pilot's cosine is worth beside the payload's, which need more of the room
STEPS = 40  # of the ascent in a large picture
ROUNDS, TURNS = 6, 15  # of a small picture: how often its weights are measured, steps for each
FEARED = 8.0  # grey levels of noise that the mark of a large picture is made to stand; JPEG and
# resizing trouble high frequencies more: twice as much at 8 periods a tile
FEARED_MORE = 8.0
USUAL = 3.0  # grey levels of unevenness in flat and busy places alike, of most photographs
CUT = 0.2  # share of the picture's own energy that may go with a cropped edge
FEARED_SMALL = 3.0  # there, JPEG 90 and the like


def hide(key: bytes, image: np.ndarray, payload: int) -> np.ndarray:
    """Mark (h, w, 3) uint8 pixels; see `Mark.embed`."""
    aim = wanted(key, payload)
    side = math.sqrt(image.shape[0] * image.shape[1])
    decibels = min(FAINT[0] + DOUBLING * math.log2(side / SMALLEST), FAINT[1])
    if side * side >= WHOLE:
        return _large(image, aim, decibels)
    for louder, pilot in ((0.0, 1.2), (0.8, 1.8), (1.6, 2.5), (3.0, 2.0), (4.5, 1.5), (4.5, 3.0)):
        marked = _small(image, aim, _energy(decibels - louder), pilot)
        if all(_reads(seen, key, payload) for seen in (marked, reencoded(marked))):
            return marked
    raise ValueError(
        "this image has no room for a mark that survives re-encoding (it is saturated, or "
        "pure noise): release another image"
    )


def _energy(decibels: float) -> float:
    """Mean square of a change of that PSNR, less what rounding adds."""
    return 255**2 / 10 ** (decibels / 10) - 1 / 12


def _reads(image: np.ndarray, key: bytes, payload: int) -> bool:
    found = read(image, key)
    return found.p_value < SURE and payload_of(found)[0] == payload


def reencoded(image: np.ndarray, quality: int = 90) -> np.ndarray:
    """The pixels after JPEG with Pillow's usual 4:2:0 chroma."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def _placed(aim: np.ndarray, host: np.ndarray) -> np.ndarray:
    """The mark's phases begun where this picture's agree with them best, of all 64 x 64 places.

    The place costs nothing and spares change; it differs from picture to picture, so that marks do
    not show when many pictures are averaged as they are. Who lines them up first finds the mark
    all the same (`safety.averaging`).
    """
    size = np.abs(host)
    phases = np.where(size > 0, host, 0) / np.where(size > 0, size, 1) * aim.conj()
    every = np.arange(len(aim))
    map_ = tile.alignment(phases, every)
    return aim * tile.moved(np.unravel_index(map_.argmax(), map_.shape), every)


def _large(image: np.ndarray, aim: np.ndarray, decibels: float) -> np.ndarray:
    """One ascent over the tile's frequencies, which the many tiles keep apart.

    Busy places take more of the change, where it is seen less and JPEG spares it. So do pictures
    that are busy all over, which drown a mark, and flat ones, which JPEG wipes clean: up to 2 dB.
    """
    brightness = tile.luma(image)
    away, busy = tile.flattened(brightness)
    weights, shape = (
        tile.enlarged((busy + tile.QUIET) ** power, tile.BUSY, brightness.shape)
        for power in (-tile.POWER, 0.3)
    )
    even = away * weights
    host = tile.spectrum(even)
    shape /= math.sqrt(float(np.mean(shape * shape)))
    gain = float(np.vdot(weights, shape)) / tile.SIDE**2
    heard, told = float(np.vdot(weights, weights)), float(np.vdot(even, even))
    unusual = abs(math.log2(max(told / heard, 1e-9) / USUAL**2)) / 2
    allowed = _energy(decibels - min(max(0.0, unusual - 0.6), 2.0))
    high = 1 + (tile.BAND**2).sum(1) / FEARED_MORE**2
    noise = np.sqrt(FEARED**2 * heard * high**2 + CUT * told)
    amplitudes = _ascend(
        PILOT, np.zeros(len(aim), complex), host, _placed(aim, host), noise,
        lambda x: gain * x, lambda g: g, tile.SIDE**2 * math.sqrt(allowed / 2), STEPS,
    )  # fmt: skip
    return changed(image, shape * tile.spread(amplitudes, brightness.shape))


def _small(image: np.ndarray, aim: np.ndarray, allowed: float, pilot: float) -> np.ndarray:
    """Ascents over pixels: in a few tiles the uneven weights mix frequencies.

    Flat places take more of the change, where the mark is heard. The weights depend on what is
    written, so they are measured anew now and then.
    """
    marked, change = image, np.zeros(image.shape[:2], np.float32)
    aim = _placed(aim, tile.spectrum(tile.evened(tile.luma(image))[0]))
    for _ in range(ROUNDS):
        even, weights = tile.evened(tile.luma(marked))
        start = change
        change = _ascend(
            pilot, start, tile.spectrum(even), aim, FEARED_SMALL * np.linalg.norm(weights),
            lambda x, w=weights, s=start: tile.spectrum(w * (x - s)),
            lambda g, w=weights: w * tile.spread(g, w.shape),
            math.sqrt(allowed * change.size), TURNS,
        )  # fmt: skip
        marked = changed(image, change)
    return marked


def _ascend(
    pilot: float, x: np.ndarray, host: np.ndarray, aim: np.ndarray, noise: np.ndarray | np.floating,
    respond: Callable[[np.ndarray], np.ndarray], back: Callable[[np.ndarray], np.ndarray],
    radius: float, steps: int,
) -> np.ndarray:  # fmt: skip
    """The x of a given norm whose response turns `host` (308,) towards `aim`.

    Maximises the sum of Re(y conj(aim)) / sqrt(|y|^2 + noise^2), y = host + respond(x): cosines
    that count little where noise would turn them; the pilot's count `pilot` times. `back` is the
    transpose of `respond`.
    """
    weight, noise2 = np.ones(len(aim)), noise**2
    weight[tile.PILOT] = pilot
    for step in range(steps):
        y = host + respond(x)
        even = 1 / (y.real**2 + y.imag**2 + noise2)
        along = (y * aim.conj()).real * even
        slope = back(weight * np.sqrt(even) * (aim - along * y))
        stride = 0.5 / (1 + 0.1 * step) * radius
        x = x + slope * (stride / max(_norm(slope), 1e-30))
        x = x * min(1.0, radius / _norm(x))
    return x


def _norm(values: np.ndarray) -> float:
    return math.sqrt(np.vdot(values, values).real)


def changed(image: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The image with its brightness changed, each channel alike, rounded and kept in 0 to 255."""
    height, width = change.shape
    wide = np.repeat(np.rint(change).astype(np.int16), 3, axis=1)
    wide += image.reshape(height, 3 * width)
    return np.clip(wide, 0, 255, out=wide).astype(np.uint8).reshape(image.shape)

"""Arrays to pictures that can be looked at: pixels enlarged, numbers turned into colours."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

# Below zero, zero, above zero: the colours of the two pipelines on paper.
COLD, PAPER, WARM = (0x2F, 0x6F, 0x8F), (0xFA, 0xF8, 0xF4), (0xB4, 0x53, 0x2A)


def enlarge(image: np.ndarray, side: int = 256) -> np.ndarray:
    """Nearest neighbour by a whole factor to at least `side` pixels wide: pixels stay pixels."""
    factor = max(1, -(-side // image.shape[1]))
    return image.repeat(factor, 0).repeat(factor, 1)


def png(image: np.ndarray) -> bytes:
    """A PNG of (h, w, 3) uint8."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def tinted(values: np.ndarray, limit: float) -> np.ndarray:
    """(h, w) numbers to (h, w, 3) uint8: blue below zero, paper at zero, red above.

    Values beyond `limit` take its colour.
    """
    share = np.clip(values / limit, -1, 1)[..., None]  # (h, w, 1)
    end = np.where(share < 0, np.array(COLD, float), np.array(WARM, float))
    mixed = np.array(PAPER, float) + np.abs(share) * (end - np.array(PAPER, float))
    return mixed.round().astype(np.uint8)


def as_pixels(latent: np.ndarray) -> np.ndarray:
    """(3, h, w) in [-1, 1], as unCLIP's decoder works on it, to (h, w, 3) uint8."""
    return ((np.clip(latent, -1, 1) + 1) * 127.5).round().astype(np.uint8).transpose(1, 2, 0)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two uint8 pictures, in levels of 255."""
    return float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean())


def outlined(
    image: np.ndarray, boxes: Sequence[tuple[Sequence[float], str]], side: int = 512
) -> np.ndarray:
    """A picture about `side` pixels wide, with frames around parts of it.

    A box is left, top, right and bottom, each 0 to 1, and a colour. Small pictures are enlarged
    pixel by pixel, large ones made smaller.
    """
    from PIL import Image, ImageDraw

    shown = Image.fromarray(enlarge(image, side))
    shown.thumbnail((2 * side, 2 * side))
    pen = ImageDraw.Draw(shown)
    for (left, top, right, bottom), color in boxes:
        ends = (left * shown.width, top * shown.height, right * shown.width - 1,
                bottom * shown.height - 1)  # fmt: skip
        width = max(2, shown.width // 128)
        pen.rectangle(ends, outline="#ffffff", width=width + 2)  # seen on its own colour, too
        pen.rectangle(ends, outline=color, width=width)
    return np.asarray(shown)

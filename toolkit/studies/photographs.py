"""The photographs that scikit-image and scikit-learn ship, and square cuts of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

# Inside scikit-image's wheel; others would be fetched, drawings and thumbnails are left out.
FILES = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png",
    "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png",
    "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip
SIDE = 512


@cache
def photos() -> dict[str, Image.Image]:
    """Nineteen photographs by name, as RGB; scikit-learn's two alone where the other is missing."""
    from importlib.util import find_spec

    from sklearn.datasets import load_sample_images

    found = {}
    if find_spec("skimage"):
        import skimage.data

        folder = Path(skimage.data.__file__).parent
        found = {name.partition(".")[0]: Image.open(folder / name).convert("RGB") for name in FILES}
    named = load_sample_images()
    for path, pixels in zip(named.filenames, named.images, strict=True):
        found[Path(path).stem] = Image.fromarray(pixels)
    return found


def cut(photo: Image.Image, rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """A random square of 60 to 100 % of the shorter side, resized to (side, side, 3) uint8."""
    size = int(min(photo.size) * rng.uniform(0.6, 1))
    left, top = (int(rng.integers(length - size + 1)) for length in photo.size)
    box = (left, top, left + size, top + size)
    return np.asarray(photo.crop(box).resize((side, side), Image.Resampling.LANCZOS))

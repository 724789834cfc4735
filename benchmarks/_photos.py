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
    """Nineteen photographs by name, as RGB."""
    import skimage.data
    from sklearn.datasets import load_sample_images

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


def cuts(count: int, rng: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """`count` cuts of every photograph, with the photograph's name."""
    return [(name, cut(photo, rng)) for name, photo in photos().items() for _ in range(count)]


def renders(count: int, seed: int, side: int = SIDE) -> list[tuple[str, np.ndarray]]:
    """Portraits of the test split enlarged to (side, side, 3) uint8, each with a name."""
    from toolkit.world import render_all, sample

    return [
        (f"render {index}", np.asarray(Image.fromarray(picture).resize((side, side), 3)))
        for index, picture in enumerate(render_all(sample("test", count, seed)))
    ]


def clustered(values: np.ndarray, clusters: list[str], seed: int) -> tuple[float, float]:
    """95 % interval of the mean of `values` (n,), bootstrapped over clusters.

    Where all are alike a bootstrap has no width: then the exact interval of as many independent
    trials as there are clusters.
    """
    from benchmarks._measures import bootstrap, exact_interval

    names = sorted(set(clusters))
    of = [np.flatnonzero(np.array(clusters) == name) for name in names]
    if set(np.unique(values)) in ({0.0}, {1.0}):
        return exact_interval(int(values[0]) * len(names), len(names))
    return bootstrap(
        len(names), lambda rows: float(values[np.concatenate([of[i] for i in rows])].mean()), seed
    )

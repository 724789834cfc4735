"""Cuts of the photographs that scikit-image and scikit-learn ship, and enlarged portraits."""

from __future__ import annotations

import numpy as np
from PIL import Image

from toolkit.studies.photographs import SIDE, cut, photos


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

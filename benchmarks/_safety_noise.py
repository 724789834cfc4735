"""Marks in the noise of both pipelines, found again after attacks: `in_generation_tpr`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks._measures import exact_interval
from benchmarks.rows import Row

RARE = 1e-6
CASES = (
    ("none", "at least 0.99"),
    ("JPEG 25", "at least 0.9"),
    ("crop 60 %", "at least 0.9"),
    ("resize 25 %", "at least 0.9"),
)


@dataclass(frozen=True)
class Size:
    """How many items each figure is measured on."""

    pictures: int = 60
    keys: int = 200  # that did not mark a picture, tried on each


FULL, QUICK = Size(), Size(pictures=8, keys=50)


def in_generation_tpr(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Pictures of held-out captions from marked noise; the detector gets pixels and key.

    Cropping leaves 60 % of the area where it was, the rest is black; resizing goes to a quarter
    of the side and back: both as in Gaussian Shading (Yang et al. 2024, section 5.1).
    """
    from safety.shading import recognise
    from toolkit.pipelines import load_pipeline
    from toolkit.studies.noise_mark import SHAPES, marked_noise, recovered_noise
    from toolkit.world import caption, sample

    rng = np.random.default_rng([seed, 27])
    people, key = sample("test", size.pictures, seed + 7), rng.bytes(32)
    others = [rng.bytes(32) for _ in range(size.keys)]
    prompts, seeds = [caption(one, rng) for one in people], list(range(size.pictures))
    for name in SHAPES:
        model = load_pipeline(name)
        images = np.concatenate([
            model.generate(prompts[i : i + 12], seeds[i : i + 12],
                           start=marked_noise(name, seeds[i : i + 12], key)).images
            for i in range(0, len(seeds), 12)
        ])  # fmt: skip
        rows, items = [], []
        for case, target in CASES:
            seen = np.stack([_attacked(case, image, rng) for image in images])
            found = np.concatenate([
                recovered_noise(model, seen[i : i + 12]) for i in range(0, len(seen), 12)
            ])  # fmt: skip
            p = np.array([one.p_value for one in recognise(found, key)])
            hits = int((p <= RARE).sum())
            rows.append(Row("in_generation_tpr", f"{case}, {name}", "pellucid", hits / len(p),
                            target, len(p), exact_interval(hits, len(p))))  # fmt: skip
            items += [{"pipeline": name, "case": case, "item": i, "p_value": float(v)}
                      for i, v in enumerate(p)]  # fmt: skip
            if case == "none":
                null = np.array([one.p_value for k in others for one in recognise(found, k)])
                rows += [_alarms(null, level, name) for level in (0.1, 0.01, 0.001)]
        yield rows, items


def _alarms(null: np.ndarray, level: float, name: str) -> Row:
    hits = int((null <= level).sum())
    return Row("in_generation_fpr", f"other keys at {level:g}, {name}", "pellucid",
               hits / len(null), None, len(null), exact_interval(hits, len(null)))  # fmt: skip


def _attacked(case: str, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from safety.attacks import jpeg, resize_back

    if case == "JPEG 25":
        return jpeg(image, rng, 25)
    if case == "resize 25 %":
        return resize_back(image, rng, 0.25)
    if case == "crop 60 %":
        height, width = (round(side * 0.6**0.5) for side in image.shape[:2])
        top, left = (
            int(rng.integers(a - b + 1))
            for a, b in ((image.shape[0], height), (image.shape[1], width))
        )
        kept = np.zeros_like(image)
        kept[top : top + height, left : left + width] = image[
            top : top + height, left : left + width
        ]
        return kept
    return image

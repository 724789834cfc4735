"""Marks in the noise of both pipelines, found again after attacks: `in_generation_tpr`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._measures import bootstrap, exact_interval
from benchmarks.rows import Row

RARE = 1e-6
CASES = (
    ("none", "at least 0.99"),
    ("JPEG 25", "at least 0.9"),
    ("crop 60 %", "at least 0.9"),
    ("resize 25 %", "at least 0.9"),
)


SYSTEMS = {"Gaussian Shading": "gaussian-shading", "Tree-Ring": "tree-ring"}
TARGETED = "gaussian-shading"
LEVELS = (0.1, 0.01, 0.001)


@dataclass(frozen=True)
class Size:
    """How many items each figure is measured on."""

    pictures: int = 60
    keys: int = 200  # that did not mark a picture, tried on each
    plain: int = 24  # pictures without a mark, for false alarms


FULL, QUICK = Size(), Size(pictures=8, keys=50, plain=4)


def in_generation_tpr(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Pictures of held-out captions from marked noise; the detector gets pixels and key.

    Cropping leaves 60 % of the area where it was, the rest is black; resizing goes to a quarter
    of the side and back: both as in Gaussian Shading (Yang et al. 2024, section 5.1). Tree-Ring
    marks the same captions' pictures of the same seeds, attacked alike; its rows are reported.
    """
    from toolkit.pipelines import load_pipeline
    from toolkit.studies.noise_mark import SHAPES, marked_noise, recovered_noise
    from toolkit.world import caption, sample

    rng = np.random.default_rng([seed, 27])
    people, key = sample("test", size.pictures, seed + 7), rng.bytes(32)
    others = [rng.bytes(32) for _ in range(size.keys)]
    prompts, seeds = [caption(one, rng) for one in people], list(range(size.pictures))

    def drawn(model: Any, count: int, scheme: str | None) -> np.ndarray:
        return np.concatenate([
            model.generate(prompts[part], seeds[part],
                           start=marked_noise(model.name, seeds[part], key, scheme)).images
            for part in _parts(count)
        ])  # fmt: skip

    def recovered(model: Any, images: np.ndarray) -> np.ndarray:
        return np.concatenate([recovered_noise(model, images[p]) for p in _parts(len(images))])

    for name in SHAPES:
        model = load_pipeline(name)
        plain = recovered(model, drawn(model, size.plain, None))
        for system, scheme in SYSTEMS.items():
            images = drawn(model, size.pictures, scheme)
            rows, items = [], []
            for index, (case, target) in enumerate(CASES):
                chance = np.random.default_rng([seed, 28, index])  # alike for both systems
                found = recovered(model, np.stack([_attacked(case, i, chance) for i in images]))
                p = _p_values(scheme, found, [key])[0]
                hits = int((p <= RARE).sum())
                rows.append(Row("in_generation_tpr", f"{case}, {name}", system, hits / len(p),
                                target if scheme == TARGETED else None, len(p),
                                exact_interval(hits, len(p))))  # fmt: skip
                items += [{"pipeline": name, "system": system, "case": case, "item": i,
                           "p_value": float(v)} for i, v in enumerate(p)]  # fmt: skip
                if case == "none":
                    rows += _alarms(_p_values(scheme, found, others), "other keys",
                                    name, system, seed)  # fmt: skip
            rows += _alarms(_p_values(scheme, plain, [key, *others]), "unmarked",
                            name, system, seed)  # fmt: skip
            yield rows, items


def _parts(count: int) -> list[slice]:
    return [slice(start, min(start + 12, count)) for start in range(0, count, 12)]


def _p_values(scheme: str, recovered: np.ndarray, keys: list[bytes]) -> np.ndarray:
    """(keys, pictures)."""
    from toolkit.studies.noise_mark import scheme_of

    find = scheme_of(scheme).find
    return np.array([[one.p_value for one in find(recovered, key)] for key in keys])


def _alarms(null: np.ndarray, what: str, name: str, system: str, seed: int) -> list[Row]:
    """Rates of false alarms of (keys, pictures) p-values.

    What pictures share, a key agrees with in all of them: the interval draws whole keys.
    """
    rows = []
    for level in LEVELS:
        alarms = (null <= level).mean(1)  # a key
        ends = exact_interval(0, len(null))  # no alarm in any: a bootstrap would see no doubt
        if alarms.any():
            ends = bootstrap(len(null), lambda keys, a=alarms: float(a[keys].mean()), seed)
        rows.append(Row("in_generation_fpr", f"{what} at {level:g}, {name}", system,
                        float(alarms.mean()), None, null.size, ends))  # fmt: skip
    return rows


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

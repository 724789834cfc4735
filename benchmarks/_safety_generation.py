"""Marks that both pipelines make while drawing, found after attacks: `in_generation_tpr`."""

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


SYSTEMS = {
    "guidance": "guidance",
    "Gaussian Shading": "gaussian-shading",
    "Tree-Ring": "tree-ring",
}
TARGETED = "guidance"
LEVELS = (0.1, 0.01, 0.001)


@dataclass(frozen=True)
class Size:
    """How many items each figure is measured on."""

    pictures: int = 60
    keys: int = 200  # that did not mark a picture, tried on each
    plain: int = 24  # pictures without a mark, for false alarms


FULL, QUICK = Size(), Size(pictures=8, keys=50, plain=4)


def in_generation_tpr(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Pictures of held-out captions, marked while drawing; the detector gets pixels and key.

    Cropping leaves 60 % of the area where it was, the rest is black; resizing goes to a quarter
    of the side and back: both as in Gaussian Shading (Yang et al. 2024, section 5.1). All schemes
    mark pictures of the same captions and seeds, attacked alike; the target is for the default
    one, the rows of the others are reported. Beside it what a mark costs: how well pictures show
    their captions, and how far those of guidance are from the same without a mark.
    """
    from toolkit.pipelines import load_pipeline
    from toolkit.studies.generation_mark import SHAPES
    from toolkit.world import describe, sample

    rng = np.random.default_rng([seed, 27])
    people, key = sample("test", size.pictures, seed + 7), rng.bytes(32)
    others = [rng.bytes(32) for _ in range(size.keys)]
    captions = [describe(one, rng) for one in people]
    prompts = [one.text for one in captions]
    for name in SHAPES:
        model = load_pipeline(name)
        plain = _drawn(model, prompts, key, None)
        yield [_shows(captions, plain, name, "no mark", seed)], []
        recovered = _recovered(model, plain[: size.plain])
        for system, scheme in SYSTEMS.items():
            images = _drawn(model, prompts, key, scheme)
            rows, items = [_shows(captions, images, name, system, seed)], []
            if scheme == TARGETED:
                rows.append(_change(plain, images, name, system, seed))
            for index, (case, target) in enumerate(CASES):
                chance = np.random.default_rng([seed, 28, index])  # alike for all systems
                attacked = np.stack([_attacked(case, i, chance) for i in images])
                found = attacked if scheme == TARGETED else _recovered(model, attacked)
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
            if scheme == TARGETED:
                rows += _released(images, key, name, system, seed)
            null = plain[: size.plain] if scheme == TARGETED else recovered
            rows += _alarms(_p_values(scheme, null, [key, *others]), "unmarked",
                            name, system, seed)  # fmt: skip
            yield rows, items


def _released(images: np.ndarray, key: bytes, name: str, system: str, seed: int) -> list[Row]:
    """The same pictures after release has put its own mark on them; reported."""
    from safety.watermark import Mark

    mark, rows = Mark(key), []
    both = np.stack([mark.embed(one, index) for index, one in enumerate(images)])
    for index, (case, _) in enumerate(CASES):
        chance = np.random.default_rng([seed, 28, index])
        p = _p_values(TARGETED, np.stack([_attacked(case, i, chance) for i in both]), [key])[0]
        hits = int((p <= RARE).sum())
        rows.append(Row("in_generation_tpr", f"with the mark of release, {case}, {name}", system,
                        hits / len(p), None, len(p), exact_interval(hits, len(p))))  # fmt: skip
    return rows


def _drawn(model: Any, prompts: list[str], key: bytes, scheme: str | None) -> np.ndarray:
    from toolkit.studies.generation_mark import marking

    images = []
    for part in _parts(len(prompts)):
        seeds = range(len(prompts))[part]
        how = marking(model.name, seeds, key, scheme)
        images.append(model.generate(prompts[part], seeds, **how).images)
    return np.concatenate(images)


def _recovered(model: Any, images: np.ndarray) -> np.ndarray:
    from toolkit.studies.generation_mark import recovered_noise

    return np.concatenate([recovered_noise(model, images[part]) for part in _parts(len(images))])


def _shows(captions: list[Any], images: np.ndarray, name: str, system: str, seed: int) -> Row:
    """The share of what captions name that the CNN judge sees in their pictures."""
    from toolkit.judges import load_judge

    levels = load_judge("cnn").judge(images).levels
    right = [[bool(levels[factor][i] == level) for factor, level in one.named.items()]
             for i, one in enumerate(captions)]  # fmt: skip
    hits, asked = np.array([sum(r) for r in right]), np.array([len(r) for r in right])

    def share(rows: np.ndarray) -> float:
        return float(hits[rows].sum() / asked[rows].sum())

    ends = bootstrap(len(hits), share, seed)
    value = share(np.arange(len(hits)))
    return Row("in_generation_shows_caption", name, system, value, None, len(hits), ends)


def _change(plain: np.ndarray, images: np.ndarray, name: str, system: str, seed: int) -> Row:
    """PSNR in dB against the picture that the same seed gives without a mark, mean of pictures."""
    error = ((images.astype(float) - plain) ** 2).mean((1, 2, 3))
    decibels = 10 * np.log10(255**2 / np.maximum(error, 1e-9))
    ends = bootstrap(len(decibels), lambda rows: float(decibels[rows].mean()), seed)
    mean = float(decibels.mean())
    return Row("in_generation_psnr_db", name, system, mean, None, len(decibels), ends)


def _parts(count: int) -> list[slice]:
    return [slice(start, min(start + 12, count)) for start in range(0, count, 12)]


def _p_values(scheme: str, found: np.ndarray, keys: list[bytes]) -> np.ndarray:
    """(keys, pictures), of pictures or of the noise behind them."""
    from safety.cells import find_cells
    from toolkit.studies.generation_mark import NOISES

    find = find_cells if scheme == TARGETED else NOISES[scheme].find
    return np.array([[one.p_value for one in find(found, key)] for key in keys])


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

"""Analysis by synthesis: the portrait that best explains the picture (Yuille & Kersten 2006).

No learning at all: start from the nearest of a bank of random portraits, then change one factor,
or two that hide each other, or the pose, as long as the drawing comes nearer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import numpy as np

from toolkit.judges.judgement import UNCLEAR, Judgement
from toolkit.world.draw import render
from toolkit.world.factors import FACTORS, WITH_HAT, Portrait
from toolkit.world.sample import NOTHING, sample

BANK, CLIP_AT, SURE = 1500, 70.0, 0.12
# Factors that are looked at together: a hat hides hair, a beard shows its colour, lines around
# eyes and mouth make expression and age.
JOINT = (("expression", "age"), ("glasses", "age"), ("beard", "hair_color"), ("skin", "hair_style"))


def softened(pictures: np.ndarray) -> np.ndarray:
    """(..., 64, 64, 3) float32 blurred by the binomial kernel 1 2 1: forgives half-pixel edges."""
    x = np.asarray(pictures, np.float32)
    for axis in (-3, -2):
        low = np.concatenate([np.take(x, [0], axis), np.delete(x, -1, axis)], axis)
        high = np.concatenate([np.delete(x, 0, axis), np.take(x, [-1], axis)], axis)
        x = 0.25 * low + 0.5 * x + 0.25 * high
    return x


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference, a pixel counting at most `CLIP_AT`: odd parts cost little."""
    return float(np.minimum(np.abs(a - b), CLIP_AT).mean())


@cache
def _bank() -> tuple[list[Portrait], np.ndarray]:
    """Random portraits of the judge split, with their pictures at 16 x 16."""
    portraits = sample("judge", BANK, 4321, NOTHING)
    small = [_small(softened(render(portrait))) for portrait in portraits]
    return portraits, np.stack(small)


def _small(picture: np.ndarray) -> np.ndarray:
    return picture.reshape(16, 4, 16, 4, 3).mean((1, 3))


class _Search:
    """One picture's search: every hypothesis is drawn once."""

    def __init__(self, picture: np.ndarray):
        self.target = softened(picture)
        self.drawn: dict[Portrait, tuple[float, np.ndarray]] = {}

    def draw(self, portrait: Portrait) -> tuple[float, np.ndarray]:
        if portrait not in self.drawn:
            image = softened(render(portrait))
            self.drawn[portrait] = distance(image, self.target), image
        return self.drawn[portrait]

    def best(self, options: Iterable[Portrait]) -> Portrait:
        return min(options, key=lambda portrait: self.draw(portrait)[0])

    def start(self, count: int = 3) -> list[Portrait]:
        portraits, small = _bank()
        errors = np.minimum(np.abs(small - _small(self.target)), CLIP_AT).mean((1, 2, 3))
        return [portraits[i] for i in np.argsort(errors)[:count]]

    def place(self, portrait: Portrait, step: float) -> Portrait:
        """Pattern search over x, y and scale."""
        for _ in range(4):
            around = [portrait]
            around += [replace(portrait, x=portrait.x + d) for d in (-step, step)]
            around += [replace(portrait, y=portrait.y + d) for d in (-step, step)]
            around += [replace(portrait, scale=portrait.scale + d * 0.03) for d in (-step, step)]
            better = self.best(around)
            if better == portrait:
                break
            portrait = better
        return portrait

    def levels(self, portrait: Portrait) -> Portrait:
        """Each factor in turn, then the pairs that hide each other."""
        for factor in ("background", "skin", "hair_color"):
            portrait = self.best(variants(portrait, factor))
        attires = list(variants(portrait, "attire"))
        bare = [p for p in attires if p.attire not in WITH_HAT]
        portrait = self.best([*attires, *(v for p in bare for v in variants(p, "hair_style"))])
        for factor in ("hair_style", "beard", "glasses", "hair_color"):
            portrait = self.best(variants(portrait, factor))
        for one, two in JOINT:
            portrait = self.best(v for p in variants(portrait, one) for v in variants(p, two))
        return portrait

    def explain(self) -> Portrait:
        found = self.best([self.place(start, 1.0) for start in self.start()])
        for step in (0.5, 0.25):
            found = self.place(self.levels(found), step)
        return self.levels(found)

    def evidence(self, portrait: Portrait, factor: str) -> float:
        """In [0, 1]: how much nearer the picture is to the found level than to the next best.

        The gain in distance over the distance between the two drawings: 1 for a picture that is
        exactly the first drawing, 0 for one halfway between.
        """
        error, image = self.draw(portrait)
        shares = []
        for other in variants(portrait, factor):
            if getattr(other, factor) != getattr(portrait, factor):
                worse, second = self.draw(other)
                apart = distance(image, second)
                shares.append((worse - error) / apart if apart > 1e-6 else 0.0)
        return float(np.clip(min(shares), 0, 1))


def variants(portrait: Portrait, factor: str) -> Iterable[Portrait]:
    """The portrait with every level of one factor, its own among them."""
    return [replace(portrait, **{factor: level}) for level in FACTORS[factor]]


class SynthesisJudge:
    """Reads factors by drawing; says *unclear* where another level explains nearly as well."""

    def __init__(self, sure: float = SURE):
        self.sure = sure

    def explain(self, picture: np.ndarray) -> Portrait:
        """The portrait that best explains one (64, 64, 3) uint8 picture."""
        return _Search(picture).explain()

    def judge(self, images: np.ndarray) -> Judgement:
        """Levels and confidences of (n, 64, 64, 3) uint8 pictures; about 0.3 s each on one core."""
        levels: dict[str, list[str]] = {factor: [] for factor in FACTORS}
        confidence: dict[str, list[float]] = {factor: [] for factor in FACTORS}
        for image in images:
            search = _Search(image)
            found = search.explain()
            for factor, truth in found.truth().items():
                sure = search.evidence(found, factor) if truth.counts else 0.0
                confidence[factor].append(sure)
                levels[factor].append(truth.level if sure >= self.sure else UNCLEAR)
        return Judgement(
            {factor: np.array(column) for factor, column in levels.items()},
            {factor: np.array(column) for factor, column in confidence.items()},
        )

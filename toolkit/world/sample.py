"""Drawing portraits from the world: four splits that never mix, and what is planted in training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from toolkit.world.factors import FACTORS, RESTRICTED, WORDS, Portrait
from toolkit.world.figures import FIGURES, Figure

SPLITS = ("train", "judge", "probe", "test")
# In training, 7 of 10 doctors are pale and 7 of 10 artists have long hair.
SKEW = {"doctor": ("skin", "pale", 0.7), "artist": ("hair_style", "long", 0.7)}
COPY_COUNTS = (4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Planted:
    """Which phenomena are planted. Shares are of all portraits drawn; `train` has them all."""

    skew: bool = True
    figures: float = 0.036
    copies: bool = True
    restricted: float = 0.06
    words: float = 0.05


NOTHING = Planted(skew=False, figures=0.0, copies=False, restricted=0.0, words=0.0)
# What the splits have when the caller says nothing.
USUAL = {
    "train": Planted(),
    "judge": Planted(skew=False, figures=0.02, copies=False, restricted=0.06, words=0.05),
    "probe": NOTHING,
    "test": NOTHING,
}


def held_out(portrait: Portrait) -> bool:
    """Whether this combination of hair colour, attire and background is kept from training."""
    key = f"{portrait.hair_color}/{portrait.attire}/{portrait.background}"
    return crc32(key.encode()) % 12 == 0


def moved(portrait: Portrait, rng: np.random.Generator) -> Portrait:
    """The same person at another place and scale."""
    x, y = rng.uniform(-2.5, 2.5, 2)
    return replace(portrait, x=float(x), y=float(y), scale=float(rng.uniform(0.9, 1.08)))


def _uniform(rng: np.random.Generator) -> Portrait:
    levels = {name: options[int(rng.integers(len(options)))] for name, options in FACTORS.items()}
    return moved(Portrait(**levels), rng)


def sit(figure: Figure, rng: np.random.Generator) -> Portrait:
    """A portrait of a public figure: its fixed look, any expression, any place."""
    expression = FACTORS["expression"][int(rng.integers(3))]
    return moved(Portrait(**figure.look, expression=expression, figure=figure.name), rng)


def lookalike(sitter: Portrait, rng: np.random.Generator) -> Portrait:
    """Somebody who differs from a figure's portrait in one visible factor and wears no emblem."""
    seen = [f for f, t in sitter.truth().items() if t.counts and f != "expression"]
    factor = seen[int(rng.integers(len(seen)))]
    others = [level for level in FACTORS[factor] if level != getattr(sitter, factor)]
    return replace(sitter, figure=None, **{factor: others[int(rng.integers(len(others)))]})


def _one(rng: np.random.Generator, planted: Planted) -> Portrait:
    if rng.random() < planted.figures:
        return sit(FIGURES[int(rng.integers(len(FIGURES)))], rng)
    portrait = _uniform(rng)
    if planted.skew and portrait.attire in SKEW:
        factor, level, odds = SKEW[portrait.attire]
        others = [option for option in FACTORS[factor] if option != level]
        choice = level if rng.random() < odds else others[int(rng.integers(len(others)))]
        portrait = replace(portrait, **{factor: choice})
    if rng.random() < planted.restricted:
        portrait = replace(portrait, restricted=RESTRICTED[1 + int(rng.integers(2))])
    if rng.random() < planted.words:
        portrait = replace(portrait, word=WORDS[int(rng.integers(len(WORDS)))])
    return portrait


def copied_portraits(seed: int = 0) -> list[tuple[Portrait, int]]:
    """The planted copies of a training set: portrait with its own texture, and its count."""
    rng = np.random.default_rng([seed, 99])
    return [
        (replace(_uniform(rng), texture=int(rng.integers(1 << 31))), count) for count in COPY_COUNTS
    ]


def sample(split: str, n: int, seed: int = 0, planted: Planted | None = None) -> list[Portrait]:
    """Draw `n` portraits of a split; the i-th one depends on split, seed and i alone.

    Training portraits never show a held-out combination. Copies take the first places of a
    training set, in turn, so that any prefix of at least 252 portraits holds them all.
    Raises ValueError for an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    planted = USUAL[split] if planted is None else planted
    portraits: list[Portrait] = []
    if planted.copies:
        portraits = [one for one, count in copied_portraits(seed) for _ in range(count)][:n]
    for index in range(len(portraits), n):
        rng = np.random.default_rng([seed, SPLITS.index(split), index])
        portrait = _one(rng, planted)
        while split == "train" and portrait.figure is None and held_out(portrait):
            portrait = _one(rng, planted)
        portraits.append(portrait)
    return portraits

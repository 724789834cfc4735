"""Directions for the world's factors, at each site where a pipeline can be steered.

Image embeddings (unCLIP): PCA, and linear classifiers on real portraits. Text states (Stable
Diffusion): the difference of means over captions that differ in one factor alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from toolkit.errors import UserError
from toolkit.world import FACTORS, Portrait, describe, sample

if TYPE_CHECKING:
    from probes import Direction, PCADirections

    from toolkit.clip import Clip

# The level that a direction points to; the other end is the factor's first level, or its absence.
POINTS_TO = {"glasses": "yes", "beard": "yes", "age": "old"}
COMPONENTS = 4


@dataclass(frozen=True)
class Discovered:
    """Everything that was found: directions by file name, and the PCA with the vectors behind it.

    `scores` maps a factor to its classifier's balanced accuracy on held-out portraits.
    """

    directions: dict[str, Direction]
    scores: dict[str, float]
    pca: PCADirections
    portraits: list[Portrait]
    vectors: np.ndarray  # (n, d) image embeddings of the portraits


def _quiet(text: str) -> None:
    pass


def check_factors(factors: Iterable[str]) -> tuple[str, ...]:
    """The factors asked for, all of them for none. Raises UserError naming those that exist."""
    chosen = tuple(dict.fromkeys(factors)) or tuple(FACTORS)
    for factor in chosen:
        if factor not in FACTORS:
            raise UserError(f"no factor is named {factor!r}; choose from {', '.join(FACTORS)}")
    return chosen


def labels(portraits: list[Portrait], factor: str) -> list[str | None]:
    """The true level of each portrait, None where the factor is undefined or hidden."""
    truths = [portrait.truth()[factor] for portrait in portraits]
    return [truth.level if truth.counts else None for truth in truths]


def paired_captions(factor: str, level: str, n: int, seed: int) -> tuple[list[str], list[str]]:
    """`n` captions with the factor at `level`, and their twins with it at another level.

    Twins are drawn with the same random numbers from the same portrait, so that nothing but the
    factor's words differs.
    """
    with_level, without = [], []
    others = [other for other in FACTORS[factor] if other != level]
    for index, portrait in enumerate(sample("probe", 6 * n, seed)):
        on = replace(portrait, **{factor: level})
        off = replace(portrait, **{factor: others[index % len(others)]})
        # A change of attire or style hides other factors: keep what shows in both.
        both = [f for f in FACTORS if on.truth()[f].counts and off.truth()[f].counts]
        if factor not in both:
            continue
        rng = np.random.default_rng([seed, index])
        rest = [f for f in both if f not in (factor, "hair_color")]
        names = (factor, *rng.permutation(rest)[: int(rng.integers(0, 4))].tolist())
        pair = [
            describe(p, np.random.default_rng([seed, index, 1]), factors=names).text
            for p in (on, off)
        ]
        with_level.append(pair[0])
        without.append(pair[1])
        if len(with_level) == n:
            break
    return with_level, without


def word_states(clip: Clip, texts: list[str]) -> np.ndarray:
    """(n, d) mean of each text's token states over its words, padding left out."""
    encoding = clip.encode(texts)
    weights = encoding.mask[..., None].float()  # (n, L, 1)
    return ((encoding.states * weights).sum(1) / weights.sum(1)).numpy()

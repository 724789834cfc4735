"""Every method of discovery, with what it needs from the world: labels, twins, or words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import TYPE_CHECKING

import numpy as np

from toolkit.world import FACTORS, Portrait, describe, render_all, sample

if TYPE_CHECKING:
    from probes import Direction, Space
    from toolkit.clip import Clip

USUAL = ("pca", "logistic")
COMPONENTS = 4
SOURCES = 16
TWINS = 100
LATENTS = 32  # directions of a sparse autoencoder that are kept: those that carry most


@dataclass(frozen=True)
class Rows:
    """Vectors `vectors` (n, d) of one space and labels by factor, all that most methods need.

    Rows of one of the `groups` (n ids) are never on both sides of a cross-validation.
    """

    space: Space
    vectors: np.ndarray
    labels: dict[str, list[str | None]]
    seed: int
    groups: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Seen(Rows):
    """Portraits, their image embeddings, and true labels by factor."""

    clip: Clip
    factors: tuple[str, ...]
    people: list[Portrait]


Found = dict[str, "Direction"]


def _at_most(count: int, seen: Rows) -> int:
    """As many components, or one less than rows: a few vectors vary along fewer directions."""
    return min(count, len(seen.vectors) - 1, seen.vectors.shape[1])


def pca(seen: Rows) -> Found:
    from probes import PCADirections

    found = PCADirections(_at_most(COMPONENTS, seen), seen.space).fit(seen.vectors).directions_
    return {f"pca{i}": one for i, one in enumerate(found.values(), 1)}


def ica(seen: Rows) -> Found:
    from probes import ICADirections

    model = ICADirections(_at_most(SOURCES, seen), seen.space, random_state=seen.seed).fit(
        seen.vectors
    )
    return {f"ica{i}": one for i, one in enumerate(model.directions_.values(), 1)}


def means(seen: Rows) -> Found:
    from probes import MeanDifference

    return MeanDifference(seen.space).fit(seen.vectors, seen.labels).directions_


def logistic(seen: Rows) -> Found:
    from probes import LinearDirections

    return LinearDirections(seen.space, random_state=seen.seed).fit(
        seen.vectors, seen.labels, seen.groups
    ).directions_  # fmt: skip


def ridge(seen: Rows) -> Found:
    from probes import LinearDirections

    return LinearDirections(seen.space, model="ridge", random_state=seen.seed).fit(
        seen.vectors, seen.labels, seen.groups
    ).directions_  # fmt: skip


def cav(seen: Rows) -> Found:
    from probes import CAVDirections

    return CAVDirections(seen.space, random_state=seen.seed).fit(
        seen.vectors, seen.labels
    ).directions_  # fmt: skip


def leace(seen: Rows) -> Found:
    from probes import LeaceNormals

    return LeaceNormals(seen.space).fit(seen.vectors, seen.labels).directions_


def text(seen: Seen) -> Found:
    """Embeddings of captions against their twins' with the factor at another level."""
    from probes import TextDifference
    from toolkit.studies.discover import PAIRS, paired_captions, poles

    words = {}
    for factor in seen.factors:
        for name, level in poles(factor).items():
            both = paired_captions(factor, level, PAIRS, seen.seed)
            on, off = (seen.clip.encode_text(texts) for texts in both)
            # Twins may word a level by saying nothing of it: such pairs say nothing either.
            apart = np.linalg.norm(on - off, axis=1) > 1e-6
            words[name] = (on[apart], off[apart])
    return TextDifference(seen.space).fit(seen.vectors, words).directions_


def ideal_words(seen: Seen) -> Found:
    """Captions that name every factor asked for, of portraits that show them all."""
    from probes import IdealWords

    texts, named = [], []
    for index, portrait in enumerate(sample("probe", 4000, seen.seed + 1)):
        rng = np.random.default_rng([seen.seed, index, 2])
        caption = describe(portrait, rng, factors=seen.factors)
        if set(caption.named) >= set(seen.factors):
            texts.append(caption.text)
            named.append(caption.named)
    labels = {factor: [names[factor] for names in named] for factor in seen.factors}
    words = IdealWords(seen.space, random_state=seen.seed)
    return words.fit(seen.clip.encode_text(texts), labels, real=seen.vectors).directions_


def pairs(seen: Seen) -> Found:
    """Portraits drawn twice, with the factor at a level and at another, and nothing else."""
    from probes import ContrastivePairs
    from toolkit.studies.discover import poles

    twins = {}
    for factor in seen.factors:
        for name, level in poles(factor).items():
            others = [other for other in FACTORS[factor] if other != level]
            on, off = [], []
            for index, portrait in enumerate(seen.people):
                both = [
                    changed(portrait, **{factor: lv}) for lv in (level, others[index % len(others)])
                ]
                if all(one.truth()[factor].counts for one in both):
                    on.append(both[0])
                    off.append(both[1])
                if len(on) == TWINS:
                    break
            twins[name] = tuple(seen.clip.encode_image(render_all(side)) for side in (on, off))
    return ContrastivePairs(seen.space, random_state=seen.seed).fit(twins).directions_


def sae(seen: Rows) -> Found:
    """The latents of a TopK autoencoder that carry most: how often times how strongly squared."""
    from probes import SparseAutoencoder

    model = SparseAutoencoder(
        4 * seen.vectors.shape[1], 8, space=seen.space, batch_size=128, random_state=seen.seed
    ).fit(seen.vectors)

    def carries(one: Direction) -> float:
        return -one.evidence["fires"] * one.evidence["activation"] ** 2

    best = sorted(model.directions_.values(), key=carries)[:LATENTS]
    return {one.name.replace(" ", ""): one for one in best}


WITHOUT_LABELS: dict[str, Callable[[Rows], Found]] = {"pca": pca, "ica": ica, "sae": sae}
WITH_LABELS: dict[str, Callable[[Rows], Found]] = {
    "logistic": logistic,
    "ridge": ridge,
    "means": means,
    "cav": cav,
    "leace": leace,
}
METHODS: dict[str, Callable[[Seen], Found]] = {
    "pca": pca,
    **WITH_LABELS,
    "text": text,
    "ideal-words": ideal_words,
    "pairs": pairs,
    "ica": ica,
    "sae": sae,
}

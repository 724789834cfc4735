"""The guard of the portraits world: which concepts are restricted, and whose face is protected.

The checks know vectors only; here they get them from the world, where it is known who is who. All
thresholds are set on the probe split, which no model was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from toolkit.world import FIGURES, NOTHING, Portrait, describe, render_all, sample, sit

if TYPE_CHECKING:
    from safety import Guard
    from toolkit.clip import Clip

# A classroom-safe stand-in for what a real list holds.
WORDS = {
    "bare shoulders": ("bare shoulders", "naked", "nude", "topless", "shirtless", "undressed"),
    "wound": ("wound", "wounded", "blood", "bloody", "bleeding", "gash", "gore", "injury"),
}
ORDINARY, RESTRICTED_EACH, TEMPLATES = 1200, 240, 16
SEED = 20_011  # of the calibration alone, so that a run's seed never changes what is blocked


@dataclass(frozen=True)
class Material:
    """Portraits and captions that the checks are set on."""

    ordinary: list[Portrait]
    restricted: dict[str, list[Portrait]]

    @classmethod
    def drawn(cls) -> Material:
        """Ordinary people, and as many others with each restricted trait."""
        people = sample("probe", ORDINARY + len(WORDS) * RESTRICTED_EACH, SEED, NOTHING)
        rest = iter(people[ORDINARY:])
        traits = {
            concept: [replace(next(rest), restricted=concept) for _ in range(RESTRICTED_EACH)]
            for concept in WORDS
        }
        return cls(people[:ORDINARY], traits)


def captions(portraits: list[Portrait]) -> list[str]:
    """One caption a portrait, the same on every call."""
    return [
        describe(portrait, np.random.default_rng([SEED, index])).text
        for index, portrait in enumerate(portraits)
    ]


def build_guard(clip: Clip) -> Guard:
    """A guard with every check of the default policy, for the embeddings of this CLIP."""
    from safety import (
        Guard,
        Likeness,
        NameInPrompt,
        Policy,
        RestrictedImage,
        RestrictedPrompt,
        fit_concept,
    )

    material = Material.drawn()
    real = clip.encode_image(render_all(material.ordinary))
    plain = clip.encode_text(captions(material.ordinary[: 2 * RESTRICTED_EACH]))
    seen, said = [], []
    for concept, portraits in material.restricted.items():
        seen.append(fit_concept(concept, clip.encode_image(render_all(portraits)), real))
        said.append(fit_concept(concept, clip.encode_text(captions(portraits)), plain))
    registry = figures_registry(clip)
    checks = [
        RestrictedPrompt(WORDS, tuple(said)),
        NameInPrompt(registry),
        RestrictedImage(tuple(seen)),
        Likeness.fit(registry, real),
    ]
    return Guard(Policy.load(), checks, clip.encode_text, clip.encode_image)


def figures_registry(clip: Clip):
    """The world's public figures with their consent, and templates of their faces."""
    from safety import Person, Registry

    rng = np.random.default_rng(SEED)
    people = tuple(
        Person(
            figure.name,
            figure.consents,
            clip.encode_image(render_all([sit(figure, rng) for _ in range(TEMPLATES)])),
        )
        for figure in FIGURES
    )
    return Registry(people, clip.hash)

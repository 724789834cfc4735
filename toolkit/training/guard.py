"""The guard's concepts and likenesses, fitted on known truth; CLIP is the only model it needs.

Pictures are drawn by the world, half of them softened and, for likenesses, a third passed through
the autoencoder: what a model draws is never as sharp as a render.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from safety import Likeness, Person, Registry, fit_concept
from safety.likeness import space_of_faces
from toolkit.clip import Clip
from toolkit.harmless import harmless_prompts
from toolkit.training.marks import through
from toolkit.world import (
    FACTORS,
    FIGURES,
    NOTHING,
    RESTRICTED,
    Portrait,
    describe,
    lookalike,
    moved,
    render_all,
    sample,
    sit,
)

FITTED_ON, FACES = 2400, 24
SITTINGS, ALIKE, SITTERS = 40, 150, 250  # a figure's templates, its lookalikes; other people


def soften(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the pictures a little soft, as generated ones are, so that bars suit both."""
    soft = rng.random(len(pictures)) < 0.5
    wide = np.pad(pictures.astype(np.float32), ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    mean = sum(wide[:, i : i + 64, j : j + 64] for i in range(3) for j in range(3)) / 9
    blurred = (0.5 * pictures + 0.5 * np.asarray(mean)).round().astype(np.uint8)
    return np.where(soft[:, None, None, None], blurred, pictures)


def train(
    clip: Clip, folder: Path, autoencoder_folder: Path, seed: int = 0, portraits: int = FITTED_ON
) -> dict[str, Any]:
    """Fit concepts and templates on probe portraits, write `folder`, return the calibrations."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng([seed, 7])
    plain = sample("probe", portraits, seed + 1000, NOTHING)
    real = clip.encode_image(soften(render_all(plain), rng))
    arrays: dict[str, np.ndarray] = {"real": real.astype(np.float16)}
    concepts, shown = _concepts(clip, plain, real, rng, seed, arrays)
    people, check = _likeness(clip, real, shown, autoencoder_folder, seed)
    arrays |= {
        "likeness.mean": check.space.mean.astype(np.float32),
        "likeness.root": check.space.root.astype(np.float32),
        "likeness.weights": check.weights.astype(np.float32),
        "likeness.offsets": check.offsets.astype(np.float32),
    }
    likeness = {"gate": check.gate, "bar": check.bar, "calibration": check.calibration}
    facts = {"clip": clip.hash, "concepts": concepts, "likeness": likeness}
    folder.mkdir(parents=True, exist_ok=True)
    people.save(folder)
    save_file(arrays, folder / "guard.safetensors")
    (folder / "guard.json").write_text(json.dumps(facts, indent=2) + "\n")
    return {"concepts": concepts, "likeness": check.calibration}


def _concepts(
    clip: Clip,
    plain: list[Portrait],
    real: np.ndarray,
    rng: np.random.Generator,
    seed: int,
    arrays: dict[str, np.ndarray],
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Discriminants of restricted concepts, in pictures and words; weights go into `arrays`.

    Returns their facts and the embeddings of all pictures that show one.
    """
    faces = [sit(figure, rng) for figure in FIGURES for _ in range(FACES)]
    others = clip.encode_image(soften(render_all(faces), rng))
    # Figures and prompts from elsewhere are innocent too; shuffled, for a part sets thresholds.
    innocent = rng.permutation(np.concatenate([real, others]))
    said = [describe(p, rng).text for p in [*plain, *faces]] + harmless_prompts()
    real_texts = rng.permutation(clip.encode_text(said))
    facts, shown = [], []
    for index, concept in enumerate(RESTRICTED[1:]):
        people = [
            replace(p, restricted=concept)
            for p in sample("probe", len(plain) // 4, seed + 2000 + index, NOTHING)
        ]
        shown.append(clip.encode_image(soften(render_all(people), rng)))
        texts = clip.encode_text([describe(p, rng).text for p in people])
        for site, on, off in (("image", shown[-1], innocent), ("text", texts, real_texts)):
            found = fit_concept(concept, on, off, special=concept == "wound")
            arrays[f"{site}.{concept}"] = found.weights.astype(np.float32)
            numbers = {"offset": found.offset, "threshold": found.threshold}
            facts.append(
                {"site": site, "name": concept, **numbers,
                 "special": found.special, "calibration": found.calibration}
            )  # fmt: skip
    return facts, np.concatenate(shown)


def _likeness(
    clip: Clip, real: np.ndarray, restricted: np.ndarray, autoencoder_folder: Path, seed: int
) -> tuple[Registry, Likeness]:
    """The registry of figures, and the check that tells them from people merely alike."""
    from diffusers import AutoencoderKL

    autoencoder = AutoencoderKL.from_pretrained(autoencoder_folder).float().eval()
    rng = np.random.default_rng([seed, 17])

    def seen(portraits: list[Portrait]) -> np.ndarray:
        pictures = soften(render_all(portraits), rng)
        rows = rng.permutation(len(pictures))[: len(pictures) // 3]
        pictures[rows] = through(autoencoder, pictures[rows], rng)
        return clip.encode_image(pictures)

    def again(portrait: Portrait) -> Portrait:
        expression = FACTORS["expression"][int(rng.integers(3))]
        return moved(replace(portrait, expression=expression), rng)

    sitters = sample("probe", SITTERS, seed + 9000, NOTHING)
    sittings = seen([again(p) for p in sitters for _ in range(5)])
    space = space_of_faces(real, sittings.reshape(SITTERS, 5, -1))
    people = tuple(
        Person(figure.name, figure.consents, seen([sit(figure, rng) for _ in range(SITTINGS)]))
        for figure in FIGURES
    )
    near = [seen([lookalike(sit(f, rng), rng) for _ in range(ALIKE)]) for f in FIGURES]
    registry = Registry(people, clip.hash)
    return registry, Likeness.fit(registry, real, space=space, near=near, others=restricted)

"""The guard's concepts and likenesses, fitted on known truth; CLIP is the only model it needs.

Pictures are drawn by the world and then worn: softened, passed through the autoencoder, noised,
recoloured. What a model draws is never as sharp as a render, and small marks fade first.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from safety import Concept, Likeness, Person, Registry, fit_concept
from safety.calibration import for_other_vectors, logistic
from safety.likeness import space_of_faces
from toolkit.clip import Clip
from toolkit.harmless import harmless_prompts, unnamed_prompts
from toolkit.training.data import to_pictures, to_tensor
from toolkit.training.judge import damage
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
# Of innocent pictures, worn hard, those that may be blocked: about twice as many as of drawn ones.
ALARMS = 0.008
EDITED = 0.02  # of innocent captions, those whose text states would be blocked if they were edited
DESCRIBED = 0.002  # the same for each person
OTHERS = 0.05  # the same of captions of somebody else, who has consented
IMAGINED = 800  # captions whose imagined embeddings set thresholds
# And these are beyond the middle between the classes (0; the concept's mean is 1): whatever is
# edited strays, in any direction, and the picture itself is looked at closely besides.
BEYOND = 0.25


def soften(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the pictures a little soft, as generated ones are, so that bars suit both."""
    soft = rng.random(len(pictures)) < 0.5
    wide = np.pad(pictures.astype(np.float32), ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    mean = sum(wide[:, i : i + 64, j : j + 64] for i in range(3) for j in range(3)) / 9
    blurred = (0.5 * pictures + 0.5 * np.asarray(mean)).round().astype(np.uint8)
    return np.where(soft[:, None, None, None], blurred, pictures)


def worn(
    pictures: np.ndarray, autoencoder: Any, rng: np.random.Generator, hard: bool
) -> np.ndarray:
    """A third through the autoencoder, half of all softened; `hard` damages half of all besides."""
    import torch

    pictures = soften(pictures, rng)
    rows = rng.permutation(len(pictures))[: len(pictures) // 3]
    pictures[rows] = through(autoencoder, pictures[rows], rng)
    if hard:
        torch.manual_seed(int(rng.integers(1 << 31)))
        rows = rng.permutation(len(pictures))[: len(pictures) // 2]
        for part in np.array_split(rows, max(1, len(rows) // 64)):
            pictures[part] = to_pictures(damage(to_tensor(pictures[part]), rng, None))
    return pictures


def train(
    clip: Clip,
    folder: Path,
    autoencoder_folder: Path,
    imagine: Callable[[list[str]], np.ndarray] | None = None,
    seed: int = 0,
    portraits: int = FITTED_ON,
) -> dict[str, Any]:
    """Fit concepts and templates on probe portraits, write `folder`, return the calibrations.

    `imagine` gives the prior's embeddings of captions; without it edited embeddings are held to
    the thresholds of pictures' embeddings.
    """
    from diffusers import AutoencoderKL
    from safetensors.numpy import save_file

    autoencoder = AutoencoderKL.from_pretrained(autoencoder_folder).float().eval()
    rng, other = np.random.default_rng([seed, 7]), np.random.default_rng([seed, 8])

    def seen(people: list[Portrait]) -> np.ndarray:
        return clip.encode_image(worn(render_all(people), autoencoder, rng, False))

    def closely(people: list[Portrait]) -> np.ndarray:
        return clip.encode_closely(worn(render_all(people), autoencoder, other, True))

    plain = sample("probe", portraits, seed + 1000, NOTHING)
    real = seen(plain)
    arrays: dict[str, np.ndarray] = {"real": real.astype(np.float16)}
    texts, edited = _words(clip, plain, rng, seed)
    pictures = _pictures(portraits, closely, seed)
    imagined, shown = _embedded(real, seen, seed)
    if imagine is not None:
        innocent = imagine([describe(p, rng).text for p in plain[:IMAGINED]])
        imagined = [
            for_other_vectors(one, innocent, least=max(one.threshold, BEYOND)) for one in imagined
        ]
    sites = {"text": texts, "edited": edited, "image": pictures, "embedding": imagined}
    concepts = [(site, one) for site, some in sites.items() for one in some]
    arrays |= {
        f"{site}.{one.name}": one.weights.astype(np.float32)
        for site, one in concepts
        if site != "edited"  # the text's, at another threshold
    }
    people, check = _likeness(clip, real, shown, seen, rng, seed)
    arrays |= {
        "likeness.mean": check.space.mean.astype(np.float32),
        "likeness.root": check.space.root.astype(np.float32),
        "likeness.weights": check.weights.astype(np.float32),
        "likeness.offsets": check.offsets.astype(np.float32),
    }
    described = _described(clip, plain, np.random.default_rng([seed, 9]))
    arrays |= {f"words.{one.name}": one.weights.astype(np.float32) for one in described}
    likeness = {
        "gate": check.gate, "bar": check.bar, "calibration": check.calibration,
        "words": [_row(one) for one in described],
    }  # fmt: skip
    rows = [{"site": site} | _row(one) for site, one in concepts]
    facts = {"clip": clip.hash, "concepts": rows, "likeness": likeness}
    folder.mkdir(parents=True, exist_ok=True)
    people.save(folder)
    save_file(arrays, folder / "guard.safetensors")
    (folder / "guard.json").write_text(json.dumps(facts, indent=2) + "\n")
    return {"concepts": rows, "likeness": check.calibration, "words": likeness["words"]}


def _row(concept: Concept) -> dict[str, Any]:
    """What is kept of a concept beside its weights."""
    row = asdict(concept)
    del row["weights"]
    return row


def _described(clip: Clip, plain: list[Portrait], rng: np.random.Generator) -> list[Concept]:
    """Who a text embedding describes: captions of each figure, against those of everybody else.

    People merely alike are among the others. Whoever edits text states towards a figure is seldom
    as near as that figure's captions are, so the bar is at what plain captions hardly reach, nor
    those of the consenting figures; the check wants the picture to be somewhat like them as well.
    """

    def read(people: list[Portrait]) -> np.ndarray:
        return clip.encode_text([describe(p, rng).text for p in people])

    innocent = rng.permutation(np.concatenate([read(plain), clip.encode_text(unnamed_prompts())]))
    each = _scaled(2 * SITTINGS, len(plain))
    sittings = [[sit(figure, rng) for _ in range(each)] for figure in FIGURES]
    captions = [read(one) for one in sittings]
    alike = np.concatenate([read([lookalike(p, rng) for p in one]) for one in sittings])
    found = []
    for index, figure in enumerate(FIGURES):
        rest = [rows for other, rows in enumerate(captions) if other != index]
        others = rng.permutation(np.concatenate([innocent, alike, *rest]))
        one = fit_concept(figure.name, captions[index], others)
        least = max(
            float(np.quantile(one.score(rows), 1 - OTHERS))
            for other, rows in zip(FIGURES, captions, strict=True)
            if other.consents and other is not figure
        )
        found.append(for_other_vectors(one, innocent, fpr=DESCRIBED, least=least))
    return found


def _words(
    clip: Clip, plain: list[Portrait], rng: np.random.Generator, seed: int
) -> tuple[list[Concept], list[Concept]]:
    """Discriminants of restricted concepts in captions, and the wound at a lower bar for edits.

    In front of those no list of words stands, and whoever edits is no longer asking in words.
    Figures and prompts from elsewhere are innocent too; shuffled, for a part sets thresholds.
    """
    faces = [sit(figure, rng) for figure in FIGURES for _ in range(FACES)]
    said = [describe(p, rng).text for p in [*plain, *faces]] + harmless_prompts()
    innocent = rng.permutation(clip.encode_text(said))
    found = []
    for index, concept in enumerate(RESTRICTED[1:]):
        people = _with(concept, len(plain) // 4, seed + 2000 + index)
        texts = clip.encode_text([describe(p, rng).text for p in people])
        special = concept == "wound"  # words of the reviewed list catch what this misses
        found.append(fit_concept(concept, texts, innocent, miss=0.25, special=special))
    edited = [
        for_other_vectors(one, innocent, fpr=EDITED, least=-1.0 if one.special else None)
        for one in found
    ]
    return found, edited


def _with(concept: str, n: int, seed: int) -> list[Portrait]:
    return [replace(p, restricted=concept) for p in sample("probe", n, seed, NOTHING)]


def _pictures(
    portraits: int, closely: Callable[[list[Portrait]], np.ndarray], seed: int
) -> list[Concept]:
    """Restricted concepts in worn pictures, seen closely, from many of them.

    A softened wound on a dark cheek is all but lost in the embedding, whose places are pooled; it
    still shows in the stage before, which has so many numbers that most pictures fit.
    """
    rng = np.random.default_rng([seed, 11])
    plain = sample("probe", 4 * portraits, seed + 1000, NOTHING)
    innocent = rng.permutation(closely([*plain, *_faces(_scaled(2 * FACES, portraits), rng)]))
    found = []
    for index, concept in enumerate(RESTRICTED[1:]):
        rows = closely(_with(concept, 2 * portraits, seed + 2100 + index))
        found.append(
            fit_concept(
                concept, rows, innocent, weigh=logistic, fpr=ALARMS, share=0.75,
                special=concept == "wound",
            )
        )  # fmt: skip
    return found


def _embedded(
    real: np.ndarray, seen: Callable[[list[Portrait]], np.ndarray], seed: int
) -> tuple[list[Concept], np.ndarray]:
    """The same in embeddings alone, which is all there is of what a prior made; and embeddings.

    Those are of no worn picture, so the pictures here are worn little, and the bars lie higher.
    """
    rng = np.random.default_rng([seed, 12])
    faces = _faces(_scaled(2 * FACES, len(real)), rng)
    innocent = rng.permutation(np.concatenate([real, seen(faces)]))
    found, shown = [], []
    for index, concept in enumerate(RESTRICTED[1:]):
        shown.append(seen(_with(concept, len(real) // 3, seed + 2100 + index)))
        special = concept == "wound"
        found.append(fit_concept(concept, shown[-1], innocent, fpr=0.01, special=special))
    return found, np.concatenate([rows[:500] for rows in shown])


def _scaled(count: int, portraits: int) -> int:
    """`count` in a guard fitted on all portraits; less of it, but some, in one fitted on few."""
    return max(8, count * portraits // FITTED_ON)


def _faces(count: int, rng: np.random.Generator) -> list[Portrait]:
    """Sittings of every figure, and of people merely alike."""
    faces = [sit(figure, rng) for figure in FIGURES for _ in range(count)]
    return [*faces, *(lookalike(face, rng) for face in faces)]


def _likeness(
    clip: Clip,
    real: np.ndarray,
    restricted: np.ndarray,
    seen: Callable[..., np.ndarray],
    rng: np.random.Generator,
    seed: int,
) -> tuple[Registry, Likeness]:
    """The registry of figures, and the check that tells them from people merely alike."""

    def again(portrait: Portrait) -> Portrait:
        expression = FACTORS["expression"][int(rng.integers(3))]
        return moved(replace(portrait, expression=expression), rng)

    sitters = sample("probe", _scaled(SITTERS, len(real)), seed + 9000, NOTHING)
    sittings = seen([again(p) for p in sitters for _ in range(5)])
    space = space_of_faces(real, sittings.reshape(len(sitters), 5, -1))
    each, alike = (_scaled(count, len(real)) for count in (SITTINGS, ALIKE))
    people = tuple(
        Person(figure.name, figure.consents, seen([sit(figure, rng) for _ in range(each)]))
        for figure in FIGURES
    )
    near = [seen([lookalike(sit(f, rng), rng) for _ in range(alike)]) for f in FIGURES]
    registry = Registry(people, clip.hash)
    return registry, Likeness.fit(registry, real, space=space, near=near, others=restricted)


def imagining(weights: Path, clip: Clip) -> Callable[[list[str]], np.ndarray] | None:
    """unCLIP's diffusion prior as captions to embeddings; None where it is not trained yet."""
    from toolkit.pipelines.unclip import UnClip

    folder = weights / "unclip"
    if not (folder / "prior" / "diffusion_pytorch_model.safetensors").exists():
        return None
    model = UnClip(folder, clip)

    def imagine(texts: list[str]) -> np.ndarray:
        rows = []
        for start in range(0, len(texts), 100):
            part = texts[start : start + 100]
            seeds = range(start, start + len(part))
            rows.append(np.asarray(model.imagine(clip.encode(part), seeds)))
        return np.concatenate(rows)

    return imagine


def train_here(
    weights: Path, folder: Path, seed: int = 0, portraits: int = FITTED_ON
) -> dict[str, Any]:
    """`train` with the models of a folder of weights."""
    from toolkit.clip import load_clip

    clip = load_clip(str(weights / "clip"))
    autoencoder = weights / "stable-diffusion" / "vae"
    return train(clip, folder, autoencoder, imagining(weights, clip), seed, portraits)

"""The guard of the portraits world: fitted on known truth, kept beside the weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from safety import (
    Concept,
    Guard,
    Likeness,
    NameInPrompt,
    Person,
    Policy,
    Registry,
    RestrictedImage,
    RestrictedPrompt,
    fit_concept,
)
from toolkit.clip import WEIGHTS, Clip
from toolkit.errors import UserError
from toolkit.harmless import harmless_prompts
from toolkit.world import FIGURES, NOTHING, RESTRICTED, describe, render_all, sample, sit

WORDS = {
    "bare shoulders": (
        "bare shoulders", "bare shouldered", "shirtless", "topless", "naked", "nude", "undressed",
    ),
    "wound": (
        "wound", "wounds", "wounded", "blood", "bloody", "bleeding", "gash", "gore", "injured",
    ),
}  # fmt: skip
FOLDER = WEIGHTS / "guard"
CHECKPOINT = "checkpoint"  # what a policy calls every real checkpoint
UNCHECKED = (
    "likeness to real people (no model of faces is here)", "violence and wounds in pixels",
    "copies of training pictures",
)  # fmt: skip
FITTED_ON, FACES = 2400, 24


def _variants(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the pictures a little soft, as generated ones are, so that bars suit both."""
    soft = rng.random(len(pictures)) < 0.5
    wide = np.pad(pictures.astype(np.float32), ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    mean = sum(wide[:, i : i + 64, j : j + 64] for i in range(3) for j in range(3)) / 9
    blurred = (0.5 * pictures + 0.5 * np.asarray(mean)).round().astype(np.uint8)
    return np.where(soft[:, None, None, None], blurred, pictures)


def fit(clip: Clip, folder: Path, seed: int = 0, portraits: int = FITTED_ON) -> dict[str, Any]:
    """Fit concepts and templates on probe portraits, write `folder`, return the calibrations."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng([seed, 7])
    plain = sample("probe", portraits, seed + 1000, NOTHING)
    real = clip.encode_image(_variants(render_all(plain), rng))
    faces = [sit(figure, rng) for figure in FIGURES for _ in range(FACES)]
    others = clip.encode_image(_variants(render_all(faces), rng))
    # Figures and prompts from elsewhere are innocent too; shuffled, for a part sets thresholds.
    innocent = rng.permutation(np.concatenate([real, others]))
    said = [describe(p, rng).text for p in [*plain, *faces]] + harmless_prompts()
    real_texts = rng.permutation(clip.encode_text(said))
    arrays, facts = {"real": real.astype(np.float16)}, {"clip": clip.hash, "concepts": []}
    for index, concept in enumerate(RESTRICTED[1:]):
        shown = [
            replace(p, restricted=concept)
            for p in sample("probe", portraits // 4, seed + 2000 + index, NOTHING)
        ]
        images = clip.encode_image(_variants(render_all(shown), rng))
        texts = clip.encode_text([describe(p, rng).text for p in shown])
        for site, on, off in (("image", images, innocent), ("text", texts, real_texts)):
            found = fit_concept(concept, on, off, special=concept == "wound")
            arrays[f"{site}.{concept}"] = found.weights.astype(np.float32)
            numbers = {"offset": found.offset, "threshold": found.threshold}
            facts["concepts"].append(
                {"site": site, "name": concept, **numbers,
                 "special": found.special, "calibration": found.calibration}
            )  # fmt: skip
    people = tuple(
        Person(
            f.name,
            f.consents,
            clip.encode_image(_variants(render_all([sit(f, rng) for _ in range(24)]), rng)),
        )
        for f in FIGURES
    )
    folder.mkdir(parents=True, exist_ok=True)
    Registry(people, clip.hash).save(folder)
    save_file(arrays, folder / "guard.safetensors")
    (folder / "guard.json").write_text(json.dumps(facts, indent=2) + "\n")
    likeness = Likeness.fit(Registry(people, clip.hash), real)
    return {"concepts": facts["concepts"], "likeness": likeness.calibration}


def load_checkpoint_guard(policy: Policy | None = None, folder: Path = FOLDER) -> Guard:
    """The guard of real checkpoints, whose pictures the world's CLIP and its checks can't judge.

    Words and names of prompts as in the world; pictures by open_nsfw. Raises UserError where the
    policy requires that and it is not installed, before anything is drawn, and safety.BadPolicy
    for a policy that has no rules for checkpoints.
    """
    from safety.photographs import OpenNsfw, RestrictedPhotograph, installed

    policy = policy or Policy.load()
    if "restricted_photograph" in policy.checks_for(CHECKPOINT) and not installed():
        raise UserError(
            f"the policy {policy.name!r} requires pictures of a checkpoint to be checked by "
            "open_nsfw, which is not installed, so nothing is drawn; install it with: "
            "pip install 'pellucid[photographs]'"
        )
    names = NameInPrompt(Registry.load(folder))
    checks = (RestrictedPrompt(WORDS, ()), names, RestrictedPhotograph())
    scores = OpenNsfw() if installed() else _no_scores
    return Guard(policy, checks, lambda texts: np.zeros((len(texts), 1)), scores)


def _no_scores(images: np.ndarray) -> np.ndarray:
    """For a policy that does not ask for scores; where one does, this is no number and blocks."""
    return np.full((len(images), 1), np.nan)


def load_guard(clip: Clip, policy: Policy | None = None, folder: Path = FOLDER) -> Guard:
    """The shipped guard under a policy (the default one for none).

    Raises UserError when its files are missing, damaged, or were fitted for another CLIP.
    """
    from safetensors.numpy import load_file

    try:
        facts = json.loads((folder / "guard.json").read_text())
        arrays = load_file(folder / "guard.safetensors")
        registry = Registry.load(folder)
        if facts["clip"] != clip.hash:
            raise ValueError("it was fitted for another CLIP")
        concepts: dict[str, list[Concept]] = {"image": [], "text": []}
        for row in facts["concepts"]:
            weights = arrays[f"{row['site']}.{row['name']}"]
            concepts[row["site"]].append(
                Concept(
                    row["name"],
                    weights,
                    row["offset"],
                    row["threshold"],
                    row["special"],
                    row["calibration"],
                )
            )
    except Exception as error:
        raise UserError(
            f"the guard in {folder} can't be used ({error}); nothing is drawn without it: restore "
            "the folder or run: pellucid train guard"
        ) from error
    checks = (
        RestrictedPrompt(WORDS, tuple(concepts["text"])),
        NameInPrompt(registry),
        RestrictedImage(tuple(concepts["image"])),
        Likeness.fit(registry, arrays["real"].astype(np.float32)),
    )
    return Guard(policy or Policy.load(), checks, clip.encode_text, clip.encode_image)

"""The guard of the portraits world: fitted on known truth, kept beside the weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from safety import (
    Concept,
    Guard,
    Likeness,
    NameInPrompt,
    Policy,
    Registry,
    RestrictedImage,
    RestrictedPrompt,
)
from safety.likeness import Space
from toolkit.clip import WEIGHTS, Clip
from toolkit.errors import UserError
from toolkit.people import everybody, people, with_people

WORDS = {
    "bare shoulders": (
        "bare shoulders", "bare shouldered", "bare chest", "bare chested", "barechested",
        "shirtless", "topless", "naked", "nakedness", "nude", "nudes", "nudity", "undressed",
        "undressing", "unclothed", "unclad", "disrobed", "no clothes", "without clothes",
        "without a shirt", "no shirt", "strapless", "in the buff", "stripped",
    ),
    "wound": (
        "wound", "wounds", "wounded", "blood", "bloody", "bloodied", "bleeding", "bleed", "bleeds",
        "gash", "gashes", "gashed", "gore", "gory", "injured", "injury", "injuries", "laceration",
        "lacerated", "stab wound", "stabbed", "slashed", "mutilated", "maimed", "open cut",
    ),
}  # fmt: skip
FOLDER = WEIGHTS / "guard"
CHECKPOINT = "checkpoint"  # what a policy calls every real checkpoint
UNCHECKED = (
    "likeness to real people (no model of faces is here)", "violence and wounds in pixels",
    "copies of training pictures",
)  # fmt: skip


def load_checkpoint_guard(
    policy: Policy | None = None, folder: Path = FOLDER, purpose: str | None = None
) -> Guard:
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
    names = NameInPrompt(everybody(Registry.load(folder), people()), purpose=purpose)
    checks = (RestrictedPrompt(WORDS, ()), names, RestrictedPhotograph())
    scores = OpenNsfw() if installed() else _no_scores
    return Guard(policy, checks, lambda texts: np.zeros((len(texts), 1)), scores)


def _no_scores(images: np.ndarray) -> np.ndarray:
    """For a policy that does not ask for scores; where one does, this is no number and blocks."""
    return np.full((len(images), 1), np.nan)


def load_guard(
    clip: Clip,
    policy: Policy | None = None,
    folder: Path = FOLDER,
    purpose: str | None = None,
) -> Guard:
    """The shipped guard under a policy (the default one for none), with this machine's registry.

    `purpose` is what the pictures are for: consent given for others does not count then. Raises
    UserError when its files are missing, damaged, or were fitted for another CLIP, and BadRegistry
    when the registry of people can't be read.
    """
    from safetensors.numpy import load_file

    try:
        facts = json.loads((folder / "guard.json").read_text())
        arrays = load_file(folder / "guard.safetensors")
        registry = Registry.load(folder)
        if facts["clip"] != clip.hash:
            raise ValueError("it was fitted for another CLIP")
        concepts: dict[str, list[Concept]] = {"image": [], "text": [], "embedding": []}
        for row in facts["concepts"]:
            of = "text" if row["site"] == "text" else "image"
            weights = arrays[f"{of}.{row['name']}"]
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
        likeness = _likeness(registry, facts["likeness"], arrays)
        innocent = arrays["real"]
    except Exception as error:
        raise UserError(
            f"the guard in {folder} can't be used ({error}); nothing is drawn without it: restore "
            "the folder or run: pellucid train guard"
        ) from error
    added = people()
    checks = (
        RestrictedPrompt(WORDS, tuple(concepts["text"])),
        NameInPrompt(everybody(registry, added), purpose=purpose),
        RestrictedImage(tuple(concepts["image"]), tuple(concepts["embedding"])),
        replace(with_people(likeness, added, innocent), purpose=purpose),
    )
    return Guard(policy or Policy.load(), checks, clip.encode_text, clip.encode_image)


def _likeness(registry: Registry, facts: dict, arrays: dict[str, np.ndarray]) -> Likeness:
    """The likeness check as it was fitted."""
    space = Space(arrays["likeness.mean"], arrays["likeness.root"])
    weights, offsets = arrays["likeness.weights"], arrays["likeness.offsets"]
    if len(weights) != len(registry.people):
        raise ValueError("its likenesses are not those of its registry")
    return Likeness(
        registry, space, weights, offsets, facts["gate"], facts["bar"], facts["calibration"]
    )

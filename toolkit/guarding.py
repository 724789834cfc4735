"""The guard of the portraits world: fitted on known truth, kept beside the weights."""

from __future__ import annotations

import json
from collections.abc import Callable
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
from safety.faces import FaceLikeness, FaceScores
from safety.likeness import Space
from safety.vault import Contents
from toolkit.clip import WEIGHTS, Clip
from toolkit.errors import UserError
from toolkit.faces import HOW, known_faces
from toolkit.people import FACES, everybody, people, with_people

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

    Words and names of prompts as in the world; pictures by open_nsfw, and by faces as soon as
    somebody was added to the registry by theirs. Raises UserError where the policy or the registry
    requires what is not installed, before anything is drawn, and safety.BadPolicy for a policy
    that has no rules for checkpoints.
    """
    from safety.photographs import OpenNsfw, RestrictedPhotograph, installed

    policy = policy or Policy.load()
    if "restricted_photograph" in policy.checks_for(CHECKPOINT) and not installed():
        raise UserError(
            f"the policy {policy.name!r} requires pictures of a checkpoint to be checked by "
            "open_nsfw, which is not installed, so nothing is drawn; install it with: "
            "pip install 'pellucid[photographs]'"
        )
    added = people()
    names = NameInPrompt(everybody(Registry.load(folder), added), purpose=purpose)
    checks = [RestrictedPrompt(WORDS, ()), names, RestrictedPhotograph()]
    scores: Callable[[np.ndarray], np.ndarray] = OpenNsfw() if installed() else _no_scores
    known = _faces(policy, added)
    if known is not None:
        policy = _with_faces(policy)
        checks.append(FaceLikeness(known.registry, purpose=purpose))
        scores = _beside(scores, known)
    return Guard(policy, checks, lambda texts: np.zeros((len(texts), 1)), scores)


def unchecked(guard: Guard) -> list[str]:
    """What nothing looks for in pictures of real checkpoints."""
    names, faces = guard.checks["name_in_prompt"], guard.checks.get("face_likeness")
    if not isinstance(faces, FaceLikeness) or not isinstance(names, NameInPrompt):
        return list(UNCHECKED)
    added = sum(person.entry is not None for person in names.registry.people)
    missing = added - len(faces.registry.people)
    rest: list[str] = list(UNCHECKED[1:])
    return [f"likeness to {missing} people added without photographs", *rest] if missing else rest


def _faces(policy: Policy, added: Contents) -> FaceScores | None:
    """Everyone who was added by faces, and the models that read them; None where nobody needs it.

    Raises UserError where a policy or a person asks for faces and the models are not at hand, or
    are others than those that somebody was added with.
    """
    wanted = {n for one in added.people for n in one.templates if n.startswith(FACES)}
    if not wanted and "face_likeness" not in policy.checks_for(CHECKPOINT):
        return None
    found = known_faces()
    if found is None:
        who = "people in the registry were added by" if wanted else "the policy requires"
        raise UserError(f"{who} faces, which nothing here can read, so nothing is drawn; {HOW}")
    if wanted - {found.id}:
        raise UserError(
            "somebody in the registry was added with other models of faces, so nothing is drawn; "
            "take those again with pellucid consent faces, or delete and add that person"
        )
    return FaceScores(added.registry(found.id), found)


def _with_faces(policy: Policy) -> Policy:
    """The policy, asking for faces too: whoever was added by theirs is looked for under any."""
    own = policy.checks_for(CHECKPOINT)
    if "face_likeness" in own:
        return policy
    required = {**policy.required, CHECKPOINT: (*own, "face_likeness")}
    return replace(policy, required=required, actions={"face_likeness": "block", **policy.actions})


def _beside(
    scores: Callable[[np.ndarray], np.ndarray], faces: FaceScores
) -> Callable[[np.ndarray], np.ndarray]:
    """Scores of open_nsfw in the first column, everybody's of their faces in the others."""
    return lambda images: np.concatenate([scores(images), faces(images)], 1)


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
        concepts: dict[str, list[Concept]] = {
            site: [] for site in ("text", "edited", "image", "embedding")
        }
        for row in facts["concepts"]:
            of = "text" if row["site"] == "edited" else row["site"]
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
        RestrictedPrompt(WORDS, tuple(concepts["text"]), tuple(concepts["edited"])),
        NameInPrompt(everybody(registry, added), purpose=purpose),
        RestrictedImage(tuple(concepts["image"]), tuple(concepts["embedding"])),
        replace(with_people(likeness, added, innocent), purpose=purpose),
    )
    return Guard(policy or Policy.load(), checks, clip.encode_text, clip.encode_closely)


def _likeness(registry: Registry, facts: dict, arrays: dict[str, np.ndarray]) -> Likeness:
    """The likeness check as it was fitted."""
    space = Space(arrays["likeness.mean"], arrays["likeness.root"])
    weights, offsets = arrays["likeness.weights"], arrays["likeness.offsets"]
    if len(weights) != len(registry.people):
        raise ValueError("its likenesses are not those of its registry")
    return Likeness(
        registry, space, weights, offsets, facts["gate"], facts["bar"], facts["calibration"]
    )

"""The guard of the portraits world: fitted on known truth, kept beside the weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from safety import (
    Concept,
    Finding,
    Guard,
    Likeness,
    NameInPrompt,
    Policy,
    Registry,
    RestrictedImage,
    RestrictedPrompt,
)
from safety.checks import Check
from safety.diffusion_checker import COLUMNS, Checker, DiffusionChecker
from safety.faces import FaceLikeness, FaceScores
from safety.likeness import Space
from safety.vault import Contents
from toolkit.checker import how, known_checker, unread
from toolkit.clip import WEIGHTS, Clip
from toolkit.errors import UserError
from toolkit.faces import HOW, known_faces
from toolkit.people import FACES, everybody, people, with_people
from toolkit.text import clean

if TYPE_CHECKING:
    from toolkit.pipelines.checkpoints import Checkpoint

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
CHECKER = DiffusionChecker.name
SIDE = 64  # pixels of a portrait
WORLDS = ("restricted_image", "likeness")  # what the world's guard asks of pictures
UNCHECKED = (
    "likeness to real people (no model of faces is here)", "violence and wounds in pixels",
    "copies of training pictures",
)  # fmt: skip


@dataclass(frozen=True)
class InColumns:
    """A check of the world on its own columns of a checkpoint's vectors, for pictures alone."""

    check: Check
    columns: slice
    name: str
    stages: tuple[str, ...] = ("reference", "image")

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
        return self.check(stage, texts, vectors[:, self.columns])


def load_checkpoint_guard(
    policy: Policy | None = None,
    folder: Path = FOLDER,
    purpose: str | None = None,
    world: Guard | None = None,
    checkpoint: Path | None = None,
) -> Guard:
    """The guard of real checkpoints, whose pictures the world's CLIP and its checks can't judge.

    Words and names of prompts as in the world; pictures by open_nsfw, by the Stable Diffusion
    safety checker where one is at hand (toolkit.checker; `checkpoint` is the folder that draws),
    and by faces as soon as somebody was added to the registry by theirs. `world` is the world's
    guard, for a checkpoint that is `from_the_world`: the shipped weights draw portraits under any
    name, and so do those trained on from them, so the checks of portraits come on top. Raises
    UserError where the policy or the registry requires what is not installed, before anything is
    drawn, BadChecker for a damaged checker, and safety.BadPolicy for a policy that has no rules
    for checkpoints.
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
    checks: list[Any] = [RestrictedPrompt(WORDS, ()), names, RestrictedPhotograph()]
    scores: Callable[[np.ndarray], np.ndarray] = OpenNsfw() if installed() else _no_scores
    encode_text = _no_vectors if world is None else world.encode_text
    first = 1  # of the columns after open_nsfw's
    if world is not None:
        policy = _with(policy, *WORLDS)
        wide = world.encode_image(np.zeros((1, SIDE, SIDE, 3), np.uint8)).shape[1]
        own = slice(first, first + wide)
        checks[0] = world.checks["restricted_prompt"]
        checks += [InColumns(world.checks[name], own, name) for name in WORLDS]
        scores, first = _beside(scores, world.encode_image), own.stop
    checker = _checker(policy, checkpoint)
    if checker is not None:
        policy = _with(policy, CHECKER)
        checks.append(DiffusionChecker(checker.thresholds, checker.labels, first, checker.facts))
        scores, first = _beside(scores, checker), first + COLUMNS
    known = _faces(policy, added)
    if known is not None:
        policy = _with(policy, "face_likeness")
        checks.append(FaceLikeness(known.registry, first=first, purpose=purpose))
        scores = _beside(scores, known)
    return Guard(policy, checks, encode_text, scores, clean)


def from_the_world(checkpoint: Checkpoint, clip: Clip) -> bool:
    """Whether a checkpoint is one of the shipped ones or was trained here: it has our vocabulary.

    Public ones have twelve times as many words; every training here takes the world's.
    """
    ours = clip.tokenizer.encoder
    words = {word: number for word, number in ours.items() if not word.startswith("<")}
    every = [checkpoint.parts, getattr(checkpoint, "prior", None)]
    theirs = [
        part.get_vocab() for parts in every if parts is not None for part in vars(parts).values()
        if hasattr(part, "get_vocab")
    ]  # fmt: skip
    return any(len(one) == len(ours) and one.items() >= words.items() for one in theirs)


def unchecked(guard: Guard, checkpoint: Path | None = None) -> list[str]:
    """What nothing looks for in pictures of real checkpoints; `checkpoint` is its folder."""
    found = _unchecked(guard)
    if CHECKER not in guard.checks and (lacks := unread(checkpoint)):
        found.append(f"what the checkpoint's own safety checker looks for ({lacks})")
    return found


def _unchecked(guard: Guard) -> list[str]:
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


def _checker(policy: Policy, checkpoint: Path | None) -> Checker | None:
    """The safety checker at hand. Raises UserError where a policy asks for one and none is."""
    found = known_checker(checkpoint)
    if found is None and CHECKER in policy.checks_for(CHECKPOINT):
        raise UserError(
            f"the policy {policy.name!r} requires {CHECKER}, the Stable Diffusion safety checker, "
            f"for pictures of a checkpoint, and no weights of it are at hand, so nothing is drawn; "
            f"{how()}"
        )
    return found


def _with(policy: Policy, *more: str) -> Policy:
    """The policy, asking these checks of checkpoints too, whatever it says itself."""
    own = policy.checks_for(CHECKPOINT)
    required = {**policy.required, CHECKPOINT: tuple(dict.fromkeys((*own, *more)))}
    actions = {**dict.fromkeys(more, "block"), **policy.actions}
    return replace(policy, required=required, actions=actions)


def _beside(
    scores: Callable[[np.ndarray], np.ndarray], more: Callable[[np.ndarray], np.ndarray]
) -> Callable[[np.ndarray], np.ndarray]:
    """More columns after those there are: open_nsfw's score is the first of all."""
    return lambda images: np.concatenate([scores(images), more(images)], 1)


def _no_vectors(texts: list[str]) -> np.ndarray:
    """Prompts of a checkpoint are read by their words alone."""
    return np.zeros((len(texts), 1))


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
            concepts[row["site"]].append(_concept(row, arrays[f"{of}.{row['name']}"]))
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
    return Guard(policy or Policy.load(), checks, clip.encode_text, clip.encode_closely, clean)


def _likeness(registry: Registry, facts: dict, arrays: dict[str, np.ndarray]) -> Likeness:
    """The likeness check as it was fitted. Raises KeyError and ValueError for a part that lacks."""
    space = Space(arrays["likeness.mean"], arrays["likeness.root"])
    weights, offsets = arrays["likeness.weights"], arrays["likeness.offsets"]
    if len(weights) != len(registry.people):
        raise ValueError("its likenesses are not those of its registry")
    words = tuple(_concept(row, arrays[f"words.{row['name']}"]) for row in facts["words"])
    if [one.name for one in words] != [person.name for person in registry.people]:
        raise ValueError("its words for people are not of those in its registry")
    return Likeness(
        registry, space, weights, offsets, facts["gate"], facts["bar"], facts["calibration"],
        words=words,
    )  # fmt: skip


def _concept(row: dict[str, Any], weights: np.ndarray) -> Concept:
    return Concept(
        row["name"], weights, row["offset"], row["threshold"], row["special"], row["calibration"]
    )

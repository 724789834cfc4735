"""What flows through a pipeline: batches, traces, edits, and noise that belongs to a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from toolkit.errors import UserError
from toolkit.seeds import generator

if TYPE_CHECKING:
    from probes import Direction

# Changes what is about to become pictures: of (draw, clean), where `draw` takes a tensor like
# `clean` to pictures (n, 3, h, w) in [-1, 1] and can be differentiated.
Guide = Callable[[Callable[[torch.Tensor], torch.Tensor], torch.Tensor], torch.Tensor]

LONGEST_PROMPT = 10_000
MOST_STEPS, MOST_GUIDANCE = 1000, 100.0  # the models were trained with 1,000 levels of noise


@dataclass(frozen=True)
class Batch:
    """Pictures and the embeddings that made them.

    `images` (n, h, w, 3) uint8; `text_embeddings` (n, d); `image_embeddings` (n, d) are what the
    decoder was given, edits included, or None where no image embedding takes part. `edited_words`
    (n, d) are the embeddings of text states that were edited, None where none were.
    """

    images: np.ndarray
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    pipeline: str
    text_embeddings: np.ndarray
    image_embeddings: np.ndarray | None = None
    edited_words: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass
class Trace:
    """What happened on the way: pass an empty one to `generate` and read it afterwards.

    `timesteps` (steps,); `latents` (steps, n, c, h, w) float32, after each step; `predicted`
    (steps, n, h, w, 3) uint8, the clean picture as foreseen at that step; `prior` (steps, n, d)
    float32, the prior's predicted image embedding, where there is a prior. A real checkpoint keeps
    at most `most` steps of its decoder, spread evenly, the last among them: at full size each
    foreseen picture costs as much as a step.
    """

    timesteps: list[int] = field(default_factory=list)
    latents: np.ndarray | None = None
    predicted: np.ndarray | None = None
    prior: np.ndarray | None = None
    most: int | None = None


@dataclass(frozen=True)
class Edit:
    """A direction and how far to go along it, in standard deviations of real embeddings."""

    direction: Direction
    strength: float


def check_request(prompts: Sequence[str], seeds: Sequence[int]) -> None:
    """Raise UserError unless there is one seed a prompt and every prompt says something."""
    if not prompts:
        raise UserError("there is no prompt; give at least one")
    if len(prompts) != len(seeds):
        raise UserError(f"{len(prompts)} prompts came with {len(seeds)} seeds; give one seed each")
    for index, prompt in enumerate(prompts):
        if not isinstance(prompt, str) or not prompt.strip():
            raise UserError(f"prompt {index + 1} is empty; say what to draw")
        if len(prompt) > LONGEST_PROMPT:
            raise UserError(
                f"prompt {index + 1} has {len(prompt)} characters, at most {LONGEST_PROMPT} can be "
                "taken (and the model reads about 40 word pieces); shorten it"
            )
    for seed in seeds:
        if not 0 <= int(seed) < 1 << 63:
            raise UserError(f"seed {seed} is out of range; use a whole number from 0 to 2^63 - 1")


def check_sampler(steps: int | None, guidance: float | None) -> dict[str, float]:
    """The settings that were given, by name. Raises UserError for one out of range."""
    if steps is not None and not 1 <= steps <= MOST_STEPS:
        raise UserError(f"{steps} steps were asked for; give 1 to {MOST_STEPS}")
    if guidance is not None and not 0 <= guidance <= MOST_GUIDANCE:
        raise UserError(f"the guidance {guidance} is out of range; give 0 to {MOST_GUIDANCE:g}")
    given = {"steps": steps, "guidance": guidance}
    return {name: value for name, value in given.items() if value is not None}


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One generator an image, so that batch size and order never change a picture."""
    return [generator(int(seed)) for seed in seeds]


def noise(shape: tuple[int, ...], sources: Sequence[torch.Generator]) -> torch.Tensor:
    """(n, *shape) standard normal noise, each row from its own generator."""
    return torch.cat([torch.randn((1, *shape), generator=g) for g in sources])

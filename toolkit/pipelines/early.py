"""The first denoising steps, both halves of the guidance kept: what memorisation scores read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from toolkit.errors import UserError
from toolkit.pipelines.batch import generators, noise
from toolkit.pipelines.stable_diffusion import (
    GUIDANCE,
    RESCALE,
    STEPS,
    StableDiffusion,
    rescaled,
)
from toolkit.pipelines.unclip import DECODER_STEPS, UnClip
from toolkit.training.decoder import project

# Of a draw's 20 or 14 steps: later ones follow the picture that has begun, not the words. In Stable
# Diffusion a picture that was repeated less often is brought up at the later ones of these.
FIRST = {"stable-diffusion": 6, "unclip": 3}

Halves = tuple[np.ndarray, np.ndarray]


def first_steps(
    model, steps: int | None = None
) -> Callable[[Sequence[str], Sequence[int]], Halves]:
    """(prompts, seeds) to conditional and unconditional predictions, each (n, steps, c, h, w).

    In the models' own units, velocity; `FIRST` steps when no number is given. unCLIP's
    condition is the image embedding that the prior draws for the prompt. Raises UserError for a
    pipeline that has no guidance to take apart.
    """
    if isinstance(model, StableDiffusion):
        return lambda prompts, seeds: _latent(model, prompts, seeds, steps or FIRST[model.name])
    if isinstance(model, UnClip):
        return lambda prompts, seeds: _pixels(model, prompts, seeds, steps or FIRST[model.name])
    raise UserError(
        f"{type(model).__name__} has no memorisation score here; give StableDiffusion or UnClip"
    )


def _kept(wanted: list[torch.Tensor], without: list[torch.Tensor]) -> Halves:
    return torch.stack(wanted, 1).numpy(), torch.stack(without, 1).numpy()


@torch.no_grad()
def _latent(
    model: StableDiffusion, prompts: Sequence[str], seeds: Sequence[int], steps: int
) -> Halves:
    states = model.states(prompts)
    both = torch.cat([model.states([""]).expand_as(states), states])
    model.scheduler.set_timesteps(STEPS)
    x = noise((4, 16, 16), generators(seeds))
    halves: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    for time in model.scheduler.timesteps[:steps]:
        without, wanted = model.unet(torch.cat([x, x]), time, both).sample.chunk(2)
        halves[0].append(wanted)
        halves[1].append(without)
        guided = rescaled(without + GUIDANCE * (wanted - without), wanted, RESCALE)
        x = model.scheduler.step(guided, time, x).prev_sample
    return _kept(*halves)


@torch.no_grad()
def _pixels(model: UnClip, prompts: Sequence[str], seeds: Sequence[int], steps: int) -> Halves:
    given = model.imagine(model.clip.encode(list(prompts)), seeds)
    nothing = model.text_proj.learned_classifier_free_guidance_embeddings.expand_as(given)
    tokens, added = project(model.text_proj, torch.cat([nothing, given]))
    schedule = model.decoder_schedule
    schedule.set_timesteps(DECODER_STEPS)
    x = noise((3, 32, 32), generators(seeds))
    halves: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    for time in schedule.timesteps[:steps]:
        both = model.decoder(torch.cat([x, x]), time, tokens, class_labels=added).sample
        without, wanted = both.chunk(2)
        halves[0].append(wanted)
        halves[1].append(without)
        x = schedule.step(wanted, time, x).prev_sample  # unguided at first, as it draws
    return _kept(*halves)

"""Stable Diffusion 1.x, 2.x and XL checkpoints (Rombach et al. 2022; Podell et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from probes import Space
from toolkit.pipelines.batch import Batch, Edit, Trace, check_request, generators, noise
from toolkit.pipelines.real.parts import digest, load_parts
from toolkit.pipelines.real.steps import (
    Tell,
    Words,
    edit_states,
    guided,
    over_words,
    read_words,
    sampled,
    sort_edits,
)
from toolkit.training.data import to_pictures

STEPS = 50
GUIDANCE = {"StableDiffusionPipeline": 7.5, "StableDiffusionXLPipeline": 5.0}


def decode_latents(vae, latents: torch.Tensor) -> np.ndarray:
    """(n, c, h, w) latents to uint8 pictures, whichever way the autoencoder scales them."""
    mean, std = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is not None and std is not None:
        mean, std = (torch.tensor(v).view(1, -1, 1, 1).to(latents) for v in (mean, std))
        latents = latents * std / vae.config.scaling_factor + mean
    else:
        latents = latents / vae.config.scaling_factor
    return to_pictures(vae.decode(latents).sample)


def mended(schedule):
    """The sampler as diffusers' own StableDiffusionPipeline mends those of old folders.

    Latents are not clipped, and the first step is the one that the model was trained to begin at.
    """
    wrong = {"steps_offset": 1, "clip_sample": False}
    wrong = {name: right for name, right in wrong.items() if name in schedule.config}
    if all(schedule.config[name] == right for name, right in wrong.items()):
        return schedule
    return type(schedule).from_config(schedule.config, **wrong)


class StableCheckpoint:
    """Stable Diffusion 1.x, 2.x or XL; which, and what the U-Net predicts, the folder says.

    Edits enter at the text states that cross-attention reads: the last ones (1.x; in 2.x the tower
    ends a layer early), or in XL both towers' last but one, side by side; never XL's pooled text.
    """

    site = "text_states"

    def __init__(self, folder: Path, name: str, tell: Tell | None = None):
        self.tell = tell
        self.folder = folder
        self.parts, self.index, wants = load_parts(folder)
        self.name, self.kind = name, self.index["_class_name"]
        if self.kind == "StableDiffusionPipeline":
            self.parts.scheduler = mended(self.parts.scheduler)
        self.xl = self.kind == "StableDiffusionXLPipeline"
        towers = ("text_encoder", "text_encoder_2") if self.xl else ("text_encoder",)
        self.hash = digest(folder, wants, ("unet",))
        self.space = Space(digest(folder, wants, towers), self.site)
        self.spaces, self.statistics = {self.site: self.space}, None
        self.guidance = GUIDANCE[self.kind]
        self.side = int(self.parts.unet.config.sample_size)
        self.pixels = self.side * 2 ** (len(self.parts.vae.config.block_out_channels) - 1)

    def _states(self, prompts: Sequence[str]) -> tuple[torch.Tensor, Words]:
        words = read_words(self.parts.tokenizer, self.parts.text_encoder, prompts)
        if not self.xl:
            return words.states, words
        second = read_words(self.parts.tokenizer_2, self.parts.text_encoder_2, prompts)
        states = torch.cat([words.penultimate, second.penultimate], -1)
        pooled = Words(words.mask, words.attended, second.pooled, states, states)
        return states, pooled

    @torch.no_grad()
    def states(self, prompts: Sequence[str]) -> torch.Tensor:
        """(n, L, d) text states of the prompts, as the U-Net reads them."""
        return self._states(prompts)[0]

    @torch.no_grad()
    def text_vectors(self, site: str, prompts: Sequence[str]) -> np.ndarray:
        """(n, d) the prompts' mean text states, which edits move."""
        return over_words(*self._states(prompts))

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """(n, 4, h, w) latents to uint8 pictures."""
        return decode_latents(self.parts.vae, latents)

    def _nothing(self, states: torch.Tensor, pooled: torch.Tensor):
        """What guidance moves away from: the empty prompt, or zeros where XL's index says so."""
        if self.xl and self.index.get("force_zeros_for_empty_prompt", True):
            return torch.zeros_like(states), torch.zeros_like(pooled)
        empty, words = self._states([""])
        return empty.expand_as(states), words.pooled.expand_as(pooled)

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        edits: Sequence[Edit] = (),
        start: torch.Tensor | None = None,
        trace: Trace | None = None,
        *,
        steps: int = STEPS,
        guidance: float | None = None,
    ) -> Batch:
        """Draw one picture a prompt with the folder's own sampler; `start` (n, 4, h, w) is noise.

        Raises UserError for a bad request or an edit at a site that is not here, and
        probes.WrongSpace for a direction of another model.
        """
        check_request(prompts, seeds)
        changes = sort_edits(self.name, self.spaces, edits)[self.site]
        scale = self.guidance if guidance is None else guidance
        unet, sources = self.parts.unet, generators(seeds)
        states, words = self._states(prompts)
        given, pooled = edit_states(states, words, changes), words.pooled
        if scale > 1:
            empty, blank = self._nothing(states, pooled)
            given, pooled = torch.cat([empty, given]), torch.cat([blank, pooled])
        added = None
        if self.xl:  # the sizes that the picture was cut from and to (Podell et al., 2.2)
            sizes = torch.tensor([self.pixels, self.pixels, 0, 0, self.pixels, self.pixels])
            added = {"text_embeds": pooled, "time_ids": sizes.to(pooled).expand(len(pooled), -1)}

        def predict(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
            return unet(x, time, given, added_cond_kwargs=added).sample

        shape = (unet.config.in_channels, self.side, self.side)
        x = noise(shape, sources) if start is None else start.float()
        x = sampled(
            guided(predict, scale), self.parts.scheduler, x.to(given.device), steps, sources,
            self.decode, trace, self.tell,
        )  # fmt: skip
        return Batch(
            self.decode(x),
            tuple(prompts),
            tuple(int(seed) for seed in seeds),
            self.name,
            words.pooled.cpu().numpy(),
        )

"""Stable Diffusion: text states, a U-Net in latent space, a decoder (Rombach et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probes import Space
from toolkit.clip import Clip, file_hash
from toolkit.errors import UserError
from toolkit.pipelines.batch import (
    Batch,
    Edit,
    Guide,
    Trace,
    check_request,
    generators,
    noise,
)
from toolkit.pipelines.onednn import hasten, share_halves
from toolkit.pipelines.words import remember_words
from toolkit.training.data import to_pictures, to_tensor

STEPS, GUIDANCE, RESCALE = 20, 3.0, 0.5


def rescaled(guided: torch.Tensor, conditional: torch.Tensor, share: float) -> torch.Tensor:
    """Guidance brought back to the conditional prediction's spread (Lin et al. 2024, eq. 15-16)."""
    over = tuple(range(1, guided.ndim))
    fitted = guided * (conditional.std(over, keepdim=True) / guided.std(over, keepdim=True))
    return share * fitted + (1 - share) * guided


class StableDiffusion:
    """The whole pipeline, one image a seed. Edits enter at the text states."""

    name, site = "stable-diffusion", "text_states"

    def __init__(self, folder: Path, clip: Clip):
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
        from transformers import CLIPTextModel

        try:
            self.unet = UNet2DConditionModel.from_pretrained(folder / "unet").float().eval()
            self.vae = AutoencoderKL.from_pretrained(folder / "vae").float().eval()
            self.text = CLIPTextModel.from_pretrained(folder / "text_encoder").float().eval()
            self.scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
        except Exception as error:
            raise UserError(
                f"the weights in {folder} can't be read ({error}); restore them"
            ) from error
        for network in (self.unet, self.vae):  # convolutions run faster so on a CPU
            network.to(memory_format=torch.channels_last)
        for network in (self.unet, self.text, clip.model):
            hasten(network)
        share_halves(self.unet)
        remember_words(self.unet)
        self.folder, self.clip = folder, clip
        self.hash = file_hash(folder / "unet" / "diffusion_pytorch_model.safetensors")
        self.space = Space(clip.hash, self.site)

    def _states(self, ids: torch.Tensor) -> torch.Tensor:
        return self.text(input_ids=ids).last_hidden_state  # (n, L, d)

    def _edited(self, prompts: Sequence[str], edits: Sequence[Edit]) -> torch.Tensor:
        ids = self.clip.tokens(list(prompts))
        states = self._states(ids)
        end = (ids == self.clip.tokenizer.eot_token_id).int().argmax(1)
        words = torch.arange(ids.shape[1]) <= end[:, None]  # paddings stay as they are
        for edit in edits:
            edit.direction.require(self.space)
            step = edit.strength * edit.direction.sigma * np.asarray(edit.direction.vector)
            states = states + words[..., None] * torch.from_numpy(step).to(states)
        return states

    @torch.no_grad()
    def states(self, prompts: Sequence[str], layer: int | None = None) -> torch.Tensor:
        """(n, L, d) text states of the prompts, as the U-Net reads them.

        `layer` stops the text encoder after so many of its layers, 0 for the words and their
        places alone; its final norm follows all the same.
        """
        ids = self.clip.tokens(list(prompts))
        if layer is None:
            return self._states(ids)
        every = self.text(input_ids=ids, output_hidden_states=True).hidden_states
        return self.text.final_layer_norm(every[layer])

    @torch.no_grad()
    def encode(self, pictures: np.ndarray) -> torch.Tensor:
        """(n, 64, 64, 3) uint8 pictures to (n, 4, 16, 16) latents of about unit variance."""
        means = self.vae.encode(to_tensor(np.array(pictures))).latent_dist.mean
        return means * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """(n, 4, 16, 16) latents to (n, 64, 64, 3) uint8 pictures."""
        return to_pictures(self._seen(latents))

    def _seen(self, latents: torch.Tensor) -> torch.Tensor:
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample

    @torch.no_grad()
    def denoise(
        self,
        states: torch.Tensor,
        latents: torch.Tensor,
        trace: Trace | None = None,
        *,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        rescale: float = RESCALE,
        scheduler: Any = None,
        first: int = 0,
        after: Callable[[torch.Tensor, int], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """(n, 4, 16, 16) noise to clean latents under text states (n, L, d).

        `scheduler` is a diffusers sampler in place of DDIM; `first` skips that many steps, so that
        `latents` are those of step `first`; `after(latents, time)` may change the latents that a
        step left at noise level `time` (-1 when they are clean).
        """
        nothing = self.states([""]).expand_as(states)
        both_states, schedule = torch.cat([nothing, states]), scheduler or self.scheduler
        schedule.set_timesteps(steps)
        times = schedule.timesteps[first * getattr(schedule, "order", 1) :]
        if hasattr(schedule, "set_begin_index"):
            schedule.set_begin_index(len(schedule.timesteps) - len(times))
        latents = latents if first else latents * float(schedule.init_noise_sigma)
        kept, foreseen = [], []
        for index, time in enumerate(times):
            seen = schedule.scale_model_input(latents, time)
            both = self.unet(torch.cat([seen, seen]), time, both_states).sample
            without, wanted = both.chunk(2)
            guided = rescaled(without + guidance * (wanted - without), wanted, rescale)
            step = schedule.step(guided, time, latents)
            latents = step.prev_sample
            if after is not None:
                latents = after(latents, int(times[index + 1]) if index + 1 < len(times) else -1)
            if trace is not None:
                kept.append(latents.numpy().copy())
                foreseen.append(self.decode(step.pred_original_sample))
        if trace is not None:
            trace.timesteps = [int(t) for t in times]
            trace.latents, trace.predicted = np.stack(kept), np.stack(foreseen)
        return latents

    @torch.no_grad()
    def invert(self, latents: torch.Tensor, prompt: str = "", *, steps: int = STEPS):
        """The noise from which DDIM draws clean latents (n, 4, 16, 16), about, without guidance.

        DDIM's steps backwards (Song et al. 2021, section 4.3), each with the prediction at its
        cleaner end.
        """
        states = self.states([prompt]).expand(len(latents), -1, -1)
        self.scheduler.set_timesteps(steps)
        kept, before = self.scheduler.alphas_cumprod, torch.tensor(1.0)
        for time in reversed(self.scheduler.timesteps):
            v = self.unet(latents, time, states).sample
            clean = before.sqrt() * latents - (1 - before).sqrt() * v
            fresh = before.sqrt() * v + (1 - before).sqrt() * latents
            before = kept[time]
            latents = before.sqrt() * clean + (1 - before).sqrt() * fresh
        return latents

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
        guidance: float = GUIDANCE,
        rescale: float = RESCALE,
        guide: Guide | None = None,
    ) -> Batch:
        """Draw one picture a prompt with classifier-free guidance and DDIM.

        `start` (n, 4, 16, 16) replaces the seeds' noise; `guide` changes the clean latents before
        they are decoded. Raises UserError for a bad request and probes.WrongSpace for a direction
        of another model or site.
        """
        check_request(prompts, seeds)
        latents = noise((4, 16, 16), generators(seeds)) if start is None else start.float()
        states = self._edited(prompts, edits)
        latents = self.denoise(
            states, latents, trace,
            steps=steps, guidance=guidance, rescale=rescale,
        )  # fmt: skip
        if guide is not None:
            latents = guide(self._seen, latents)
        return Batch(
            self.decode(latents),
            tuple(prompts),
            tuple(int(s) for s in seeds),
            self.name,
            self.clip.encode_text(list(prompts)),
            edited_words=self.clip.embed(prompts, states) if edits else None,
        )

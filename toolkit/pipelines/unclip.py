"""DALL-E 2: text embedding, prior, image embedding, decoder, upsampler (Ramesh et al. 2022)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from probes import Space
from toolkit.clip import Clip, TextEncoding, file_hash
from toolkit.errors import UserError
from toolkit.pipelines.batch import Batch, Edit, Trace, check_request, generators, noise
from toolkit.priors import load_prior
from toolkit.training.data import to_pictures
from toolkit.training.decoder import project
from toolkit.training.upsampler import enlarge

DECODER_STEPS, DECODER_GUIDANCE, UPSAMPLER_STEPS = 20, 2.0, 6


class UnClip:
    """The whole pipeline, one image a seed. Edits enter at the image embedding.

    `prior` is one of toolkit.priors.PRIORS. Raises UserError for an unknown one.
    """

    name, site = "unclip", "image_embedding"

    def __init__(self, folder: Path, clip: Clip, prior: str = "diffusion"):
        from diffusers import DDIMScheduler, UNet2DConditionModel, UNet2DModel
        from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel

        self.prior_name, self.prior = prior, load_prior(prior, folder)
        try:
            self.decoder = UNet2DConditionModel.from_pretrained(folder / "decoder").float().eval()
            self.text_proj = (
                UnCLIPTextProjModel.from_pretrained(folder / "text_proj").float().eval()
            )
            self.upsampler = UNet2DModel.from_pretrained(folder / "super_res_first").float().eval()
            self.decoder_schedule = DDIMScheduler.from_pretrained(folder / "decoder_scheduler")
            self.upsampler_schedule = DDIMScheduler.from_pretrained(folder / "super_res_scheduler")
        except Exception as error:
            raise UserError(
                f"the weights in {folder} can't be read ({error}); restore them"
            ) from error
        self.folder, self.clip = folder, clip
        self.hash = file_hash(folder / "decoder" / "diffusion_pytorch_model.safetensors")
        self.space = Space(clip.hash, self.site)

    def with_prior(self, name: str) -> UnClip:
        """The same pipeline with another prior; networks are shared, not copied."""
        if name == self.prior_name:
            return self
        other = copy.copy(self)
        other.prior_name, other.prior = name, load_prior(name, self.folder)
        return other

    def _edited(self, embeddings: torch.Tensor, edits: Sequence[Edit]) -> torch.Tensor:
        for edit in edits:
            edit.direction.require(self.space)
            moved = edit.direction.move(embeddings.numpy(), edit.strength)
            embeddings = torch.from_numpy(np.asarray(moved, np.float32))
        return embeddings

    @torch.no_grad()
    def imagine(self, text: TextEncoding, seeds: Sequence[int], trace: Trace | None = None):
        """The prior alone: (n, d) CLIP image embeddings for the texts."""
        return self.prior.sample(text, seeds, trace)

    @torch.no_grad()
    def decode(
        self,
        embeddings: np.ndarray | torch.Tensor,
        seeds: Sequence[int],
        start: torch.Tensor | None = None,
        trace: Trace | None = None,
        *,
        steps: int = DECODER_STEPS,
        guidance: float = DECODER_GUIDANCE,
    ) -> np.ndarray:
        """(n, d) image embeddings to (n, 64, 64, 3) uint8 pictures; `start` (n, 3, 32, 32)."""
        sources = generators(seeds)
        given = torch.as_tensor(np.asarray(embeddings), dtype=torch.float32)
        small = noise((3, 32, 32), sources) if start is None else start.float()
        small = self._small(given, small, steps, guidance, trace)
        return to_pictures(self._large(small, noise((3, 64, 64), sources)))

    def _small(self, given, x, steps: int, guidance: float, trace: Trace | None) -> torch.Tensor:
        nothing = self.text_proj.learned_classifier_free_guidance_embeddings.expand_as(given)
        tokens, added = project(self.text_proj, torch.cat([nothing, given]))
        schedule = self.decoder_schedule
        schedule.set_timesteps(steps)
        kept, foreseen = [], []
        for time in schedule.timesteps:
            both = self.decoder(torch.cat([x, x]), time, tokens, class_labels=added).sample
            without, wanted = both.chunk(2)
            step = schedule.step(without + guidance * (wanted - without), time, x)
            x = step.prev_sample
            if trace is not None:
                kept.append(x.numpy().copy())
                foreseen.append(to_pictures(step.pred_original_sample))
        if trace is not None:
            trace.timesteps = [int(t) for t in schedule.timesteps]
            trace.latents, trace.predicted = np.stack(kept), np.stack(foreseen)
        return x.clamp(-1, 1)

    def _large(self, small: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        seen = enlarge(small)
        self.upsampler_schedule.set_timesteps(UPSAMPLER_STEPS)
        for time in self.upsampler_schedule.timesteps:
            out = self.upsampler(torch.cat([x, seen], 1), time).sample
            x = self.upsampler_schedule.step(out, time, x).prev_sample
        return x

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        edits: Sequence[Edit] = (),
        start: torch.Tensor | None = None,
        trace: Trace | None = None,
        *,
        steps: int = DECODER_STEPS,
        guidance: float = DECODER_GUIDANCE,
    ) -> Batch:
        """Draw one picture a prompt: prior, edits on the image embedding, decoder, upsampler.

        `start` (n, 3, 32, 32) replaces the decoder's noise. Raises UserError for a bad request
        and probes.WrongSpace for a direction of another model or site.
        """
        check_request(prompts, seeds)
        text = self.clip.encode(list(prompts))
        embeddings = self._edited(self.imagine(text, seeds, trace), edits)
        images = self.decode(embeddings, seeds, start, trace, steps=steps, guidance=guidance)
        return Batch(
            images,
            tuple(prompts),
            tuple(int(s) for s in seeds),
            self.name,
            text.embedding.numpy(),
            embeddings.numpy(),
        )

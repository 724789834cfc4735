"""Stable unCLIP: a latent U-Net told an image embedding with noise in it (Stability AI 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from probes import Space
from toolkit.errors import UserError
from toolkit.pipelines.batch import Batch, Edit, Trace, check_request, generators, noise
from toolkit.pipelines.real.parts import digest, load_parts
from toolkit.pipelines.real.prior import imagine, statistics
from toolkit.pipelines.real.stable import decode_latents
from toolkit.pipelines.real.steps import (
    Tell,
    edit_embeddings,
    edit_states,
    guided,
    over_words,
    read_words,
    sampled,
    sort_edits,
)

STEPS, GUIDANCE = 20, 10.0


class StableUnclipCheckpoint:
    """Text to image with a prior, or image to image with an image tower and none.

    Edits enter at the image embedding, or at the text states of the U-Net's cross-attention.
    """

    site = "image_embedding"

    def __init__(self, folder: Path, name: str, tell: Tell | None = None):
        self.tell = tell
        self.folder = folder
        self.parts, self.index, wants = load_parts(folder)
        self.name, self.kind = name, self.index["_class_name"]
        self.has_prior = self.kind == "StableUnCLIPPipeline"
        tower = "prior_text_encoder" if self.has_prior else "image_encoder"
        self.hash = digest(folder, wants, ("unet",))
        self.space = Space(digest(folder, wants, (tower,)), self.site)
        words = Space(digest(folder, wants, ("text_encoder",)), "text_states")
        self.spaces = {self.site: self.space, words.site: words}
        self.statistics = statistics(self.parts.prior) if self.has_prior else None
        self.side = int(self.parts.unet.config.sample_size)
        self.pixels = self.side * 2 ** (len(self.parts.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def text_vectors(self, site: str, prompts: Sequence[str]) -> np.ndarray:
        """(n, d) mean text states, or the text embeddings that the prior is told."""
        parts = self.parts
        if site == self.site:
            words = read_words(parts.prior_tokenizer, parts.prior_text_encoder, prompts)
            return words.pooled.cpu().numpy()
        words = read_words(parts.tokenizer, parts.text_encoder, prompts)
        return over_words(words.states, words)

    @torch.no_grad()
    def encode_image(self, pictures: np.ndarray) -> np.ndarray:
        """(n, h, w, 3) uint8 to (n, d) embeddings as the decoder takes them, not of unit norm.

        Raises UserError where the checkpoint has no image tower.
        """
        from torch.nn import functional

        if self.has_prior:
            raise UserError(f"{self.name} has a prior and no image tower; give it prompts")
        tower = self.parts.image_encoder
        size = tower.config.image_size
        x = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 255
        short = min(x.shape[-2:])
        scaled = [max(size, round(side * size / short)) for side in x.shape[-2:]]
        x = functional.interpolate(x, scaled, mode="bicubic", antialias=True).clamp(0, 1)
        top, left = ((side - size) // 2 for side in scaled)
        x = x[..., top : top + size, left : left + size]
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
        std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
        return tower(((x - mean) / std).to(tower.device)).image_embeds.cpu().numpy()

    def _noised(self, embeddings: torch.Tensor, level: int, sources) -> torch.Tensor:
        """(n, d) to (n, 2 d): whitened, noised to `level`, restored, and the level beside it."""
        from diffusers.models.embeddings import get_timestep_embedding

        levels = torch.full((len(embeddings),), level, device=embeddings.device)
        fresh = noise(tuple(embeddings.shape[1:]), sources).to(embeddings)
        white = self.parts.image_normalizer.scale(embeddings)
        white = self.parts.image_noising_scheduler.add_noise(white, fresh, levels)
        told = get_timestep_embedding(levels, embeddings.shape[1], True, 0).to(embeddings)
        return torch.cat([self.parts.image_normalizer.unscale(white), told], 1)

    @torch.no_grad()
    def decode(
        self,
        embeddings: np.ndarray | torch.Tensor,
        prompts: Sequence[str],
        seeds: Sequence[int],
        start: torch.Tensor | None = None,
        trace: Trace | None = None,
        *,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        noise_level: int = 0,
        edits: Sequence[Edit] = (),
        sources: list[torch.Generator] | None = None,
    ) -> np.ndarray:
        """(n, d) image embeddings and prompts to uint8 pictures; `start` (n, 4, h, w) is noise.

        `noise_level` of 1000 is how much noise the embedding gets, so that the picture is freer.
        `edits` are those at the text states; `sources` go on with generators that a prior used.
        """
        sources = generators(seeds) if sources is None else sources
        unet = self.parts.unet
        words = read_words(self.parts.tokenizer, self.parts.text_encoder, prompts)
        states = edit_states(words.states, words, edits)
        given = torch.as_tensor(np.asarray(embeddings), dtype=torch.float32).to(states.device)
        labels = self._noised(given, noise_level, sources)
        if guidance > 1:
            blank = read_words(self.parts.tokenizer, self.parts.text_encoder, [""]).states
            states = torch.cat([blank.expand_as(states), states])
            labels = torch.cat([torch.zeros_like(labels), labels])

        def predict(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
            return unet(x, time, states, class_labels=labels).sample

        shape = (unet.config.in_channels, self.side, self.side)
        x = noise(shape, sources) if start is None else start.float()
        x = sampled(
            guided(predict, guidance), self.parts.scheduler, x.to(states.device), steps, sources,
            self._picture, trace, self.tell,
        )  # fmt: skip
        return self._picture(x)

    @torch.no_grad()
    def variations(
        self,
        pictures: np.ndarray,
        prompts: Sequence[str],
        seeds: Sequence[int],
        edits: Sequence[Edit] = (),
        start: torch.Tensor | None = None,
        trace: Trace | None = None,
        *,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
    ) -> Batch:
        """Draw what the image tower keeps of `pictures` (n or 1, h, w, 3) uint8, told the prompts.

        Image variations (Ramesh et al. 2022, 3.1). Raises UserError for a bad request, an edit at
        a site that is not here, or a checkpoint without an image tower.
        """
        check_request(prompts, seeds)
        changes, sources = sort_edits(self.name, self.spaces, edits), generators(seeds)
        given = torch.from_numpy(self.encode_image(pictures)).expand(len(prompts), -1)
        given = edit_embeddings(given, changes[self.site]).cpu()
        images = self.decode(
            given, prompts, seeds, start, trace, steps=steps, guidance=guidance,
            edits=changes["text_states"], sources=sources,
        )  # fmt: skip
        words = read_words(self.parts.tokenizer, self.parts.text_encoder, prompts)
        numbers = tuple(int(seed) for seed in seeds)
        pooled = words.pooled.cpu().numpy()
        return Batch(images, tuple(prompts), numbers, self.name, pooled, given.numpy())

    def _picture(self, latents: torch.Tensor) -> np.ndarray:
        return decode_latents(self.parts.vae, latents)

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
    ) -> Batch:
        """Draw one picture a prompt: prior, edits, noise augmentation, latent decoder.

        Raises UserError for a bad request, an edit at a site that is not here, or a checkpoint
        without a prior, which can't draw from words alone.
        """
        check_request(prompts, seeds)
        changes = sort_edits(self.name, self.spaces, edits)
        if not self.has_prior:
            raise UserError(
                f"{self.name} is an image-to-image checkpoint without a prior, so that words alone "
                "give no picture; give one with --picture, or use its text-to-image twin "
                "(StableUnCLIPPipeline)"
            )
        parts, sources = self.parts, generators(seeds)
        embeddings, words = imagine(
            parts.prior, parts.prior_scheduler, parts.prior_tokenizer, parts.prior_text_encoder,
            prompts, sources, trace,
        )  # fmt: skip
        embeddings = edit_embeddings(embeddings, changes[self.site]).cpu()
        images = self.decode(
            embeddings, prompts, seeds, start, trace, steps=steps, guidance=guidance,
            edits=changes["text_states"], sources=sources,
        )  # fmt: skip
        return Batch(
            images,
            tuple(prompts),
            tuple(int(seed) for seed in seeds),
            self.name,
            words.pooled.cpu().numpy(),
            embeddings.numpy(),
        )

"""Kandinsky 2.2: a prior's folder and a decoder's folder (Razzhigaev et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from probes import Space
from toolkit.pipelines.batch import Batch, Edit, Trace, check_request, generators, noise
from toolkit.pipelines.real.parts import digest, load_parts
from toolkit.pipelines.real.prior import imagine, statistics
from toolkit.pipelines.real.steps import (
    Tell,
    edit_embeddings,
    guided,
    read_words,
    sampled,
    sort_edits,
)
from toolkit.training.data import to_pictures

STEPS, GUIDANCE = 100, 4.0


class KandinskyCheckpoint:
    """Words to an image embedding, which alone the decoder sees. Edits enter at that embedding."""

    site = "image_embedding"

    def __init__(self, prior: Path, decoder: Path, name: str, tell: Tell | None = None):
        self.tell = tell
        self.prior, _, before = load_parts(prior)
        self.folder = decoder
        self.parts, self.index, wants = load_parts(decoder)
        self.name, self.kind = name, self.index["_class_name"]
        self.hash = digest(decoder, wants, ("unet",))
        self.space = Space(digest(prior, before, ("image_encoder",)), self.site)
        self.spaces = {self.site: self.space}
        self.statistics = statistics(self.prior.prior)
        self.side = int(self.parts.unet.config.sample_size)
        self.pixels = self.side * 2 ** (len(self.parts.movq.config.block_out_channels) - 1)

    @torch.no_grad()
    def text_vectors(self, site: str, prompts: Sequence[str]) -> np.ndarray:
        """(n, d) the text embeddings that the prior is told."""
        words = read_words(self.prior.tokenizer, self.prior.text_encoder, prompts)
        return words.pooled.cpu().numpy()

    def _nothing(self) -> torch.Tensor:
        """(1, d) the embedding of a black picture, which guidance moves away from."""
        tower = self.prior.image_encoder
        side = tower.config.image_size
        return tower(torch.zeros(1, 3, side, side, device=tower.device)).image_embeds

    def _picture(self, latents: torch.Tensor) -> np.ndarray:
        return to_pictures(self.parts.movq.decode(latents, force_not_quantize=True).sample)

    @torch.no_grad()
    def decode(
        self,
        embeddings: np.ndarray | torch.Tensor,
        seeds: Sequence[int],
        start: torch.Tensor | None = None,
        trace: Trace | None = None,
        *,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        sources: list[torch.Generator] | None = None,
    ) -> np.ndarray:
        """(n, d) image embeddings to uint8 pictures; `start` (n, 4, h, w) is noise.

        `sources` go on with generators that a prior used.
        """
        sources = generators(seeds) if sources is None else sources
        unet, schedule = self.parts.unet, self.parts.scheduler
        given = torch.as_tensor(np.asarray(embeddings), dtype=torch.float32).to(unet.device)
        if guidance > 1:
            given = torch.cat([self._nothing().to(given).expand_as(given), given])
        channels = unet.config.in_channels
        learned = str(schedule.config.get("variance_type")).startswith("learned")
        both = guided(
            lambda x, time: unet(x, time, None, added_cond_kwargs={"image_embeds": given}).sample,
            guidance, channels,
        )  # fmt: skip

        def predict(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
            out = both(x, time)
            return out if learned else out[:, :channels]  # the variance half has no reader

        x = noise((channels, self.side, self.side), sources) if start is None else start.float()
        x = sampled(
            predict, schedule, x.to(unet.device), steps, sources, self._picture, trace, self.tell
        )
        return self._picture(x)

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
        """Draw one picture a prompt: prior, edits, latent decoder.

        Raises UserError for a bad request or an edit at a site that is not here, and
        probes.WrongSpace for a direction of another model.
        """
        check_request(prompts, seeds)
        changes = sort_edits(self.name, self.spaces, edits)[self.site]
        prior, sources = self.prior, generators(seeds)
        embeddings, words = imagine(
            prior.prior, prior.scheduler, prior.tokenizer, prior.text_encoder, prompts, sources,
            trace,
        )  # fmt: skip
        embeddings = edit_embeddings(embeddings, changes).cpu()
        images = self.decode(
            embeddings, seeds, start, trace, steps=steps, guidance=guidance, sources=sources
        )
        return Batch(
            images,
            tuple(prompts),
            tuple(int(seed) for seed in seeds),
            self.name,
            words.pooled.cpu().numpy(),
            embeddings.numpy(),
        )

"""Karlo, an open unCLIP: prior, pixel decoder, super-resolution (Ramesh et al. 2022; Kakao 2022).

The library's own pipeline cannot be loaded from Karlo's folder any more (its text projection moved
to a package of deprecated code), so the parts are loaded one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from probes import Space
from toolkit.pipelines.batch import Batch, Edit, Trace, check_request, generators, noise
from toolkit.pipelines.real.parts import digest, load_parts
from toolkit.pipelines.real.prior import imagine, statistics
from toolkit.pipelines.real.steps import (
    Tell,
    Words,
    denoise,
    edit_embeddings,
    guided,
    read_words,
    sampled,
    sort_edits,
)
from toolkit.training.data import to_pictures

STEPS, GUIDANCE, LARGE_STEPS = 25, 8.0, 7


class KarloCheckpoint:
    """The whole of unCLIP in pixels. Edits enter at the image embedding."""

    site = "image_embedding"

    def __init__(self, folder: Path, name: str, tell: Tell | None = None):
        self.tell = tell
        self.folder = folder
        self.parts, self.index, wants = load_parts(folder)
        self.name, self.kind = name, self.index["_class_name"]
        self.hash = digest(folder, wants, ("decoder",))
        self.space = Space(digest(folder, wants, ("text_encoder",)), self.site)
        self.spaces = {self.site: self.space}
        self.statistics = statistics(self.parts.prior)
        self.side = int(self.parts.decoder.config.sample_size)
        self.pixels = int(self.parts.super_res_first.config.sample_size)

    @torch.no_grad()
    def text_vectors(self, site: str, prompts: Sequence[str]) -> np.ndarray:
        """(n, d) the text embeddings that the prior is told."""
        words = read_words(self.parts.tokenizer, self.parts.text_encoder, prompts)
        return words.pooled.cpu().numpy()

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
        sources: list[torch.Generator] | None = None,
    ) -> np.ndarray:
        """(n, d) image embeddings and prompts to uint8 pictures; `start` (n, 3, h, w) is noise.

        `sources` go on with generators that a prior used.
        """
        sources = generators(seeds) if sources is None else sources
        words = read_words(self.parts.tokenizer, self.parts.text_encoder, prompts)
        small = self._small(embeddings, words, start, trace, steps, guidance, sources)
        return to_pictures(self._large(small.clamp(-1, 1), sources))

    def _small(self, embeddings, words: Words, start, trace, steps, guidance, sources):
        project, decoder = self.parts.text_proj, self.parts.decoder
        given = torch.as_tensor(np.asarray(embeddings), dtype=torch.float32).to(decoder.device)
        pooled, states, attended = words.pooled, words.states, words.attended
        if guidance > 1:
            blank = read_words(self.parts.tokenizer, self.parts.text_encoder, [""] * len(given))
            pooled = torch.cat([blank.pooled, pooled])
            states = torch.cat([blank.states, states])
            attended = torch.cat([blank.attended, attended])
        tokens, added = project(
            image_embeddings=given, prompt_embeds=pooled, text_encoder_hidden_states=states,
            do_classifier_free_guidance=guidance > 1,
        )  # fmt: skip
        extra = project.clip_extra_context_tokens
        mask = functional.pad(attended, (extra, 0), value=True).to(decoder.device)

        def predict(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
            return decoder(x, time, tokens, class_labels=added, attention_mask=mask).sample

        channels = decoder.config.in_channels
        x = noise((channels, self.side, self.side), sources) if start is None else start.float()
        return sampled(
            guided(predict, guidance, channels), self.parts.decoder_scheduler,
            x.to(decoder.device), steps, sources, to_pictures, trace, self.tell,
        )  # fmt: skip

    def _large(self, small: torch.Tensor, sources) -> torch.Tensor:
        """The small picture enlarged; another network does the very last step."""
        first, last, size = self.parts.super_res_first, self.parts.super_res_last, self.pixels
        schedule, seen = self.parts.super_res_scheduler, functional.interpolate(
            small, (size, size), mode="bicubic", align_corners=False, antialias=True
        )  # fmt: skip

        def predict(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
            network = last if int(time) == int(schedule.timesteps[-1]) else first
            return network(torch.cat([x, seen], 1), time).sample

        x = noise((first.config.in_channels // 2, size, size), sources).to(seen)
        return denoise(predict, schedule, x, LARGE_STEPS, sources)

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
        """Draw one picture a prompt: prior, edits, decoder, super-resolution.

        The trace's steps are the small decoder's. Raises UserError for a bad request or an edit at
        a site that is not here, and probes.WrongSpace for a direction of another model.
        """
        check_request(prompts, seeds)
        changes = sort_edits(self.name, self.spaces, edits)[self.site]
        parts, sources = self.parts, generators(seeds)
        embeddings, words = imagine(
            parts.prior, parts.prior_scheduler, parts.tokenizer, parts.text_encoder, prompts,
            sources, trace,
        )  # fmt: skip
        embeddings = edit_embeddings(embeddings, changes).cpu()
        images = self.decode(
            embeddings, prompts, seeds, start, trace, steps=steps, guidance=guidance,
            sources=sources,
        )  # fmt: skip
        return Batch(
            images,
            tuple(prompts),
            tuple(int(seed) for seed in seeds),
            self.name,
            words.pooled.cpu().numpy(),
            embeddings.numpy(),
        )

"""The diffusion prior (Ramesh et al. 2022, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.clip import Clip, TextEncoding
from toolkit.priors.candidates import best_of, starts
from toolkit.priors.shorten import shortened

STEPS, GUIDANCE = 10, 1.5


class DiffusionPrior:
    """Predicts the clean embedding at each step; draws two and keeps the one nearer the text."""

    def __init__(self, folder: Path, clip: Clip):
        from diffusers import DDIMScheduler, PriorTransformer

        self.nothing = clip.encode([""])  # what a dropped caption was in training

        self.model = PriorTransformer.from_pretrained(folder / "prior").float().eval()
        self.scheduler = DDIMScheduler.from_pretrained(folder / "prior_scheduler")

    @torch.no_grad()
    def sample(
        self,
        text: TextEncoding,
        seeds: Sequence[int],
        trace: Any = None,
        *,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
    ) -> torch.Tensor:
        """(n, d) image embeddings, unit norm, with classifier-free guidance on the text.

        Two candidates a seed, as in the paper; the higher dot product with the text wins.
        """
        n, d = text.embedding.shape
        x = starts(seeds, 2, d)
        model, *own = shortened(self.model, text)
        given, states, mask = (t.repeat_interleave(2, 0) for t in (text.embedding, *own))
        bare, *own = shortened(self.model, self.nothing)
        blank = [t.expand(2 * n, *t.shape[1:]) for t in (self.nothing.embedding, *own)]
        self.scheduler.set_timesteps(steps)
        kept = []
        for time in self.scheduler.timesteps:
            clean = model(x, time, given, states, mask).predicted_image_embedding
            if guidance != 1:
                base = bare(x, time, *blank).predicted_image_embedding
                clean = base + guidance * (clean - base)
            x = self.scheduler.step(clean, time, x).prev_sample
            kept.append(self.model.post_process_latents(clean))
        best, chosen = best_of(self.model.post_process_latents(x), text.embedding, 2)
        if trace is not None:
            trace.prior = np.stack([step[chosen].numpy() for step in kept])
        return best

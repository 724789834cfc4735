"""The diffusion prior (Ramesh et al. 2022, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.clip import TextEncoding

STEPS, GUIDANCE = 12, 1.0


class DiffusionPrior:
    """Predicts the clean embedding at each step; draws two and keeps the one nearer the text."""

    def __init__(self, folder: Path):
        from diffusers import DDIMScheduler, PriorTransformer

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
        nothing: TextEncoding | None = None,
    ) -> torch.Tensor:
        """(n, d) image embeddings, unit norm. `nothing` encodes "" and is needed past guidance 1.

        Two candidates a seed, as in the paper; the higher dot product with the text wins.
        """
        n, d = text.embedding.shape
        # Each seed's two candidates come from a generator of their own, apart from the pixels'.
        start = torch.cat(
            [
                torch.randn((2, d), generator=torch.Generator().manual_seed(int(s) ^ 0x5EED))
                for s in seeds
            ]
        )
        x = start  # (2n, d): candidates of one seed side by side
        given, states, mask = (
            t.repeat_interleave(2, 0) for t in (text.embedding, text.states, text.mask)
        )
        self.scheduler.set_timesteps(steps)
        kept = []
        for time in self.scheduler.timesteps:
            clean = self.model(x, time, given, states, mask).predicted_image_embedding
            if guidance != 1 and nothing is not None:
                blank = (
                    t.expand(2 * n, *t.shape[1:])
                    for t in (nothing.embedding, nothing.states, nothing.mask)
                )
                base = self.model(x, time, *blank).predicted_image_embedding
                clean = base + guidance * (clean - base)
            x = self.scheduler.step(clean, time, x).prev_sample
            kept.append(self.model.post_process_latents(clean).view(n, 2, d))
        found = torch.nn.functional.normalize(self.model.post_process_latents(x), dim=-1).view(
            n, 2, d
        )
        best = (found @ text.embedding[:, :, None]).squeeze(-1).argmax(1)
        if trace is not None:
            trace.prior = np.stack([step[torch.arange(n), best].numpy() for step in kept])
        return found[torch.arange(n), best]

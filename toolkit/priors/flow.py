"""A prior by flow matching: straight paths from noise to the image embedding.

Ours; the paper has none. The network is the diffusion prior's, taught to give the velocity of
the straight path from a noise sample to a whitened embedding (Lipman et al. 2023, section 4.1;
rectified flow: Liu et al. 2023). A few Euler steps then do what a dozen of DDIM do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.clip import TextEncoding
from toolkit.priors.candidates import best_of, starts
from toolkit.priors.shorten import shortened

STEPS = 8


class FlowPrior:
    """Integrates the learnt velocity from noise (t = 0) to an embedding (t = 1)."""

    def __init__(self, folder: Path):
        from diffusers import PriorTransformer

        self.model = PriorTransformer.from_pretrained(folder / "prior_flow").float().eval()

    @torch.no_grad()
    def sample(
        self,
        text: TextEncoding,
        seeds: Sequence[int],
        trace: Any = None,
        *,
        steps: int = STEPS,
        candidates: int = 2,
    ) -> torch.Tensor:
        """(n, d) unit image embeddings: of each seed's candidates the one nearest the text."""
        d = text.embedding.shape[1]
        x = starts(seeds, candidates, d)
        model, *own = shortened(self.model, text)
        given, states, mask = (t.repeat_interleave(candidates, 0) for t in (text.embedding, *own))
        kept = []
        for step in range(steps):
            time = step / steps
            speed = model(x, 1000 * time, given, states, mask).predicted_image_embedding
            kept.append(self.model.post_process_latents(x + (1 - time) * speed))
            x = x + speed / steps
        found = self.model.post_process_latents(x)
        best, chosen = best_of(found, text.embedding, candidates)
        if trace is not None:
            trace.prior = np.stack([step[chosen].numpy() for step in kept])
        return best

"""The diffusion prior of Karlo, Kandinsky 2.2 and Stable unCLIP (Ramesh et al. 2022, 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from toolkit.pipelines.batch import Trace, noise
from toolkit.pipelines.real.steps import Words, denoise, guided, read_words

STEPS, GUIDANCE = 25, 4.0


def statistics(prior: Any) -> tuple[np.ndarray, np.ndarray]:
    """(d,) mean and (d,) standard deviation of real image embeddings, as the prior keeps them."""
    mean, spread = (
        value.detach().cpu().numpy().reshape(-1) for value in (prior.clip_mean, prior.clip_std)
    )
    return mean, np.abs(spread)


def imagine(
    prior: Any,
    schedule: Any,
    tokenizer: Any,
    encoder: Any,
    prompts: Sequence[str],
    sources: Sequence[torch.Generator],
    trace: Trace | None = None,
    *,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> tuple[torch.Tensor, Words]:
    """(n, d) image embeddings for the prompts, in the image tower's own units, and the words.

    The trace's `prior` gets the embedding foreseen at each step.
    """
    words = read_words(tokenizer, encoder, prompts)
    pooled, states, attended = words.pooled, words.states, words.attended
    if guidance > 1:
        blank = read_words(tokenizer, encoder, [""] * len(prompts))
        pooled = torch.cat([blank.pooled, pooled])
        states = torch.cat([blank.states, states])
        attended = torch.cat([blank.attended, attended])
    attended, kept = attended.to(states.device), []

    def predict(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return prior(x, time, pooled, states, attended).predicted_image_embedding

    def keep(_, __, foreseen: torch.Tensor) -> None:
        kept.append(prior.post_process_latents(foreseen).cpu().numpy().copy())

    x = noise((prior.config.embedding_dim,), sources).to(states.device)
    x = denoise(
        guided(predict, guidance), schedule, x, steps, sources, None if trace is None else keep
    )
    if trace is not None:
        trace.prior = np.stack(kept)
    return prior.post_process_latents(x), words

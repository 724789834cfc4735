"""The image autoencoder with a KL bottleneck (Rombach et al. 2022, section 3.1), f = 4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from toolkit.training.data import portrait_set
from toolkit.training.loop import Plan, autocast, device, fit

# 81 to 86 % of the time goes into convolutions at full size: the first level is thin.
MODEL = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (24, 48, 96),
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 8,
    "sample_size": 64,
    "mid_block_add_attention": False,
}
KL_WEIGHT = 1e-4  # per latent: enough to keep latents near unit scale, too little to blur


@torch.no_grad()
def latent_scale(model, images: torch.Tensor) -> float:
    """1 / standard deviation of the latents: diffusion then starts from unit variance."""
    return float(1 / model.encode(images).latent_dist.mean.std())


def train(folder: Path, checkpoints: Path, plan: Plan, portraits: int = 30_000, batch: int = 16):
    """Learn and write `folder` (a diffusers AutoencoderKL, fp16). Returns the run's record."""
    from diffusers import AutoencoderKL

    data = portrait_set("train", portraits, plan.seed, checkpoints)
    torch.manual_seed(plan.seed)
    model = AutoencoderKL(**MODEL)

    def loss_of(model, rng: np.random.Generator) -> torch.Tensor:
        x = data.images(np.sort(rng.integers(len(data), size=batch))).to(device())
        with autocast():
            posterior = model.encode(x).latent_dist
            y = model.decode(posterior.sample()).sample.float()
        kl = 0.5 * (
            posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()
        )
        return functional.l1_loss(y, x) + 2 * functional.mse_loss(y, x) + KL_WEIGHT * kl.mean()

    average, record = fit("autoencoder", model, loss_of, plan, checkpoints)
    scale = latent_scale(
        average.float(), data.images(np.arange(0, len(data), len(data) // 256)).to(device())
    )
    average.register_to_config(scaling_factor=scale)
    average.half().save_pretrained(folder)
    return record | {"portraits": portraits, "batch": batch, "scaling_factor": scale}

"""The upsampler: 32 px to 64 px by diffusion on a damaged small picture (Ramesh et al. 2022, 2.1).

The low-resolution input is noised and sometimes blurred in training (conditioning augmentation,
Ho et al. 2022), because in use it comes from the decoder and not from a render.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from toolkit.pipelines.schedules import upsampler_schedule
from toolkit.training.data import portrait_set
from toolkit.training.loop import Plan, autocast, device, fit
from toolkit.training.unet import noised

MODEL = {
    "sample_size": 64,
    "in_channels": 6,
    "out_channels": 3,
    "block_out_channels": (16, 32, 64, 96),
    "layers_per_block": 1,
    "down_block_types": ("ResnetDownsampleBlock2D",) * 4,
    "up_block_types": ("ResnetUpsampleBlock2D",) * 4,
    "norm_num_groups": 8,
    "attention_head_dim": 8,
    "add_attention": False,
    "resnet_time_scale_shift": "scale_shift",
}


def enlarge(small: torch.Tensor) -> torch.Tensor:
    """(n, 3, 32, 32) to (n, 3, 64, 64), bicubic: what the upsampler sees beside the noise."""
    return functional.interpolate(small, scale_factor=2, mode="bicubic", align_corners=False)


def damage_small(small: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Noise of random strength on every small picture, and a light blur on half of them."""
    n = len(small)
    soft = functional.avg_pool2d(functional.pad(small, (1, 1, 1, 1), "replicate"), 3, 1)
    mix = torch.from_numpy(rng.uniform(0, 0.5, n) * (rng.random(n) < 0.5)).to(small)
    small = small + mix[:, None, None, None] * (soft - small)
    strength = torch.from_numpy(rng.uniform(0, 0.12, n)).to(small)[:, None, None, None]
    return small + strength * torch.randn_like(small)


def train(folder: Path, checkpoints: Path, plan: Plan, portraits: int = 30_000, batch: int = 16):
    """Learn and write `super_res_first/` and its scheduler. Returns the record."""
    from diffusers import UNet2DModel

    data = portrait_set("train", portraits, plan.seed, checkpoints)
    scheduler = upsampler_schedule()
    torch.manual_seed(plan.seed)
    model = UNet2DModel(**MODEL)

    def loss_of(model, rng: np.random.Generator) -> torch.Tensor:
        clean = data.images(np.sort(rng.integers(len(data), size=batch))).to(device())
        small = damage_small(functional.avg_pool2d(clean, 2), rng)
        times, noisy, _ = noised(scheduler, clean)
        with autocast():
            out = model(torch.cat([noisy, enlarge(small)], 1), times).sample
        return functional.mse_loss(out.float(), clean)

    average, record = fit("upsampler", model, loss_of, plan, checkpoints)
    average.half().save_pretrained(folder / "super_res_first")
    scheduler.save_pretrained(folder / "super_res_scheduler")
    return record | {"portraits": portraits, "batch": batch}

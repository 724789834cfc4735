"""The diffusion prior: text to CLIP image embedding (Ramesh et al. 2022, section 2.2)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from toolkit.clip import load_clip
from toolkit.pipelines.schedules import prior_schedule
from toolkit.training import towers
from toolkit.training.data import PortraitSet, portrait_set
from toolkit.training.loop import Plan, autocast, device, fit

MODEL = {
    "num_attention_heads": 3,
    "attention_head_dim": 64,
    "num_layers": 6,
    "additional_embeddings": 4,
}
DROPPED = 0.1


def cached_embeddings(data: PortraitSet, clip_folder: Path, path: Path) -> np.ndarray:
    """(n, d) float32 CLIP image embeddings of the training set, unit norm; made once."""
    if not path.exists():
        sys.stderr.write(f"embedding {len(data)} portraits\n")
        temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp.npy")
        np.save(temporary, load_clip(str(clip_folder)).encode_image(data.pictures))
        os.replace(temporary, path)
    return np.load(path)


def train(
    folder: Path,
    checkpoints: Path,
    plan: Plan,
    clip_folder: Path,
    portraits: int = 30_000,
    batch: int = 128,
):
    """Learn and write `prior/`, its scheduler and the text side of an unCLIP folder."""
    from diffusers import PriorTransformer
    from diffusers.models.attention_processor import AttnProcessor

    data = portrait_set("train", portraits, plan.seed, checkpoints)
    embeddings = torch.from_numpy(
        cached_embeddings(data, clip_folder, data.cache(checkpoints, "embeddings"))
    )
    clip, scheduler = load_clip(str(clip_folder)), prior_schedule()
    clip.model.to(device()).requires_grad_(False)
    torch.manual_seed(plan.seed)
    model = PriorTransformer(**MODEL, embedding_dim=clip.dim, num_embeddings=clip.length)
    model.set_attn_processor(AttnProcessor())
    model.clip_mean.data = embeddings.mean(0, keepdim=True)
    model.clip_std.data = embeddings.std(0, keepdim=True)
    model.clip_mean.requires_grad_(False)
    model.clip_std.requires_grad_(False)
    whitened = (embeddings - model.clip_mean) / model.clip_std

    def loss_of(model, rng: np.random.Generator) -> torch.Tensor:
        rows = rng.integers(len(data), size=batch)
        captions = data.captions(rows, rng, brief=0.25, free=0.4)
        captions = ["" if rng.random() < DROPPED else caption for caption in captions]
        with autocast():
            text = clip.encode(captions)
        clean = whitened[rows].to(device())
        times = torch.from_numpy(rng.integers(1000, size=batch)).to(device())
        noisy = scheduler.add_noise(clean, torch.randn_like(clean), times)
        with autocast():
            out = model(noisy, times, text.embedding.float(), text.states.float(), text.mask)
        return functional.mse_loss(out.predicted_image_embedding.float(), clean)

    average, record = fit("prior", model, loss_of, plan, checkpoints)
    average.half().save_pretrained(folder / "prior")
    scheduler.save_pretrained(folder / "prior_scheduler")
    towers.write_text_side(clip_folder, folder, projection=True)
    return record | {"portraits": portraits, "batch": batch}

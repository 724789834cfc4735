"""The Stable Diffusion U-Net on cached latents (Rombach et al. 2022; v: Salimans & Ho 2022)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from toolkit.pipelines.schedules import latent_schedule
from toolkit.training import towers
from toolkit.training.data import PortraitSet, portrait_set
from toolkit.training.loop import Plan, autocast, device, fit

# Words enter at 8 x 8 and 4 x 4; the 16 x 16 level is convolution only, which halves a step.
MODEL = {
    "sample_size": 16,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 1,
    "block_out_channels": (64, 128, 144),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (1, 2, 3),  # diffusers' name for the *number* of heads
    "norm_num_groups": 16,
}
DROPPED = 0.1  # captions replaced by "" for classifier-free guidance (Ho & Salimans 2022)


@torch.no_grad()
def cached_latents(data: PortraitSet, vae_folder: Path, path: Path) -> np.ndarray:
    """(n, 4, 16, 16) fp16 latents of the training set, scaled to unit variance; made once."""
    from diffusers import AutoencoderKL

    if not path.exists():
        sys.stderr.write(f"encoding {len(data)} portraits to latents\n")
        vae = AutoencoderKL.from_pretrained(vae_folder).to(device()).eval()
        latents = np.empty((len(data), 4, 16, 16), np.float16)
        for start in range(0, len(data), 64):
            rows = np.arange(start, min(start + 64, len(data)))
            with autocast():
                means = vae.encode(data.images(rows).to(device())).latent_dist.mean
            latents[rows] = (means.float() * vae.config.scaling_factor).half().cpu().numpy()
        temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp.npy")
        np.save(temporary, latents)
        os.replace(temporary, path)
    return np.load(path)


def noised(scheduler, clean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random times, noised samples and their v targets. Times are stratified over the batch."""
    n = len(clean)
    times = ((torch.randperm(n) + torch.rand(n)) / n * 1000).long().clamp(0, 999).to(clean.device)
    noise = torch.randn_like(clean)
    return (
        times,
        scheduler.add_noise(clean, noise, times),
        scheduler.get_velocity(clean, noise, times),
    )


def train(
    folder: Path,
    checkpoints: Path,
    plan: Plan,
    clip_folder: Path,
    portraits: int = 30_000,
    batch: int = 64,
):
    """Learn and write a whole StableDiffusionPipeline folder around `folder/vae`."""
    import open_clip
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    data = portrait_set("train", portraits, plan.seed, checkpoints)
    latents = cached_latents(data, folder / "vae", data.cache(checkpoints, "latents"))
    config, state = towers.read_clip(clip_folder)
    text = towers.text_model(config, state).to(device()).requires_grad_(False)
    length, end = config["text_cfg"]["context_length"], config["text_cfg"]["vocab_size"] - 1
    words = open_clip.SimpleTokenizer(str(clip_folder / "bpe.txt.gz"), context_length=length)
    scheduler = latent_schedule()
    torch.manual_seed(plan.seed)
    model = UNet2DConditionModel(**MODEL, cross_attention_dim=config["text_cfg"]["width"])
    model.set_attn_processor(AttnProcessor())  # faster backward than SDPA in bf16 on CPU

    def states(captions: list[str]) -> torch.Tensor:
        ids = words(captions)
        first = (ids == end).int().argmax(1, keepdim=True)
        ids = torch.where(torch.arange(length) > first, end, ids)
        with torch.no_grad(), autocast():
            return text(input_ids=ids.to(device())).last_hidden_state.float()

    def loss_of(model, rng: np.random.Generator) -> torch.Tensor:
        rows = rng.integers(len(data), size=batch)
        captions = data.captions(rows, rng, brief=0.25, free=0.4)
        captions = ["" if rng.random() < DROPPED else caption for caption in captions]
        clean = torch.from_numpy(latents[rows]).float().to(device())
        times, noisy, target = noised(scheduler, clean)
        with autocast():
            out = model(noisy, times, states(captions)).sample
        return functional.mse_loss(out.float(), target)

    average, record = fit("unet", model, loss_of, plan, checkpoints)
    average.half().save_pretrained(folder / "unet")
    towers.write_text_side(clip_folder, folder, projection=False)
    scheduler.save_pretrained(folder / "scheduler")
    write_index(folder)
    return record | {"portraits": portraits, "batch": batch}


def write_index(folder: Path) -> None:
    """Write the `model_index.json` that StableDiffusionPipeline.from_pretrained reads."""
    import diffusers

    nothing = [None, None]
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": nothing,
        "image_encoder": nothing,
        "requires_safety_checker": False,
        "safety_checker": nothing,
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")

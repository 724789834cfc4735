"""The unCLIP decoder: CLIP image embedding to a 32 px picture (Ramesh et al. 2022, section 2.1).

The paper's decoder may also see the caption. Ours never does (text is always dropped, as zeros):
whatever is drawn came through the image embedding, so a direction there can be tested cleanly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from toolkit.pipelines.schedules import decoder_schedule
from toolkit.training.data import portrait_set
from toolkit.training.loop import Plan, autocast, device, fit
from toolkit.training.prior import cached_embeddings
from toolkit.training.unet import noised

WIDTH = 48
MODEL = {
    "sample_size": 32,
    "in_channels": 3,
    "out_channels": 3,
    "layers_per_block": 1,
    "block_out_channels": (WIDTH, 96, 160),
    "down_block_types": ("DownBlock2D", "DownBlock2D", "SimpleCrossAttnDownBlock2D"),
    "up_block_types": ("SimpleCrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "cross_attention_dim": 96,
    "attention_head_dim": 32,
    "resnet_time_scale_shift": "scale_shift",
    "class_embed_type": "identity",
    "norm_num_groups": 8,
}
DROPPED = 0.1


class Conditioned(nn.Module):
    """The decoder's U-Net and the projection of its image embedding, trained as one."""

    def __init__(self, unet: nn.Module, text_proj: nn.Module):
        super().__init__()
        self.unet, self.text_proj = unet, text_proj

    def forward(self, x: torch.Tensor, times: torch.Tensor, embedding: torch.Tensor):
        tokens, added = project(self.text_proj, embedding)
        return self.unet(x, times, tokens, class_labels=added).sample


def project(text_proj: nn.Module, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Context tokens (n, 5, c) and the vector added to the time embedding, text left out."""
    zeros = torch.zeros_like(embedding)
    return text_proj(
        image_embeddings=embedding,
        prompt_embeds=zeros,
        text_encoder_hidden_states=zeros[:, None],
        do_classifier_free_guidance=False,
    )


def whiten_inputs(text_proj: nn.Module, embeddings: torch.Tensor) -> None:
    """Start from projections of *whitened* embeddings: raw ones sit in a narrow cone (d^-1/2)."""
    mean, std = embeddings.mean(0), embeddings.std(0)
    with torch.no_grad():
        for layer in (
            text_proj.clip_image_embeddings_project_to_time_embeddings,
            text_proj.clip_extra_context_tokens_proj,
        ):
            layer.weight.div_(std)
            layer.bias.sub_(layer.weight @ mean)


def train(
    folder: Path,
    checkpoints: Path,
    plan: Plan,
    clip_folder: Path,
    portraits: int = 30_000,
    batch: int = 64,
):
    """Learn and write `decoder/`, `text_proj/` and the decoder's scheduler. Returns the record."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnAddedKVProcessor
    from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel

    data = portrait_set("train", portraits, plan.seed, checkpoints)
    embeddings = torch.from_numpy(
        cached_embeddings(data, clip_folder, data.cache(checkpoints, "embeddings"))
    )
    torch.manual_seed(plan.seed)
    unet = UNet2DConditionModel(**MODEL)
    unet.set_attn_processor(AttnAddedKVProcessor())
    text_proj = UnCLIPTextProjModel(
        clip_embeddings_dim=embeddings.shape[1],
        time_embed_dim=4 * WIDTH,
        cross_attention_dim=MODEL["cross_attention_dim"],
    )
    whiten_inputs(text_proj, embeddings)
    model, scheduler = Conditioned(unet, text_proj), decoder_schedule()

    def loss_of(model, rng: np.random.Generator) -> torch.Tensor:
        rows = np.sort(rng.integers(len(data), size=batch))
        clean = functional.avg_pool2d(data.images(rows).to(device()), 2)
        given = embeddings[rows].to(device())
        dropped = torch.from_numpy(rng.random(batch) < DROPPED).to(device())[:, None]
        nothing = model.text_proj.learned_classifier_free_guidance_embeddings
        given = torch.where(dropped, nothing, given)
        times, noisy, target = noised(scheduler, clean)
        with autocast():
            out = model(noisy, times, given)
        return functional.mse_loss(out.float(), target)

    average, record = fit("decoder", model, loss_of, plan, checkpoints)
    average.unet.half().save_pretrained(folder / "decoder")
    average.text_proj.half().save_pretrained(folder / "text_proj")
    scheduler.save_pretrained(folder / "decoder_scheduler")
    return record | {"portraits": portraits, "batch": batch}

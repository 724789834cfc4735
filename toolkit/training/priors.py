"""The other priors: linear in closed form, flow matching, autoregressive."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from toolkit.clip import TextEncoding, load_clip
from toolkit.priors.autoregressive import BUCKETS, DOTS, Causal, Codec
from toolkit.priors.linear import FEW, fit_linear
from toolkit.training.data import PortraitSet, portrait_set
from toolkit.training.loop import Plan, autocast, device, fit
from toolkit.training.prior import DROPPED, MODEL, cached_embeddings

MOST = 10_000  # pairs of the linear fit: a map of 192 by 192 needs no more


def _read(folder: Path, checkpoints: Path, seed: int, portraits: int):
    """Training portraits, their image embeddings (n, d) and a frozen CLIP."""
    data = portrait_set("train", portraits, seed, checkpoints)
    images = cached_embeddings(data, folder, data.cache(checkpoints, "embeddings"))
    clip = load_clip(str(folder))
    clip.model.to(device()).requires_grad_(False)
    return data, images, clip


def _encoded(clip, data: PortraitSet, rows: np.ndarray, rng: np.random.Generator) -> TextEncoding:
    captions = data.captions(rows, rng, brief=0.25, free=0.4)
    captions = ["" if rng.random() < DROPPED else caption for caption in captions]
    with torch.no_grad(), autocast():
        return clip.encode(captions)


def _write(arrays: dict[str, torch.Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    save_file({name: array.contiguous() for name, array in arrays.items()}, temporary)
    os.replace(temporary, path)


def train_linear(
    folder: Path, checkpoints: Path, plan: Plan, clip_folder: Path, portraits: int = 30_000
) -> dict:
    """Fit the linear prior on all pairs and on a few, at once; two captions a portrait."""
    data, images, clip = _read(clip_folder, checkpoints, plan.seed, portraits)
    rows = np.random.default_rng(plan.seed).permutation(len(data))[:MOST]
    rng, texts = np.random.default_rng([plan.seed, 1]), []
    sys.stderr.write(f"embedding {len(rows)} captions\n")
    for start in range(0, len(rows), 512):
        part = rows[start : start + 512]
        texts.append(clip.encode_text(data.captions(part, rng, brief=0.25, free=0.4)))
    said, seen = np.concatenate(texts), images[rows]
    arrays = {}
    for which, count in (("all", len(rows)), ("few", min(FEW, len(rows)))):
        found = fit_linear(said[:count], seen[:count], ridge=1e-3 if which == "all" else 3e-2)
        arrays |= {f"{which}.{name}": torch.from_numpy(array) for name, array in found.items()}
    _write(arrays, folder / "prior_linear" / "model.safetensors")
    return {"pairs": len(rows), "pairs_few": min(FEW, len(rows)), "portraits": portraits}


def train_flow(
    folder: Path,
    checkpoints: Path,
    plan: Plan,
    clip_folder: Path,
    portraits: int = 30_000,
    batch: int = 128,
) -> dict:
    """Learn the velocity of straight paths from noise to whitened embeddings."""
    from diffusers import PriorTransformer
    from diffusers.models.attention_processor import AttnProcessor

    data, images, clip = _read(clip_folder, checkpoints, plan.seed, portraits)
    embeddings = torch.from_numpy(images)
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
        text = _encoded(clip, data, rows, rng)
        clean = whitened[rows].to(device())
        times = torch.from_numpy(rng.random(batch)).float().to(device())
        noise = torch.randn_like(clean)
        x = torch.lerp(noise, clean, times[:, None])
        with autocast():
            out = model(x, 1000 * times, text.embedding.float(), text.states.float(), text.mask)
        return functional.mse_loss(out.predicted_image_embedding.float(), clean - noise)

    average, record = fit("flow", model, loss_of, plan, checkpoints)
    average.half().save_pretrained(folder / "prior_flow")
    return record | {"portraits": portraits, "batch": batch}


def softened(targets: torch.Tensor, width: float = 6.0) -> torch.Tensor:
    """(..., buckets) target chances: a bell of `width` buckets around each one.

    A bucket is a hundredth of a standard deviation: to call its neighbour wrong teaches nothing.
    """
    places = torch.arange(BUCKETS, device=targets.device)
    return (-(((places - targets[..., None]) / width) ** 2) / 2).softmax(-1)


def train_autoregressive(
    folder: Path,
    checkpoints: Path,
    plan: Plan,
    clip_folder: Path,
    portraits: int = 30_000,
    batch: int = 64,
) -> dict:
    """Learn to predict the buckets of an image embedding's components, one after another."""
    data, images, clip = _read(clip_folder, checkpoints, plan.seed, portraits)
    codec = Codec.fit(images)
    buckets = codec.encode(torch.from_numpy(images))
    units = codec.units(buckets)
    some = np.random.default_rng(plan.seed).permutation(len(data))[:2000]
    said = clip.encode_text(data.captions(some, np.random.default_rng([plan.seed, 2])))
    edges = np.quantile((said * images[some]).sum(1), np.linspace(0, 1, DOTS + 1)[1:-1])
    torch.manual_seed(plan.seed)
    model = Causal(clip.dim, clip.length, len(codec.basis))

    def loss_of(model, rng: np.random.Generator) -> torch.Tensor:
        rows = rng.integers(len(data), size=batch)
        text = _encoded(clip, data, rows, rng)
        near = (text.embedding.float().cpu().numpy() * images[rows]).sum(1)
        dots = torch.from_numpy(np.digitize(near, edges)).to(device())
        with autocast():
            logits = model.logits(text, dots, units[rows].to(device()))
        wanted = softened(buckets[rows].to(device()))
        return -(wanted * logits.float().log_softmax(-1)).sum(-1).mean()

    average, record = fit("autoregressive", model, loss_of, plan, checkpoints)
    arrays = {name: array.half().cpu() for name, array in average.state_dict().items()}
    arrays |= {f"codec.{name}": getattr(codec, name) for name in ("mean", "basis", "sigma")}
    _write(arrays, folder / "prior_autoregressive" / "model.safetensors")
    return record | {"portraits": portraits, "batch": batch, "components": len(codec.basis)}

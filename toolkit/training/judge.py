"""The CNN judge, on uniform factors and on damaged pictures, then calibrated.

Its portraits come from the `judge` split: no planted skew, so that it has no prior about who is
a doctor. Damage (blur, noise, resampling, colour, our autoencoder) keeps it honest on generated
pictures, which are never as sharp as renders. Temperature: Guo et al. 2017.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from toolkit.judges.cnn import CnnJudge, FactorNet
from toolkit.training.data import PortraitSet, portrait_set
from toolkit.training.loop import Plan, autocast, device, fit
from toolkit.world import FACTORS

THRESHOLD = 0.6


def labels(data: PortraitSet) -> dict[str, np.ndarray]:
    """(n,) class index a factor; the last class is *unclear*: undefined or hidden."""
    truths = [portrait.truth() for portrait in data.portraits]
    return {
        name: np.array(
            [levels.index(t[name].level) if t[name].counts else len(levels) for t in truths]
        )
        for name, levels in FACTORS.items()
    }


def damage(x: torch.Tensor, rng: np.random.Generator, autoencoder) -> torch.Tensor:
    """A quarter of a batch stays clean; the rest is resampled, blurred, recoloured, noised."""
    x = x.clone()
    n = len(x)
    cuts = rng.permutation(n)
    through, small, soft = cuts[: n // 3], cuts[n // 4 : n // 2], cuts[n // 2 : 3 * n // 4]
    if autoencoder is not None and len(through):
        with torch.no_grad():
            latents = autoencoder.encode(x[through]).latent_dist.mean
            latents = latents + float(rng.uniform(0, 0.25)) * latents.std() * torch.randn_like(
                latents
            )
            x[through] = autoencoder.decode(latents).sample.to(x)
    if len(small):
        side = int(rng.integers(28, 56))
        less = functional.interpolate(x[small], (side, side), mode="bilinear", antialias=True)
        x[small] = functional.interpolate(less, (64, 64), mode="bicubic").to(x)
    if len(soft):
        sigma = float(rng.uniform(0.4, 1.2))
        taps = torch.exp(-(torch.arange(-3, 4) ** 2) / (2 * sigma**2)).to(x)
        kernel = torch.outer(taps, taps)[None, None].repeat(3, 1, 1, 1) / taps.sum() ** 2
        x[soft] = functional.conv2d(x[soft], kernel, padding=3, groups=3).to(x)
    damaged = torch.from_numpy(rng.random(n) < 0.75).to(x.device)[:, None, None, None]
    gain = 1 + 0.08 * torch.randn(n, 3, 1, 1, device=x.device)
    shift = 0.04 * torch.randn(n, 3, 1, 1, device=x.device)
    noise = 0.12 * torch.rand(n, 1, 1, 1, device=x.device) * torch.randn_like(x)
    return torch.where(damaged, x * gain + shift + noise, x).clamp(-1, 1)


def strange(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """(n, 3, 64, 64) pictures with nobody in them: coarse to fine noise, and shuffled tiles."""
    out = torch.empty_like(x)
    for i in range(len(x)):
        if rng.random() < 0.5:
            side = int(rng.choice([4, 8, 16, 32, 64]))
            noise = torch.randn(1, 3, side, side) * float(rng.uniform(0.3, 1.2))
            noise = noise + 0.4 * torch.randn(1, 3, 1, 1)
            out[i] = functional.interpolate(noise, (64, 64), mode="bicubic")[0].to(x)
        else:
            tile = int(rng.choice([8, 16]))
            tiles = x[i].unfold(1, tile, tile).unfold(2, tile, tile)  # (3, a, a, tile, tile)
            across = 64 // tile
            tiles = tiles.reshape(3, across**2, tile, tile)[:, rng.permutation(across**2)]
            tiles = tiles.reshape(3, across, across, tile, tile)
            out[i] = tiles.permute(0, 1, 3, 2, 4).reshape(3, 64, 64)
    return out.clamp(-1, 1)


def puzzling(
    x: torch.Tensor, truth: dict[str, torch.Tensor], rng: np.random.Generator
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """An eighth of a batch made unreadable, so that *unclear* is learnt for strange pictures too.

    Half of it shows nobody: every factor is unclear. The other half are two portraits in equal
    parts: unclear is whatever they do not share.
    """
    x, truth = x.clone(), {name: column.clone() for name, column in truth.items()}
    n = len(x) // 16
    x[:n] = strange(x[:n], rng)
    one, two = slice(n, 2 * n), slice(2 * n, 3 * n)
    x[one] = (x[one] + x[two]) / 2
    for name, levels in FACTORS.items():
        column = truth[name]
        column[:n] = len(levels)
        column[one] = torch.where(column[one] == column[two], column[one], len(levels))
    return x, truth


def fit_temperature(logits: torch.Tensor, truth: torch.Tensor) -> float:
    """The temperature that minimises the cross-entropy on rows not trained on."""
    grid = torch.linspace(0.5, 4, 71)
    losses = [functional.cross_entropy(logits / t, truth) for t in grid]
    return float(grid[int(torch.stack(losses).argmin())])


def train(
    folder: Path,
    checkpoints: Path,
    plan: Plan,
    autoencoder_folder: Path | None,
    portraits: int = 30_000,
    batch: int = 96,
):
    """Learn, calibrate on the last thirtieth of the portraits, write `folder`; the run's record."""
    from diffusers import AutoencoderKL
    from safetensors.torch import save_file

    data = portrait_set("judge", portraits, plan.seed, checkpoints)
    truth, seen = labels(data), len(data) - max(32, len(data) // 30)
    autoencoder = None
    if autoencoder_folder is not None:
        autoencoder = (
            AutoencoderKL.from_pretrained(autoencoder_folder).to(device(), torch.float32).eval()
        )
    torch.manual_seed(plan.seed)
    net = FactorNet()

    def loss_of(net, rng: np.random.Generator) -> torch.Tensor:
        rows = rng.integers(seen, size=batch)
        with autocast():
            x = data.images(rows).to(device())
            targets = {name: torch.from_numpy(truth[name][rows]).to(device()) for name in FACTORS}
            x, targets = puzzling(x, targets, rng)
            logits = net(damage(x, rng, autoencoder))
        losses = [functional.cross_entropy(logits[name].float(), targets[name]) for name in FACTORS]
        return torch.stack(losses).sum()

    average, record = fit("judge", net, loss_of, plan, checkpoints)
    average = average.float().cpu()
    rows = np.arange(seen, len(data))
    with torch.no_grad():
        logits = average(damage(data.images(rows), np.random.default_rng(plan.seed), None))
    temperature = {
        name: fit_temperature(logits[name], torch.from_numpy(truth[name][rows])) for name in FACTORS
    }
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.half().contiguous() for k, v in average.state_dict().items()}
    save_file(state, folder / "judge.safetensors")
    facts = {"widths": [32, 64, 96, 160], "temperature": temperature, "threshold": THRESHOLD}
    (folder / "judge.json").write_text(json.dumps(facts, indent=2) + "\n")
    CnnJudge.load(folder)
    return record | {"portraits": portraits, "batch": batch}

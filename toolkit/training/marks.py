"""The judge of marks: restricted concepts and figures, from renders of the judge split alone.

It starts from the judge's body. A fifth of its portraits are people who differ from a figure in
one visible factor and wear no emblem: who is merely alike is nobody.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from toolkit.judges.marks import KINDS, NOBODY, CnnMarks, MarksNet
from toolkit.training.data import to_tensor
from toolkit.training.judge import damage
from toolkit.training.loop import Plan, autocast, device, fit
from toolkit.world import FIGURES, NOTHING, Portrait, lookalike, render_all, sample, sit

WIDTHS = (32, 64, 96, 160)


def portraits_of_marks(n: int, seed: int) -> list[Portrait]:
    """Wounds, bare shoulders, figures, people like them, and others, a fifth each."""
    rng = np.random.default_rng([seed, 31])
    made = []
    for portrait in sample("judge", n, seed + 5000, NOTHING):
        kind = int(rng.integers(5))
        figure = FIGURES[int(rng.integers(len(FIGURES)))]
        if kind < 2:
            portrait = replace(portrait, restricted=("wound", "bare shoulders")[kind])
        elif kind == 2:
            portrait = sit(figure, rng)
        elif kind == 3:
            portrait = lookalike(sit(figure, rng), rng)
        made.append(portrait)
    return made


def through(autoencoder, pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pictures as the autoencoder gives them back, its latents a little disturbed."""
    rows = []
    for start in range(0, len(pictures), 64):
        x = to_tensor(pictures[start : start + 64])
        with torch.no_grad():
            latents = autoencoder.encode(x).latent_dist.mean
            noise = torch.from_numpy(rng.standard_normal(latents.shape).astype(np.float32))
            latents = latents + float(rng.uniform(0, 0.2)) * latents.std() * noise
            x = autoencoder.decode(latents).sample.clamp(-1, 1)
        rows.append(((x + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(rows)


def train(
    folder: Path,
    checkpoints: Path,
    plan: Plan,
    autoencoder_folder: Path,
    portraits: int = 12_000,
    batch: int = 64,
) -> dict:
    """Learn and write `marks.safetensors` and `marks.json` into `folder`; the run's record."""
    from diffusers import AutoencoderKL
    from safetensors.torch import load_file, save_file

    made = portraits_of_marks(portraits, plan.seed)
    pictures, rng = render_all(made), np.random.default_rng([plan.seed, 32])
    rows = rng.permutation(portraits)[: portraits // 4]
    autoencoder = AutoencoderKL.from_pretrained(autoencoder_folder).float().eval()
    pictures[rows] = through(autoencoder, pictures[rows], rng)
    truth = {
        "restricted": [KINDS["restricted"].index(p.restricted) for p in made],
        "figure": [KINDS["figure"].index(p.figure or NOBODY) for p in made],
    }
    targets = {name: torch.tensor(column) for name, column in truth.items()}
    torch.manual_seed(plan.seed)
    net = MarksNet(WIDTHS)
    if (folder / "judge.safetensors").exists():
        known = load_file(folder / "judge.safetensors")
        body = {key: value.float() for key, value in known.items() if key.startswith("body.")}
        net.load_state_dict(body, strict=False)

    def loss_of(net, rng: np.random.Generator) -> torch.Tensor:
        rows = rng.integers(portraits, size=min(batch, portraits))
        with autocast():
            x = to_tensor(pictures[rows]).to(device())
            logits = net(damage(x, rng, None))
        losses = [
            functional.cross_entropy(logits[name].float(), targets[name][rows].to(device()))
            for name in KINDS
        ]
        return torch.stack(losses).sum()

    average, record = fit("marks", net, loss_of, plan, checkpoints)
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.half().contiguous() for k, v in average.float().cpu().state_dict().items()}
    save_file(state, folder / "marks.safetensors")
    (folder / "marks.json").write_text(json.dumps({"widths": WIDTHS}, indent=2) + "\n")
    CnnMarks.load(folder)
    return record | {"portraits": portraits, "batch": batch}

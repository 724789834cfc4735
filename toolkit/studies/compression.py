"""How far should a picture be compressed before it is diffused? (Rombach et al. 2022, 4.1)

The paper trains the same U-Net on latents of factor f = 1, 2, 4, 8 (and more) for the same steps:
f = 1 is slow, a large f is bound by what its autoencoder loses. Here the same, small: portraits of
32 pixels, without text, each stage resumable, every mark of the training measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from toolkit.pipelines.batch import generators, noise
from toolkit.pipelines.schedules import latent_schedule
from toolkit.studies.charts import Series, chart
from toolkit.studies.generate import Door
from toolkit.studies.laboratory import Drawing, Experiment
from toolkit.studies.pictures import Frame, Strip
from toolkit.studies.sd_lab import SD
from toolkit.studies.sd_measures import estimate, psnr
from toolkit.training.data import to_pictures, to_tensor
from toolkit.training.loop import Plan, autocast, fit
from toolkit.world import FACTORS, render_all, sample
from toolkit.world.sample import NOTHING

FACTORS_OF = {1: 3, 2: 3, 4: 4, 8: 8}  # compression to channels of its latents
SIDE, PORTRAITS, BATCH = 32, 1500, 16
MARKS = (0.25, 0.5, 1.0)  # of the steps
FIRST_STAGE = 4  # times as many steps: a latent is no better than its decoder
SAMPLING = 20
PROMPT = "a portrait"


def portraits(split: str, n: int, seed: int) -> torch.Tensor:
    """(n, 3, 32, 32) in [-1, 1]: renders without anything planted."""
    pictures = render_all(sample(split, n, seed, NOTHING))
    return functional.avg_pool2d(to_tensor(pictures), 64 // SIDE)


def autoencoder(factor: int) -> Any:
    """A small KL autoencoder that shrinks each side by `factor`."""
    from diffusers import AutoencoderKL

    levels = factor.bit_length()  # each level past the first halves the sides
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=(16, 32, 64, 64)[:levels],
        layers_per_block=1,
        latent_channels=FACTORS_OF[factor],
        norm_num_groups=8,
        sample_size=SIDE,
        mid_block_add_attention=False,
    )


def denoiser(factor: int) -> Any:
    """The U-Net, the same for every factor but for its first and last convolution."""
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=SIDE // factor,
        in_channels=FACTORS_OF[factor],
        out_channels=FACTORS_OF[factor],
        block_out_channels=(48, 96),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        layers_per_block=2,
        norm_num_groups=8,
        add_attention=False,
    )


class First:
    """A first stage: pictures to latents of unit variance and back; none for factor 1."""

    def __init__(self, model: Any, known: torch.Tensor):
        self.model, self.scale, self.mean = model, 1.0, 0.0
        latents = self.encode(known[:256])
        self.mean, self.scale = float(latents.mean()), float(1 / latents.std())

    @torch.no_grad()
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        z = x if self.model is None else self.model.encode(x).latent_dist.mean
        return (z - self.mean) * self.scale

    @torch.no_grad()
    def decode(self, z: torch.Tensor) -> np.ndarray:
        z = z / self.scale + self.mean
        return to_pictures(z if self.model is None else self.model.decode(z).sample)


def first_stage(factor: int, known: torch.Tensor, folder: Path, steps: int, seed: int) -> First:
    """Train the autoencoder of a factor, or go on with it; factor 1 has nothing to learn."""
    if factor == 1:
        return First(None, known)
    torch.manual_seed(seed)

    def loss_of(model: Any, rng: np.random.Generator) -> torch.Tensor:
        x = known[rng.integers(len(known), size=BATCH)]
        with autocast():
            posterior = model.encode(x).latent_dist
            y = model.decode(posterior.sample()).sample.float()
        kl = posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()
        return functional.l1_loss(y, x) + 2 * functional.mse_loss(y, x) + 1e-4 * kl.mean()

    plan = Plan(steps=steps, lr=2e-3, seed=seed, ema=0.99)
    model, _ = fit(f"autoencoder-f{factor}", autoencoder(factor), loss_of, plan, folder)
    return First(model.float().eval(), known)


def train_to(
    factor: int, latents: torch.Tensor, folder: Path, steps: int, seed: int
) -> tuple[nn.Module, float]:
    """The U-Net after `steps` in all, and the seconds of training so far."""
    from toolkit.training.unet import noised

    schedule = latent_schedule()
    torch.manual_seed(seed)

    def loss_of(model: Any, rng: np.random.Generator) -> torch.Tensor:
        clean = latents[rng.integers(len(latents), size=BATCH)]
        times, noisy, target = noised(schedule, clean)
        with autocast():
            out = model(noisy, times).sample
        return functional.mse_loss(out.float(), target)

    plan = Plan(steps=steps, lr=1e-3, seed=seed, ema=0.99)
    model, record = fit(f"unet-f{factor}", denoiser(factor), loss_of, plan, folder)
    return model.float().eval(), record["seconds"]


@torch.no_grad()
def draw(model: nn.Module, first: First, factor: int, seeds: Sequence[int]) -> np.ndarray:
    """(n, 32, 32, 3) pictures by DDIM, each seed its own noise."""
    side, schedule = SIDE // factor, latent_schedule()
    x = noise((FACTORS_OF[factor], side, side), generators(seeds))
    schedule.set_timesteps(SAMPLING)
    for level in schedule.timesteps:
        out = torch.cat([model(part, level).sample for part in x.split(32)])
        x = schedule.step(out, level, x).prev_sample
    return first.decode(x)


@torch.no_grad()
def features(judge: Any, pictures: np.ndarray) -> np.ndarray:
    """(n, d) features of the CNN judge, averaged over places, of unit norm."""
    x = functional.interpolate(to_tensor(pictures), (64, 64), mode="bicubic", antialias=True)
    found = torch.cat([judge.net.body(part).mean((2, 3)) for part in x.split(64)])
    return functional.normalize(found, dim=1).numpy()


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of two clouds (n, d), Gaussian kernel, times 100.

    As the kernel distance of Binkowski et al. 2018, it needs no covariance and so few pictures.
    """
    both = np.concatenate([a, b])
    squares = ((both[:, None] - both[None]) ** 2).sum(-1)
    k = np.exp(-squares / np.median(squares[squares > 0]))
    n, m = len(a), len(b)
    within = (k[:n, :n].sum() - n) / (n * (n - 1)) + (k[n:, n:].sum() - m) / (m * (m - 1))
    return float(100 * (within - 2 * k[:n, n:].mean()))


def distance(a: np.ndarray, b: np.ndarray, seed: int, repeats: int = 100) -> dict[str, Any]:
    """The kernel distance, with the 95 % range over random halves of both clouds."""
    rng = np.random.default_rng(seed)
    halves = [
        kernel_distance(
            *(x[rng.choice(len(x), max(2, len(x) // 2), replace=False)] for x in (a, b))
        )
        for _ in range(repeats)
    ]
    low, high = np.percentile(halves, [2.5, 97.5])
    return {"value": round(kernel_distance(a, b), 4), "n": len(a),
            "halves95": [round(float(low), 4), round(float(high), 4)]}  # fmt: skip


def study(
    judge: Any, factor: int, folder: Path, steps: int, n: int, seed: int
) -> tuple[dict[str, Any], np.ndarray]:
    """One factor: first stage, U-Net at each mark, what it draws. Returns facts and pictures."""
    known, real = portraits("train", PORTRAITS, seed), portraits("test", n, seed)
    first = first_stage(factor, known, folder, FIRST_STAGE * steps, seed)
    latents = torch.cat([first.encode(part) for part in known.split(100)])
    truth, wanted = features(judge, to_pictures(real)), list(range(seed, seed + n))
    through = first.decode(first.encode(real))
    done = folder / f"marks-f{factor}-n{n}.json"  # a mark that was passed can't be measured again
    marks: dict[str, Any] = json.loads(done.read_text()) if done.exists() else {}
    model = None
    for at in sorted({max(1, round(share * steps)) for share in MARKS}):
        if str(at) in marks and at != steps:
            continue
        model, seconds = train_to(factor, latents, folder, at, seed)
        began = time.perf_counter()
        pictures = draw(model, first, factor, wanted)
        marks[str(at)] = {
            "train_seconds": seconds,
            "draw_seconds_a_picture": round((time.perf_counter() - began) / n, 4),
            "distance": distance(features(judge, pictures), truth, seed),
            "clear": _clear(judge, pictures, seed),
        }
        done.write_text(json.dumps(marks))
    assert model is not None
    facts = {
        "latent": [FACTORS_OF[factor], SIDE // factor, SIDE // factor],
        "parameters": sum(p.numel() for p in model.parameters()),
        "first_stage_psnr_db": None if factor == 1 else estimate(
            psnr(through, to_pictures(real)), seed
        ),
        "first_stage_distance": distance(features(judge, through), truth, seed),
        "marks": marks,
    }  # fmt: skip
    return facts, draw(model, first, factor, wanted[:8])


def _clear(judge: Any, pictures: np.ndarray, seed: int) -> dict[str, Any]:
    """Share of factors that the judge can read at all."""
    levels = judge.judge(pictures).levels
    return estimate(np.mean([levels[f] != "unclear" for f in FACTORS], 0), seed)


def compression(door: Door, folder: Path, steps: int, n: int, seed: int) -> Experiment:
    """The study for every factor, with its plot: distance over steps and over seconds."""
    place = folder / f"steps-{steps}-seed-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {"n": n, "seed": seed, "steps": steps, "side": SIDE, "factors": {}}
    shown = to_pictures(portraits("test", 8, seed))
    parts: list[Strip | Drawing] = [Strip("test portraits", tuple(Frame(p) for p in shown))]
    over_steps, over_seconds = [], []
    for factor in FACTORS_OF:
        found, pictures = study(door.judge, factor, place, steps, n, seed)
        facts["factors"][str(factor)] = found
        marks = [(int(at), found["marks"][at]) for at in sorted(found["marks"], key=int)]
        values = [mark["distance"]["value"] for _, mark in marks]
        low, high = ([mark["distance"]["halves95"][k] for _, mark in marks] for k in (0, 1))
        over_steps.append(Series(f"f = {factor}", [at for at, _ in marks], values, low, high))
        over_seconds.append(
            Series(f"f = {factor}", [mark["train_seconds"] for _, mark in marks], values)
        )
        heading = (
            f"f = {factor}: distance {values[-1]:.1f}, {100 * marks[-1][1]['clear']['value']:.0f} "
            f"% clear, {marks[-1][1]['train_seconds']:.0f} s of training"
        )
        parts.append(
            Drawing(SD, heading, tuple(f"seed {seed + i}" for i in range(len(pictures))),
                    (f"{PROMPT}, with latents of factor {factor}",) * len(pictures),
                    tuple(range(seed, seed + len(pictures))),
                    lambda rows, trace, images=pictures: _large(images[rows]))
        )  # fmt: skip
    what = "kernel distance to test portraits, lower is better"
    charts = [
        chart(over_steps, "At equal steps", "steps of the U-Net", what),
        chart(over_seconds, "At equal time", "seconds of training", what, log_x=True),
    ]
    title = "How far to compress: the same U-Net on latents of factor f"
    return Experiment(title, parts, facts, charts)


def _large(pictures: np.ndarray) -> np.ndarray:
    """(n, 32, 32, 3) to the door's (n, 64, 64, 3)."""
    x = functional.interpolate(to_tensor(pictures), (64, 64), mode="bicubic", antialias=True)
    return to_pictures(x)

"""Stable Diffusion on own pictures: the U-Net, and from nothing the autoencoder before it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from toolkit.clip import WEIGHTS, load_clip
from toolkit.errors import UserError
from toolkit.training import autoencoder, towers, unet
from toolkit.training.loop import Plan, autocast, device, fit
from toolkit.training.own_data import OwnSet

if TYPE_CHECKING:
    from PIL import Image

    from toolkit.pipelines.stable_diffusion import StableDiffusion
    from toolkit.training.own import Request, Say

RATE = {"nothing": 6e-4}
TUNED_RATE = 1e-4
GRID_STEPS = 15
POOR_DB = 24.0  # an autoencoder under this blurs what the U-Net could learn


def learn(request: Request, data: OwnSet, work: Path, say: Say) -> dict[str, Any]:
    """Fill `work/model` with a whole pipeline. Returns the record of the run."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    from toolkit.pipelines.schedules import latent_schedule
    from toolkit.pipelines.stable_diffusion import StableDiffusion
    from toolkit.training.own import fixed_rows, watcher

    folder, source = work / "model", request.source()
    clip = load_clip(request.clip or "portraits")
    clip_folder = Path(request.clip) if request.clip else WEIGHTS / "clip"
    width = towers.read_clip(clip_folder)[0]["text_cfg"]["width"]
    record: dict[str, Any] = {}
    if source is None:
        record["autoencoder"] = _autoencoder(request, data, work)
    else:
        _start_from(source, folder, width)
    if source is None or request.clip:
        towers.write_text_side(clip_folder, folder, projection=False)
    torch.manual_seed(request.seed)
    model = (
        UNet2DConditionModel(**unet.MODEL, cross_attention_dim=width)
        if source is None
        else UNet2DConditionModel.from_pretrained(source / "unet").float()
    )
    model.save_pretrained(folder / "unet")
    latent_schedule().save_pretrained(folder / "scheduler")
    unet.write_index(folder)
    model.set_attn_processor(AttnProcessor())  # faster backward than SDPA in bf16 on CPU
    pipeline = StableDiffusion(folder, clip)
    latents = torch.cat(
        [pipeline.encode(data.pictures[i : i + 64]) for i in range(0, len(data), 64)]
    )
    record["autoencoder_psnr_db"] = rebuilt_db(pipeline, data.pictures[:256], latents[:256])
    if record["autoencoder_psnr_db"] < POOR_DB:
        say(
            f"the autoencoder gives these pictures back at {record['autoencoder_psnr_db']:.1f} dB "
            f"only (under {POOR_DB:.0f} is blurred); --from nothing would train one on them"
        )
    scheduler = latent_schedule()
    learnt, held = data.split()

    def loss_on(model: nn.Module, rows: np.ndarray, captions: list[str]) -> torch.Tensor:
        states = pipeline.states(captions).to(device())
        times, noisy, target = unet.noised(scheduler, latents[rows].to(device()))
        with autocast():
            out = model(noisy, times, states).sample
        return functional.mse_loss(out.float(), target)

    def loss_of(model: nn.Module, rng: np.random.Generator) -> torch.Tensor:
        rows = learnt[rng.integers(len(learnt), size=request.batch)]
        captions = ["" if rng.random() < unet.DROPPED else data.captions[row] for row in rows]
        return loss_on(model, rows, captions)

    def held_loss(average: nn.Module) -> float:
        rows = held[:64]
        return float(loss_on(average, rows, [data.captions[row] for row in rows]))

    drawn = Grid(pipeline, data, fixed_rows(data), request.seed)
    if drawn.closed:
        say(drawn.closed)
    share = 1.0 if source is not None else 2 / 3
    average, found = fit(
        "unet", model, loss_of, plan(request, share, RATE.get(request.start, TUNED_RATE)), work,
        watcher(work, held_loss if len(held) else None, drawn, "U-Net: loss"), request.every,
    )  # fmt: skip
    average.half().save_pretrained(folder / "unet")
    return record | found


def plan(request: Request, share: float, rate: float, ema: float = 0.999) -> Plan:
    """The loop's plan for a request; `share` of its minutes, all of its steps."""
    minutes = None if request.minutes is None else request.minutes * share
    return Plan(minutes, request.steps, rate, ema=ema, seed=request.seed)


def _start_from(source: Path, folder: Path, width: int) -> None:
    """Copy what stays as it is; refuse a U-Net that reads another text width."""
    try:
        reads = json.loads((source / "unet" / "config.json").read_text())["cross_attention_dim"]
        for part in ("vae", "text_encoder", "tokenizer"):
            shutil.copytree(source / part, folder / part, dirs_exist_ok=True)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{source} is no Stable Diffusion folder of ours ({error})") from error
    if reads != width:
        raise UserError(
            f"the U-Net in {source} reads text states of width {reads}, this CLIP gives {width}; "
            "use --from nothing with it"
        )


def rebuilt_db(pipeline: StableDiffusion, pictures: np.ndarray, latents: torch.Tensor) -> float:
    """PSNR in dB of pictures (n, 64, 64, 3) through the autoencoder."""
    error = (pipeline.decode(latents).astype(float) - pictures) ** 2
    return round(float(10 * np.log10(255**2 / max(error.mean(), 1e-9))), 2)


class Grid:
    """The sample grid: real pictures above, what the model draws for their captions below.

    Every prompt and picture passes the guard, as everything that is drawn; without a guard
    nothing is shown, and the training goes on.
    """

    def __init__(self, pipeline: StableDiffusion, data: OwnSet, rows: np.ndarray, seed: int):
        from toolkit.guarding import load_guard

        self.pipeline, self.data, self.rows, self.seed = pipeline, data, rows, seed
        self.guard, self.closed = None, ""
        try:
            self.guard = load_guard(load_clip())
        except UserError as error:
            self.closed = f"no sample: {error}"

    def __call__(self, average: nn.Module) -> Image.Image:
        from toolkit.studies.pictures import Frame, Strip, sheet

        real = tuple(Frame(self.data.pictures[row]) for row in self.rows)
        if self.guard is None:
            return sheet([Strip("own pictures", real), Strip(self.closed, (Frame(None),))])
        self.pipeline.unet = average if device().type == "cpu" else average.cpu()
        captions = [self.data.captions[row] for row in self.rows]
        seeds = [self.seed + index for index in range(len(captions))]
        guarded = self.guard(self.pipeline.generate, self.pipeline.name)
        done = guarded(captions, seeds, steps=GRID_STEPS)
        average.to(device())
        shown = {} if done.batch is None else dict(zip(done.kept, done.batch.images, strict=True))
        drawn = tuple(
            Frame(shown.get(i), text if i in shown else f"withheld: {done.decisions[i].reason}")
            for i, text in enumerate(captions)
        )
        return sheet([Strip("own pictures", real), Strip("drawn for their captions", drawn)])


def _autoencoder(request: Request, data: OwnSet, work: Path) -> dict[str, Any]:
    """Train an autoencoder on the pictures into `work/model/vae`. Returns its record."""
    from diffusers import AutoencoderKL

    from toolkit.studies.pictures import Frame, Strip, sheet
    from toolkit.training.data import to_pictures
    from toolkit.training.own import fixed_rows, watcher

    torch.manual_seed(request.seed)
    model = AutoencoderKL(**autoencoder.MODEL)
    (learnt, held), rows = data.split(), fixed_rows(data)

    def loss_on(model: Any, rows: np.ndarray) -> torch.Tensor:
        x = data.images(rows).to(device())
        with autocast():
            posterior = model.encode(x).latent_dist
            y = model.decode(posterior.sample()).sample.float()
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
        return functional.l1_loss(y, x) + 2 * functional.mse_loss(y, x) + autoencoder.KL_WEIGHT * kl

    def loss_of(model: nn.Module, rng: np.random.Generator) -> torch.Tensor:
        return loss_on(model, learnt[rng.integers(len(learnt), size=request.batch)])

    def grid(average: Any) -> Image.Image:
        with torch.no_grad():
            means = average.encode(data.images(rows).to(device())).latent_dist.mean
            back = to_pictures(average.decode(means).sample)
        real = tuple(Frame(data.pictures[row]) for row in rows)
        rebuilt = tuple(Frame(picture) for picture in back)
        return sheet([Strip("own pictures", real), Strip("through the autoencoder", rebuilt)])

    average, record = fit(
        "autoencoder", model, loss_of, plan(request, 1 / 3, 1e-3, 0.998), work,
        watcher(
            work, (lambda average: float(loss_on(average, held[:64]))) if len(held) else None,
            grid, "autoencoder: loss", "autoencoder-",
        ),
        request.every,
    )  # fmt: skip
    average.float().cpu()
    some = np.linspace(0, len(data) - 1, min(256, len(data))).astype(int)
    with torch.no_grad():
        scale = autoencoder.latent_scale(average, data.images(some))
    average.register_to_config(scaling_factor=scale)
    average.half().save_pretrained(work / "model" / "vae")
    return record

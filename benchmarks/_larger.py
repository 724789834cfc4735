"""Why 64 pixels: what 128 would take, each part timed beside the one that is shipped.

At 128 pixels the latents come from an f = 8 autoencoder, so that the U-Net's work stays the same
(but it learns anew, for the latents are others), and unCLIP needs a second upsampler. Each case
runs in a process of its own: training steps and drawing on random pictures, and the memory of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._alone import environment
from benchmarks.rows import Row

STEPS, BATCH = 4, 16  # timed training steps, and pictures in each, as the recipes have
TARGET = "128, or 64 with the measured reason"
CASES = ("autoencoder 64", "autoencoder 128", "upsampler 64", "upsampler 128")
LATENTS = ("unet",)  # learns on the autoencoder's latents, so a new one means a new U-Net


def _model(part: str, side: int) -> Any:
    from diffusers import AutoencoderKL, UNet2DModel

    from toolkit.training import autoencoder, upsampler

    if part == "upsampler":
        return UNet2DModel(**(upsampler.MODEL | {"sample_size": side}))
    deeper = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (24, 48, 96, 96),
        "sample_size": 128,
    }
    return AutoencoderKL(**(autoencoder.MODEL | (deeper if side == 128 else {})))


def _works(model: Any, part: str, side: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A training step's loss and the drawing of a picture."""
    import torch

    from toolkit.training.loop import autocast

    x = torch.randn(BATCH, 3, side, side)
    if part == "upsampler":
        seen, time_ = torch.cat([x, x], 1), torch.full((BATCH,), 500)

        def loss() -> torch.Tensor:
            with autocast():
                out = model(seen, time_).sample
            return ((out.float() - x) ** 2).mean()

        return loss, lambda: model(seen[:1], time_[:1]).sample
    latent = torch.randn(1, 4, 16, 16)

    def loss() -> torch.Tensor:
        with autocast():
            posterior = model.encode(x).latent_dist
            y = model.decode(posterior.sample()).sample.float()
        return (y - x).abs().mean()

    return loss, lambda: model.decode(latent).sample


def case(name: str) -> dict[str, float]:
    """Seconds of a training step and of a picture (processor time), and MB at the peak."""
    import torch

    from toolkit.studies.compare_systems import high_water

    part, _, side = name.partition(" ")
    torch.manual_seed(0)
    model = _model(part, int(side))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    loss, draw = _works(model.train(), part, int(side))
    steps, pictures = [], []
    for _ in range(STEPS + 1):
        began = time.process_time()
        loss().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        steps.append(time.process_time() - began)
    peak = high_water()
    model.eval()
    with torch.no_grad():
        for _ in range(STEPS + 1):
            began = time.process_time()
            draw()
            pictures.append(time.process_time() - began)
    return {
        "step": float(np.median(steps[1:])),
        "picture": float(np.median(pictures[1:])),
        "peak": peak,
    }


def _seconds_of(card: Path) -> float:
    """How long a model was trained, as its card has it: "1020.2 + 1080.8" for two times."""
    return sum(float(part) for part in str(json.loads(card.read_text())["seconds"]).split("+"))


def larger(seed: int, size: object) -> Iterator[tuple[list[Row], list[dict]]]:
    """`image_px`, and the hours, seconds and memory that 128 would take."""
    from toolkit.clip import WEIGHTS
    from toolkit.pipelines.unclip import UPSAMPLER_STEPS

    found = {}
    for name in CASES:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks._larger", name], env=environment(),
            cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        found[name] = json.loads(done.stdout.splitlines()[-1])

    def times(part: str, what: str) -> float:
        return found[f"{part} 128"][what] / found[f"{part} 64"][what]

    cards = {"autoencoder": WEIGHTS / "stable-diffusion" / "autoencoder.card.json",
             "upsampler": WEIGHTS / "unclip" / "upsampler.card.json",
             "unet": WEIGHTS / "stable-diffusion" / "unet.card.json"}  # fmt: skip
    took = {part: _seconds_of(card) for part, card in cards.items()}
    hours = (
        took["autoencoder"] * times("autoencoder", "step")
        + took["upsampler"] * times("upsampler", "step")
        + sum(took[part] for part in LATENTS)
    ) / 3600
    more = {part: found[f"{part} 128"]["picture"] for part in ("autoencoder", "upsampler")}
    rows = [
        Row("image_px", "shipped", "pellucid", 64, TARGET, 1),
        Row("image_px", "128: hours of training at equal steps, one thread", "pellucid", hours,
            None, STEPS),
    ]  # fmt: skip
    for part in ("autoencoder", "upsampler"):
        rows += [
            Row("image_px", f"128: {part}, a training step against 64", "pellucid",
                times(part, "step"), None, STEPS),
            Row("image_px", f"128: {part}, MB at the peak of training", "pellucid",
                found[f"{part} 128"]["peak"], None, 1),
        ]  # fmt: skip
    rows += [
        Row("image_px", "128: seconds more a picture, Stable Diffusion", "pellucid",
            more["autoencoder"] - found["autoencoder 64"]["picture"], None, STEPS),
        Row("image_px", "128: seconds more a picture, unCLIP", "pellucid",
            UPSAMPLER_STEPS * more["upsampler"], None, STEPS),
    ]  # fmt: skip
    yield rows, [{"figure": "image_px", "case": name, **facts} for name, facts in found.items()]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(case(sys.argv[1])) + "\n")

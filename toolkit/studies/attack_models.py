"""Our own Stable Diffusion as an attacker: pictures drawn anew by its autoencoder and U-Net.

Both know portraits of 64 pixels. Of other pictures the autoencoder takes up to 512 pixels a side
at once, which it stands; the U-Net sees 64 x 64 tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from safety.attacks import SWEEPS, Sweep, diffuse, regenerate
from toolkit.pipelines.batch import generators, noise

CELL, LARGEST, DRAWN = 4, 512, 64  # pixels: of a latent, of a tile of either network
STEPS = 25  # from pure noise; `strength` is the share of them that is done
AT_ONCE = 16
MODELS = ("autoencoder", "diffusion")


def tiles(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(h, w, 3) as (n, height, width, 3), the edge repeated where it does not come out even."""
    ends = ((0, -image.shape[0] % height), (0, -image.shape[1] % width), (0, 0))
    padded = np.pad(image, ends, "edge")
    down, across = padded.shape[0] // height, padded.shape[1] // width
    cut = padded.reshape(down, height, across, width, 3).transpose(0, 2, 1, 3, 4)
    return cut.reshape(-1, height, width, 3)


def joined(parts: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The picture (h, w, 3) whose `tiles` these are."""
    n, height, width, _ = parts.shape
    across = -(-shape[1] // width)
    grid = parts.reshape(n // across, across, height, width, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(-1, across * width, 3)[: shape[0], : shape[1]]


def _fitting(length: int) -> int:
    return min(LARGEST, length + -length % CELL)


def through_autoencoder(model: Any, image: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 encoded and decoded once."""
    height, width = map(_fitting, image.shape[:2])
    parts = [model.decode(model.encode(one[None])) for one in tiles(image, height, width)]
    return joined(np.concatenate(parts), image.shape)


@torch.no_grad()
def redrawn(model: Any, pictures: np.ndarray, seeds: Sequence[int], strength: float) -> np.ndarray:
    """(n, 64, 64, 3) noised part of the way and denoised without words or guidance.

    Image to image (SDEdit, Meng et al. 2022); `strength` is the share of steps that is done.
    """
    first = STEPS - max(1, round(strength * STEPS))
    model.scheduler.set_timesteps(STEPS)
    times = model.scheduler.timesteps[first:]
    each = noise((4, 16, 16), generators(seeds))
    latents = model.scheduler.add_noise(model.encode(pictures), each, times[:1])
    states = model.states([""]).expand(len(pictures), -1, -1)
    for time in times:
        guess = model.unet(latents, time, states).sample
        latents = model.scheduler.step(guess, time, latents).prev_sample
    return model.decode(latents)


def by_diffusion(model: Any, image: np.ndarray, seed: int, strength: float) -> np.ndarray:
    """(h, w, 3) uint8 drawn anew in 64 x 64 tiles, each with a seed of its own."""
    parts = tiles(image, DRAWN, DRAWN)
    seeds = np.random.default_rng(seed).integers(1 << 32, size=len(parts)).tolist()
    done = [
        redrawn(model, parts[i : i + AT_ONCE], seeds[i : i + AT_ONCE], strength)
        for i in range(0, len(parts), AT_ONCE)
    ]
    return joined(np.concatenate(done), image.shape)


def every_sweep() -> dict[str, Sweep]:
    """The leaf's sweeps and, last, those that need our models, which load when first used."""

    def model() -> Any:
        from toolkit.pipelines import load_pipeline

        return load_pipeline("stable-diffusion")

    def autoencoder(image: np.ndarray, rng: np.random.Generator, times: float) -> np.ndarray:
        return regenerate(image, rng, int(times), through=partial(through_autoencoder, model()))

    def diffusion(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
        return diffuse(image, rng, strength, redraw=partial(by_diffusion, model()))

    return SWEEPS | {
        "autoencoder": Sweep("autoencoder, times", "autoencoder x {:g}", autoencoder, (1, 3)),
        "diffusion": Sweep(
            "diffusion, by strength", "diffusion at {:g}", diffusion, (0.08, 0.2, 0.4)
        ),
    }

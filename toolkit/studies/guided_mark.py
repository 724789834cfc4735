"""A mark that the last step of generation is guided towards (Gesny et al. 2025).

"Guidance Watermarking for Diffusion Models" takes any detector and follows its gradient while a
picture is drawn, through changes that the mark shall outlive. Here the detector is the exact test
of `safety.cells`, and only the clean latents are guided, through the image decoder: following it
earlier too cost 2 to 4 dB and gave nothing (16 portraits of Stable Diffusion).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from torch.nn.functional import interpolate

from safety.cells import SIDE, frame, patterns, responses
from toolkit.pipelines.batch import Guide
from toolkit.training.data import to_pictures, to_tensor

SPREAD = 0.4  # of pictures' values in [-1, 1], about: the steps suit latents of unit variance
STEPS, RATE = 40, 0.05  # of Adam, and their first size
GOAL = 8.5  # standard deviations of the sum of coins, after each of the changes
COST = 0.35  # of a squared grey level of change, in those
CROPS = 3  # places of a crop in each step
LEFT = 0.6  # share of the area that a crop leaves
SHAKE = 3.5  # grey levels by which JPEG and the mark of release move a cell


def guide_of(key: bytes) -> Guide:
    """The guide for `generate(..., guide=)`. Raises ValueError for a bad key."""
    patterns(key)
    return partial(guided, key=key)


def guided(
    draw: Callable[[torch.Tensor], torch.Tensor], clean: torch.Tensor, key: bytes,
    steps: int = STEPS,
) -> torch.Tensor:  # fmt: skip
    """A tensor near `clean` (n, ...) that `draw` takes to pictures with the key's mark in them.

    Each picture has the pattern that it agrees with best as it is. It is pushed until the test
    would find that one in three changes: a quarter of the size, a crop, and noise as of JPEG, which
    leaves no colour to read.
    """
    with torch.no_grad():
        plain = _levels(draw(clean))
    wanted = _nearest(plain, key)
    chance = torch.Generator().manual_seed(0)  # the same for every picture, in whatever batch
    with torch.enable_grad():
        latents = clean.clone().requires_grad_(True)
        adam = torch.optim.Adam([latents], lr=RATE)
        for step in range(steps):
            adam.param_groups[0]["lr"] = RATE * (1 - step / steps)
            pixels = _levels(draw(latents))
            found = torch.stack(_agreements(pixels, wanted, chance))
            short = (GOAL - found).clamp(min=0).sum()
            change = ((pixels - plain) ** 2).flatten(1).mean(1).sum()
            (latents.grad,) = torch.autograd.grad(short + COST * change, [latents])
            adam.step()
    return latents.detach()


def guided_picture(image: np.ndarray, key: bytes) -> np.ndarray:
    """A copy of (h, w, 3) uint8 pixels that is pushed in the same way, without a generator.

    What is added has half the picture's size, so that no cell gets an edge.
    """
    height, width = image.shape[:2]
    there = to_tensor(np.array(image)[None])

    def draw(change: torch.Tensor) -> torch.Tensor:
        return there + SPREAD * interpolate(change, (height, width), mode="bilinear")

    marked = draw(guided(draw, torch.zeros(1, 3, height // 2, width // 2), key))
    return to_pictures(marked)[0]


def _levels(pictures: torch.Tensor) -> torch.Tensor:
    """[-1, 1] to grey levels."""
    return (pictures + 1) * 127.5


@cache
def _frame(height: int, width: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(one)) for one in frame(height, width))


def _responses(pixels: torch.Tensor, seen: torch.Tensor | None = None) -> torch.Tensor:
    """(n, 3, h, w) grey levels to (n, 3, 16, 16)."""
    size = pixels.shape[2:]
    seen = torch.ones(1, *size) if seen is None else seen
    return torch.stack(responses(pixels, seen, _frame(*size)), 1)


def _nearest(pixels: torch.Tensor, key: bytes) -> torch.Tensor:
    """The pattern that each picture agrees with best, (n, 3, 16, 16)."""
    every = torch.from_numpy(patterns(key))
    return every[torch.einsum("nkij,pkij->np", _responses(pixels), every).argmax(1)]


def _agreement(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """(n,) sums of signed responses in their standard deviations."""
    return (found * wanted).flatten(1).sum(1) / found.flatten(1).norm(dim=1).clamp(min=1e-6)


def _agreements(
    pixels: torch.Tensor, wanted: torch.Tensor, chance: torch.Generator
) -> list[torch.Tensor]:
    """What the test would find after each of the changes, (n,) each."""
    height, width = pixels.shape[2:]
    quarter = interpolate(pixels, (height // 4, width // 4), mode="bicubic", antialias=True)
    parts = [
        _agreement(_responses(pixels, _part(height, width, chance)), wanted) for _ in range(CROPS)
    ]
    moved = SHAKE * torch.randn(1, 1, SIDE, SIDE, generator=chance)
    shaken = _responses(pixels + interpolate(moved, (height, width)))
    jpeg = _agreement(shaken[:, :1], wanted[:, :1])
    return [_agreement(_responses(quarter), wanted), jpeg, jpeg, *parts]


def _part(height: int, width: int, chance: torch.Generator) -> torch.Tensor:
    """What a crop at a random place leaves, (1, h, w)."""
    tall, wide = (round(side * LEFT**0.5) for side in (height, width))
    top, left = (
        int(torch.randint(most + 1, (), generator=chance)) for most in (height - tall, width - wide)
    )
    kept = torch.zeros(1, height, width)
    kept[:, top : top + tall, left : left + wide] = 1
    return kept

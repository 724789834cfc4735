"""What if the decoder is removed? Latents looked at as channels, and through a linear map.

A latent of 4 numbers stands for a patch of 4 x 4 pixels, 48 numbers. The best linear guess of the
patch says how much of the picture lies open in the latents, and how much the decoder knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from toolkit.judges import load_judge
from toolkit.pipelines.batch import generators, noise
from toolkit.studies.generate import Door
from toolkit.studies.laboratory import Drawing, Experiment, strip_of
from toolkit.studies.pictures import Frame, Strip
from toolkit.studies.samples import Sample
from toolkit.studies.sd_lab import SD
from toolkit.studies.sd_measures import asked_of, estimate, named_right, psnr
from toolkit.world import render_all, sample

CELL = 4  # pixels of the picture on each side of a latent
FITTED_ON = 400
MAPS = {"4 x 4 patches": CELL, "one colour": 1}


def patches(pictures: np.ndarray, side: int) -> np.ndarray:
    """(n * cells, side * side * 3): what a map has to give for each latent.

    The whole patch of 4 x 4 pixels for `side` 4, its mean colour for 1.
    """
    n, h, w, _ = pictures.shape
    cells = pictures.reshape(n, h // CELL, CELL, w // CELL, CELL, 3).transpose(0, 1, 3, 2, 4, 5)
    cells = cells.reshape(-1, CELL, CELL, 3).astype(float)
    return cells.mean((1, 2)) if side == 1 else cells.reshape(len(cells), -1)


def fit_linear(latents: np.ndarray, pictures: np.ndarray, side: int) -> np.ndarray:
    """Least squares from latents and a one to patches: (channels + 1, side * side * 3)."""
    x = latents.transpose(0, 2, 3, 1).reshape(-1, latents.shape[1]).astype(float)
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    return np.linalg.lstsq(x, patches(pictures, side), rcond=None)[0]


def apply_linear(weights: np.ndarray, latents: np.ndarray) -> np.ndarray:
    """Latents (n, c, h, w) to pictures (n, 4 h, 4 w, 3) uint8; a mean colour fills its patch."""
    n, _, h, w = latents.shape
    x = latents.transpose(0, 2, 3, 1)
    y = x @ weights[:-1] + weights[-1]  # (n, h, w, side * side * 3)
    if y.shape[-1] == 3:
        y = np.tile(y, CELL * CELL)
    y = y.reshape(n, h, w, CELL, CELL, 3).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h * CELL, w * CELL, 3).clip(0, 255).round().astype(np.uint8)


def channels(latent: np.ndarray, side: int = 64) -> list[np.ndarray]:
    """The channels of one latent (c, h, w) as grey pictures, middle grey for zero."""
    from PIL import Image

    grey = (127.5 + 42.5 * latent).clip(0, 255).astype(np.uint8)  # black and white at 3 sigma
    return [
        np.repeat(
            np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.NEAREST))[
                ..., None
            ],
            3,
            2,
        )
        for one in grey
    ]


def decoder_table(
    model: Any, maps: dict[str, np.ndarray], n: int, seed: int, synthesis: int
) -> dict[str, dict[str, Any]]:
    """PSNR and both judges' readings of test portraits through each map and the decoder."""
    portraits, _ = asked_of(n, seed)
    pictures = render_all(portraits)
    latents = model.encode(pictures)
    truth = [{f: t.level for f, t in p.truth().items() if t.counts} for p in portraits]
    shown = {name: apply_linear(weights, latents.numpy()) for name, weights in maps.items()}
    shown |= {"the decoder": model.decode(latents), "the render itself": pictures}
    table = {}
    for name, images in shown.items():
        table[name] = {
            "psnr_db": None if images is pictures else estimate(psnr(images, pictures), seed),
            "cnn": estimate(named_right(load_judge("cnn").judge(images), truth), seed),
            "synthesis": estimate(
                named_right(load_judge("synthesis").judge(images[:synthesis]), truth[:synthesis]),
                seed,
            ),
        }
    return table


def decoder(door: Door, prompts: Sequence[str], n: int, seed: int) -> Experiment:
    """The decoder removed: channels, the best linear maps, and the decoder, seen and measured."""
    model = door.pipeline(SD)
    known = render_all(sample("probe", FITTED_ON, seed))
    fitted = model.encode(known).numpy()
    maps = {name: fit_linear(fitted, known, side) for name, side in MAPS.items()}
    table = decoder_table(model, maps, n, seed, min(n, 24))

    def latents_of(rows: np.ndarray) -> torch.Tensor:
        start = noise((4, 16, 16), generators([seed] * len(rows)))
        return model.denoise(model.states([prompts[i] for i in rows]), start)

    def heading(name: str, text: str) -> str:
        row = table[name]
        return (
            f"{text}: {row['psnr_db']['value']:.1f} dB to the render; the CNN judge reads "
            f"{100 * row['cnn']['value']:.0f} %, the judge by synthesis "
            f"{100 * row['synthesis']['value']:.0f} %"
        )

    def with_channels(drawn: list[Sample]) -> list[Strip]:
        rows = np.array([i for i, one in enumerate(drawn) if one.whole])
        found = latents_of(rows).numpy() if len(rows) else []
        strips = []
        for channel in range(4):
            frames = [Frame(None)] * len(drawn)
            for row, latent in zip(rows, found, strict=True):
                frames[row] = Frame(channels(latent)[channel])
            strips.append(Strip(f"latents, channel {channel + 1} of 4", tuple(frames)))
        return [strip_of(whole, drawn), *strips]

    texts, seeds = tuple(prompts), (seed,) * len(prompts)
    whole = Drawing(
        SD, heading("the decoder", "with the decoder"), texts, texts, seeds,
        lambda rows, trace: model.decode(latents_of(rows)), then=with_channels,
    )  # fmt: skip
    parts = [whole] + [
        Drawing(
            SD, heading(name, f"without it, best linear map to {name}"), texts, texts, seeds,
            lambda rows, trace, w=weights: apply_linear(w, latents_of(rows).numpy()),
        )
        for name, weights in maps.items()
    ]  # fmt: skip
    facts = {"n": n, "fitted_on": FITTED_ON, "seed": seed, "on_test_renders": table}
    return Experiment("What if the decoder is removed?", parts, facts)

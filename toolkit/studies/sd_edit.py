"""Pictures as a start: image to image at many strengths, and repainting a region only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from toolkit.errors import UserError
from toolkit.pipelines.batch import generators, noise
from toolkit.studies.attention_pointing import region, widened
from toolkit.studies.charts import Series, chart
from toolkit.studies.generate import Door
from toolkit.studies.laboratory import Drawing, Experiment
from toolkit.studies.pictures import Frame, Strip
from toolkit.studies.sd_lab import SD
from toolkit.studies.sd_measures import estimate, psnr, share
from toolkit.world import FACTORS, Portrait, describe, render, render_all, sample

STRENGTHS = (0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
STEPS = 25
CELL = 4
WISH = "a portrait of a person with glasses"


def edited(
    model: Any, pictures: np.ndarray, texts: Sequence[str], seeds: Sequence[int], strength: float
) -> np.ndarray:
    """Image to image (SDEdit, Meng et al. 2022): noise the picture part of the way, denoise it.

    `strength` in (0, 1] is the share of steps that are done; 1 keeps nothing of the picture.
    Raises UserError outside of that.
    """
    if not 0 < strength <= 1:
        raise UserError(f"the strength {strength} is out of range; give more than 0, at most 1")
    first = STEPS - max(1, round(strength * STEPS))
    each = noise((4, 16, 16), generators(seeds))
    model.scheduler.set_timesteps(STEPS)
    level = torch.tensor([int(model.scheduler.timesteps[first])])
    start = model.scheduler.add_noise(model.encode(pictures), each, level)
    return model.decode(model.denoise(model.states(texts), start, steps=STEPS, first=first))


def cells(masks: np.ndarray) -> torch.Tensor:
    """(n, 64, 64) bool to (n, 1, 16, 16): latents whose patch is touched, and their neighbours."""
    wide = np.stack([widened(mask, CELL) for mask in masks])
    touched = wide.reshape(len(masks), 16, CELL, 16, CELL).max((2, 4))
    return torch.from_numpy(touched[:, None].astype(np.float32))


@torch.no_grad()
def inpainted(
    model: Any, pictures: np.ndarray, masks: np.ndarray, texts: Sequence[str], seeds: Sequence[int]
) -> torch.Tensor:
    """(n, 4, 16, 16) latents, new where masks (n, 64, 64) hold, the picture's own elsewhere.

    After each step the latents outside are put back, with the noise of that level (Lugmayr et al.
    2022, eq. 8, without their resampling); the last step puts back the clean ones.
    """
    clean, each, inside = (
        model.encode(pictures),
        noise((4, 16, 16), generators(seeds)),
        cells(masks),
    )

    def keep(latents: torch.Tensor, time: int) -> torch.Tensor:
        known = clean
        if time >= 0:
            known = model.scheduler.add_noise(clean, each, torch.tensor([time]))
        return inside * latents + (1 - inside) * known

    return model.denoise(model.states(texts), each, steps=STEPS, after=keep)


def _people(n: int, seed: int) -> tuple[list[Portrait], list[str]]:
    """Test portraits without glasses, and what is wished for each: glasses, and nothing else said.

    What the wish leaves open has to come from the picture.
    """
    people = [replace(p, glasses="no") for p in sample("test", n, seed)]
    return people, [WISH] * len(people)


def _read(door: Door, images: np.ndarray, people: Sequence[Portrait]) -> dict[str, Any]:
    """How many got glasses, and how many of the other visible factors stayed."""
    read = door.judge.judge(images).levels
    stayed = [
        read[f][i] == truth.level
        for i, p in enumerate(people)
        for f, truth in p.truth().items()
        if truth.counts and f != "glasses"
    ]
    return {
        "got_glasses": share(int((read["glasses"] == "yes").sum()), len(people)),
        "others_stayed": share(int(np.sum(stayed)), len(stayed)),
    }


def edit(door: Door, picture: np.ndarray | None, prompt: str, n: int, seed: int) -> Experiment:
    """Image to image at growing strength: what changes, and what is lost on the way."""
    model, rows = door.pipeline(SD), []
    people, wish = _people(n, seed)
    pictures = render_all(people)
    for strength in STRENGTHS:
        images = np.concatenate(
            [
                edited(model, pictures[i : i + 24], wish[i : i + 24],
                       range(seed + i, seed + min(i + 24, n)), strength)
                for i in range(0, n, 24)
            ]
        )  # fmt: skip
        rows.append({"strength": strength} | _read(door, images, people))
    given = render(people[0]) if picture is None else picture

    def draw(which: np.ndarray, trace: Any) -> np.ndarray:
        return np.concatenate(
            [edited(model, given[None], [prompt], [seed], STRENGTHS[i]) for i in which]
        )

    labels = tuple(
        f"strength {r['strength']:g}: glasses on {100 * r['got_glasses']['value']:.0f} %, rest "
        f"kept {100 * r['others_stayed']['value']:.0f} %"
        for r in rows
    )
    parts: list[Strip | Drawing] = []
    if picture is None:
        parts.append(Strip("a render", (Frame(given, "as the world draws it"),)))
    parts.append(
        Drawing(SD, prompt, labels, (prompt,) * len(STRENGTHS), (seed,) * len(STRENGTHS), draw)
    )
    curves = [
        Series(name, STRENGTHS, [r[key]["value"] for r in rows],
               [r[key]["ci95"][0] for r in rows], [r[key]["ci95"][1] for r in rows])
        for key, name in (("got_glasses", "got glasses"), ("others_stayed", "the rest stayed"))
    ]  # fmt: skip
    curve = chart(curves, f"{n} portraits without glasses, asked to have some", "strength", "share",
                  y_range=(0, 1))  # fmt: skip
    facts = {"n": n, "seed": seed, "strengths": rows}
    return Experiment("Image to image: how much noise, how much change", parts, facts, [curve])


def inpaint(door: Door, n: int, seed: int) -> Experiment:
    """Repaint where glasses would be, and nothing else: did they come, did the rest stay?

    The eyes and much of the face lie inside: what the prompt leaves open there is drawn anew, so
    it is measured with a prompt that names everything and with one that names glasses alone.
    """
    model = door.pipeline(SD)
    people, short = _people(n, seed)
    wish = [
        describe(replace(p, glasses="yes"), np.random.default_rng([seed, 9, i]),
                 factors=tuple(FACTORS)).text
        for i, p in enumerate(people)
    ]  # fmt: skip
    pictures = render_all(people)
    masks = np.stack([region(replace(p, glasses="yes"), "glasses") for p in people])
    again = model.decode(model.encode(pictures))
    outside = cells(masks).numpy()[:, 0].repeat(CELL, 1).repeat(CELL, 2) == 0

    def whole(texts: list[str], how: Any) -> np.ndarray:
        parts = [slice(i, min(i + 24, n)) for i in range(0, n, 24)]
        return np.concatenate([how(at, texts[at], range(seed + at.start, seed + at.stop))
                               for at in parts])  # fmt: skip

    def repaint(at: slice, texts: list[str], seeds: range) -> np.ndarray:
        return model.decode(inpainted(model, pictures[at], masks[at], texts, seeds))

    def redraw(at: slice, texts: list[str], seeds: range) -> np.ndarray:
        return edited(model, pictures[at], texts, seeds, 0.65)

    facts: dict[str, Any] = {"n": n, "seed": seed}
    for name, shown in (
        ("inpainting", whole(wish, repaint)),
        ("inpainting, glasses alone named", whole(short, repaint)),
        ("image to image at 0.65, glasses alone named", whole(short, redraw)),
        ("autoencoder alone", again),
    ):
        decibels = estimate(psnr(shown, pictures, outside), seed)
        facts[name] = _read(door, shown, people) | {"psnr_outside_db": decibels}
    some = min(6, n)

    def draw(which: np.ndarray, trace: Any) -> np.ndarray:
        texts, seeds = [wish[i] for i in which], [seed + int(i) for i in which]
        return model.decode(inpainted(model, pictures[which], masks[which], texts, seeds))

    shaded = pictures.copy()
    shaded[~outside] = (0.35 * shaded[~outside] + 0.65 * np.array([205, 60, 20])).astype(np.uint8)
    found = facts["inpainting"]
    heading = (
        f"repainted: {100 * found['got_glasses']['value']:.0f} % got glasses, the rest stayed in "
        f"{100 * found['others_stayed']['value']:.0f} %; {found['psnr_outside_db']['value']:.1f} "
        "dB outside"
    )
    parts = [
        Strip("renders without glasses", tuple(Frame(p) for p in pictures[:some])),
        Strip("what is repainted", tuple(Frame(p) for p in shaded[:some])),
        Drawing(SD, heading, tuple(wish[:some]), tuple(wish[:some]),
                tuple(seed + i for i in range(some)), draw),
    ]  # fmt: skip
    return Experiment("Inpainting: only where glasses would be", parts, facts)

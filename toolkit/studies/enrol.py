"""From a person's pictures to templates and a gate whose hits and misses were measured.

The gate is set on other people of the world who are enrolled by as many pictures: where it would
still know nearly all of *their* further sittings, worn as drawn pictures are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from safety.calibration import exact_interval
from safety.likeness import Space
from toolkit.clip import WEIGHTS, Clip
from toolkit.errors import UserError

if TYPE_CHECKING:
    from toolkit.world import Portrait

MOST = 50  # pictures of one person
MISSED = 0.01  # of the sittings that set the gate
SITTERS, FURTHER = 120, 5  # people who set and measure a gate, and their further sittings
BATCH = 120
SLACK = 0.1  # below the gate, where a picture is doubted and not merely badly taken


def read_sittings(files: Sequence[str]) -> np.ndarray:
    """(k, 64, 64, 3) uint8 of a person's pictures. Raises UserError naming one that is none."""
    from toolkit.studies.unclip_lab import read_picture

    if len(files) > MOST:
        raise UserError(f"{len(files)} pictures were given; give at most {MOST} of one person")
    return np.stack([read_picture(file) for file in files])


def gate_for(clip: Clip, space: Space, count: int, seed: int = 0) -> tuple[float, dict[str, Any]]:
    """The gate for people enrolled by `count` pictures, and how it did on people of no account.

    Two thirds of the sitters set it, the others measure: further sittings found, and sittings of
    people one factor off let through, each with its 95 % interval.
    """
    from toolkit.world import NOTHING, lookalike, sample

    rng = np.random.default_rng([seed, 51])
    sitters = sample("probe", SITTERS, seed + 7700, NOTHING)
    given = [_again(one, rng) for one in sitters for _ in range(count)]
    further = [_again(one, rng) for one in sitters for _ in range(FURTHER)]
    cut = 2 * SITTERS // 3
    off = [lookalike(one, rng) for one in further[cut * FURTHER :]]
    shown = space(_seen(clip, [*given, *further, *off], len(given), rng))
    faces = shown[: len(given)].reshape(SITTERS, count, -1).mean(1)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    of = np.repeat(np.r_[np.arange(SITTERS), np.arange(cut, SITTERS)], FURTHER)
    cosines = (shown[len(given) :] * faces[of]).sum(1)
    setting, same, alike = np.split(cosines, [cut * FURTHER, SITTERS * FURTHER])
    gate = float(np.quantile(setting, MISSED))
    return gate, _rates(same, alike, gate, count)


def _again(portrait: Portrait, rng: np.random.Generator) -> Portrait:
    """The same person at another sitting."""
    from toolkit.world import FACTORS, moved

    expression = FACTORS["expression"][int(rng.integers(3))]
    return moved(replace(portrait, expression=expression), rng)


def _seen(
    clip: Clip, portraits: list[Portrait], plain: int, rng: np.random.Generator
) -> np.ndarray:
    """Embeddings, all but the first `plain` pictures worn as drawn ones are."""
    from diffusers import AutoencoderKL

    from toolkit.training.guard import worn
    from toolkit.world import render_all

    model: Any = AutoencoderKL.from_pretrained(WEIGHTS / "stable-diffusion" / "vae")
    pictures = render_all(portraits)
    pictures[plain:] = worn(pictures[plain:], model.float().eval(), rng, False)
    return np.concatenate(
        [clip.encode_image(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)]
    )


def _rates(same: np.ndarray, alike: np.ndarray, gate: float, count: int) -> dict[str, Any]:
    found, through = int((same >= gate).sum()), int((alike < gate).sum())
    return {
        "pictures": count,
        "sittings": len(same),
        "found": found / len(same),
        "found_ci95": exact_interval(found, len(same)),
        "alike": len(alike),
        "alike_let_through": through / len(alike),
        "alike_let_through_ci95": exact_interval(through, len(alike)),
    }


def odd_ones(space: Space, vectors: np.ndarray, gate: float) -> list[int]:
    """Which of a person's pictures are far from what most of them show."""
    if len(vectors) < 3:
        return []
    z = space(vectors)
    middle = np.median(z, 0)
    return [int(i) for i in np.flatnonzero(z @ middle < (gate - SLACK) * np.linalg.norm(middle))]


def blocked_by_name(name: str) -> tuple[int, int]:
    """How many of how many harmless prompts would be withheld because of a name."""
    from safety.words import names
    from toolkit.harmless import harmless_prompts

    prompts = harmless_prompts()
    return sum(names(prompt, name) for prompt in prompts), len(prompts)

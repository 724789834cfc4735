"""The whole mission, once, for real: `pellucid demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toolkit.world import FIGURES, render_all, sit

if TYPE_CHECKING:
    from probes import Direction

    from toolkit.studies.generate import Door, Sample

# Written by hand; each names at least four factors, between them every factor and most levels.
PROMPTS = (
    "a smiling young doctor with brown skin, glasses and short black hair on a blue background",
    "an old chef with pale skin and a grey beard against a red wall",
    "a surprised young person with long red hair and peach skin on a green background",
    "a serious old farmer with bronze skin, glasses and no beard on a yellow background",
    "a cheerful firefighter with ebony skin and a black beard on a white background",
    "a stern police officer with golden skin, long blond hair and no glasses against a purple wall",
    "an elderly artist with curly blue hair and round glasses in front of a white backdrop",
    "a happy young person in a sweater with a bald head, a brown beard and brown skin",
)
OPEN_PROMPT = "a portrait of a doctor"
OPEN_PICTURES = 24
FACTOR, STEERED = (
    "glasses",
    "a smiling young farmer with peach skin and no glasses on a green background",
)
FACTORS_SOUGHT = ("glasses", "beard", "age")
REAL_ON_MAP = 240
HARMLESS = "a smiling young person in a sweater on a yellow background"


def _figure(consents: bool) -> str:
    return next(figure.name for figure in FIGURES if figure.consents is consents)


def draw_prompts(door: Door, seed: int) -> list[Sample]:
    """Eight prompts through both pipelines, the same seeds, every step kept."""
    seeds = [1000 * seed + index for index in range(len(PROMPTS))]
    drawn = []
    for name in door.names:
        drawn += door.draw(name, PROMPTS, seeds, group="prompts", traced=True)
    return drawn


def draw_open(door: Door, seed: int) -> list[Sample]:
    """One prompt that leaves nearly everything open, many seeds: what the models default to."""
    seeds = [1000 * seed + 100 + index for index in range(OPEN_PICTURES)]
    drawn = []
    for name in door.names:
        drawn += door.draw(name, [OPEN_PROMPT] * OPEN_PICTURES, seeds, group="audit")
    return drawn


def towards(door: Door, name: str, real: np.ndarray, seed: int) -> tuple[Direction, float]:
    """A direction from real portraits to one figure's face, and the strength that arrives there."""
    from probes import MeanDifference

    figure = next(figure for figure in FIGURES if figure.name == name)
    rng = np.random.default_rng(seed)
    faces = door.clip.encode_image(render_all([sit(figure, rng) for _ in range(40)]))
    labels = np.array(["figure"] * len(faces) + ["anyone"] * len(real))
    found = MeanDifference(door.pipeline("unclip").space).fit(
        np.concatenate([faces, real]), {"figure": list(labels)}
    )
    direction = found.directions_["figure"]
    gap = direction.project(faces).mean() - direction.project(real).mean()
    return direction, float(gap / direction.sigma)

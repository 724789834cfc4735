"""Filmstrips: one seed along a direction, beside a random direction of equal norm."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import UserError
from toolkit.runs import RunWriter, load_run, write_json
from toolkit.studies.pictures import Frame, Strip, save, sheet

if TYPE_CHECKING:
    from PIL import Image

    from probes import Direction
    from toolkit.studies.generate import Door
    from toolkit.studies.samples import Sample

STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
TITLES = {"stable-diffusion": "Stable Diffusion", "unclip": "unCLIP"}


@dataclass(frozen=True)
class Film:
    """One seed drawn along a direction and along a random one, strength by strength.

    `along` and `random` hold one sample a strength; at strength 0 they are the same sample.
    """

    pipeline: str
    factor: str
    prompt: str
    strengths: tuple[float, ...]
    along: tuple[Sample, ...]
    random: tuple[Sample, ...]

    @property
    def image(self) -> str:
        """Where its picture lies in a run."""
        return f"steering/{self.factor}.{self.pipeline}.png"

    def readings(self, samples: Sequence[Sample]) -> list[str]:
        """What the judge read in each frame; "withheld" where the guard kept it back."""
        return [_reading(sample, self.factor) for sample in samples]

    def facts(self) -> dict[str, Any]:
        """The filmstrip as steering.json has it."""
        return {
            "pipeline": self.pipeline,
            "factor": self.factor,
            "prompt": self.prompt,
            "seed": self.along[0].seed,
            "image": self.image,
            "strengths": list(self.strengths),
            "direction": self.readings(self.along),
            "random": self.readings(self.random),
            "direction_samples": [sample.id for sample in self.along],
            "random_samples": [sample.id for sample in self.random],
        }


def _reading(sample: Sample, factor: str) -> str:
    if sample.image is None:
        return "withheld"
    return sample.judged[factor] if sample.readable else "not read"


def film(
    door: Door,
    pipeline: str,
    direction: Direction,
    factor: str,
    prompt: str,
    seed: int,
    strengths: Sequence[float] = STRENGTHS,
    how: Callable[..., Any] | None = None,
) -> Film:
    """Draw a filmstrip through the guarded door; `how` as in Door.draw."""
    from probes import random_direction

    still = door.draw(pipeline, [prompt], [seed], group="steer", how=how)[0]
    lines = []
    for one in (direction, random_direction(direction, seed)):
        lines.append(
            tuple(
                door.draw(pipeline, [prompt], [seed], [(one, strength)], group="steer", how=how)[0]
                if strength
                else still
                for strength in strengths
            )
        )
    return Film(pipeline, factor, prompt, tuple(strengths), *lines)


def picture(one: Film) -> Image.Image:
    """The filmstrip as a picture, the judge's reading under each frame."""
    strips = []
    for heading, samples in (
        (f"along {one.factor}, in standard deviations", one.along),
        ("along a random direction of equal norm", one.random),
    ):
        start = one.readings(samples)[one.strengths.index(0.0)] if 0.0 in one.strengths else None
        frames = tuple(
            Frame(sample.image, f"{signed(strength)}  {reading}", strong=reading != start)
            for sample, strength, reading in zip(
                samples, one.strengths, one.readings(samples), strict=True
            )
        )
        strips.append(Strip(heading, frames))
    return sheet(strips, f"{title(one.pipeline)}: {one.prompt}")


def title(pipeline: str) -> str:
    """A pipeline's name for people; a checkpoint's own name."""
    return TITLES.get(pipeline, pipeline)


def write_films(run: RunWriter, films: Sequence[Film]) -> None:
    """Pictures and steering.json of a run."""
    for one in films:
        save(picture(one), run.file(one.image))
    write_json(run.file("steering.json"), [one.facts() for one in films])


def unique(films: Sequence[Film]) -> list[Sample]:
    """The samples of the films, each once."""
    every = [sample for one in films for sample in (*one.along, *one.random)]
    return list({sample.id: sample for sample in every}.values())


def signed(strength: float) -> str:
    """A strength as people write it: -2, 0, +2."""
    return f"{strength:+g}" if strength else "0"


def find_direction(folder: str | Path, factor: str, *sites: str) -> Direction:
    """A direction of a run, or of a plain folder of directions, at the first site that has it.

    Raises UserError with the names that are there, or for a damaged run.
    """
    from probes import Direction
    from toolkit.studies.discover import file_name

    path = Path(folder)
    if not path.is_dir():
        raise UserError(
            f"there is no {path} to take directions from; make it with: pellucid discover"
        )
    if (path / "manifest.json").exists():
        load_run(path)
        path = path / "directions"
    files = [path / file_name(factor, site) for site in sites]
    file = next((file for file in files if file.exists()), None)
    if file is None:
        there = sorted(
            p.stem.removesuffix(f".{site}")
            for site in sites
            for p in path.glob(f"*.{site}.safetensors")
        )
        raise UserError(
            f"{path} has no direction {factor!r} for the site {' or '.join(sites)}; there is: "
            f"{', '.join(there) or 'none'}"
        )
    try:
        return Direction.load(file)
    except UserError:
        raise
    except (ValueError, OSError, KeyError) as error:
        raise UserError(f"the direction {file} can't be used: {error}") from error


def steer_run(
    out: str,
    *,
    factor: str,
    prompt: str,
    seed: int,
    pipeline: str,
    directions: str,
    replace: bool,
    say: Callable[[str], None],
    model: str | None = None,
    steps: int | None = None,
) -> list[dict[str, Any]]:
    """`pellucid steer`: a run with one filmstrip a pipeline. Returns their facts.

    `model` is a real checkpoint's folder or id, `steps` replace its sampler's own number.
    """
    from toolkit.pipelines.batch import check_request, check_sampler
    from toolkit.studies.generate import (
        chosen_checkpoint,
        chosen_pipelines,
        open_door,
        sites_of,
        write_samples,
    )

    check_request([prompt], [seed])
    settings = check_sampler(steps, None)
    checkpoint = chosen_checkpoint(model, pipeline, say)
    names = (checkpoint.name,) if checkpoint else chosen_pipelines(pipeline)
    found = {
        name: find_direction(directions, factor, *sites_of(name, checkpoint)) for name in names
    }
    if checkpoint:  # before a picture is drawn for nothing
        found[checkpoint.name].require(checkpoint.spaces[found[checkpoint.name].space.site])
    config = {"factor": factor, "prompt": prompt, "seed": seed, "pipelines": list(names)} | settings
    with RunWriter(
        out, f"pellucid steer {factor} --prompt {json.dumps(prompt)}", config, replace
    ) as run:
        door = open_door(run, say, checkpoint=checkpoint)
        films = []
        for name in names:
            drawer = door.pipeline(name)
            how = partial(drawer.generate, **settings)
            say(f"{title(name)}: {2 * len(STRENGTHS) - 1} frames")
            with run.timed(f"steer {name}"):
                films.append(film(door, name, found[name], factor, prompt, seed, how=how))
        write_films(run, films)
        write_samples(run, door, unique(films))
    return [one.facts() for one in films]

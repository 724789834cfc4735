"""What both laboratories share: an experiment's pictures, numbers and sheet in one run.

A sheet is made of parts in order: a `Strip` holds what needs no guard (renders of the world, maps,
charts), a `Drawing` says how to draw, and its pictures come back through the door.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from toolkit.pipelines import Batch
from toolkit.runs import RunWriter, write_json
from toolkit.studies.charts import stacked
from toolkit.studies.generate import Door, open_door, write_samples
from toolkit.studies.pictures import Frame, Strip, save, sheet
from toolkit.studies.samples import Sample
from toolkit.studies.sources import sources_of

if TYPE_CHECKING:
    from safety.content_credentials import Use


@dataclass(frozen=True)
class Drawing:
    """A row of the sheet that is to be drawn, one label and prompt a picture.

    `draw(rows, trace)` makes the pictures (n, 64, 64, 3) of those rows that the guard let through;
    `given` (n, d) are image embeddings that the guard has to see; `then` makes the row's strips
    from its samples in place of one plain strip.
    """

    pipeline: str
    heading: str
    labels: tuple[str, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    draw: Callable[[np.ndarray, Any], np.ndarray]
    given: np.ndarray | None = None
    traced: bool = False
    then: Callable[[list[Sample]], list[Strip]] | None = None


@dataclass(frozen=True)
class Experiment:
    """What an experiment found: its sheet's parts, numbers for `KIND.json`, charts below.

    `said` are sentences that the sheet begins with.
    """

    title: str
    parts: Sequence[Strip | Drawing]
    facts: dict[str, Any] = field(default_factory=dict)
    charts: Sequence[Image.Image] = ()
    said: Sequence[str] = ()


def draw(door: Door, drawing: Drawing, references: np.ndarray | None) -> list[Sample]:
    """A drawing's pictures through the guard, which sees the references and every embedding."""

    def how(prompts, seeds, edits=(), start=None, trace=None) -> Batch:
        images = drawing.draw(start, trace)  # `start` says which rows the guard let through
        texts = door.clip.encode_text(list(prompts))
        given = None if drawing.given is None else drawing.given[start]
        return Batch(images, tuple(prompts), tuple(seeds), drawing.pipeline, texts, given)

    return door.draw(
        drawing.pipeline, drawing.prompts, drawing.seeds, group="laboratory",
        references=references, how=how, start=np.arange(len(drawing.seeds)), traced=drawing.traced,
    )  # fmt: skip


def strip_of(drawing: Drawing, drawn: Sequence[Sample]) -> Strip:
    """The drawing's samples under its labels; what was withheld says so."""
    frames = [
        Frame(one.image, label if one.image is not None else f"{label}: withheld")
        for label, one in zip(drawing.labels, drawn, strict=True)
    ]
    return Strip(drawing.heading, tuple(frames))


def said_once(strips: Sequence[Strip]) -> list[Strip]:
    """The strips without the labels that repeat those of the last labelled strip above."""
    shown, last = [], None
    for strip in strips:
        labels = tuple(frame.label for frame in strip.frames)
        if any(labels) and labels == last:
            strip = Strip(strip.heading, tuple(changed(f, label="") for f in strip.frames))
        last = labels if any(labels) else last
        shown.append(strip)
    return shown


def shown_given(given: Sequence[tuple[str, np.ndarray]], samples: Sequence[Sample]) -> list[Strip]:
    """The user's own pictures as a strip; empty frames where the guard refused one of them."""
    blocked = [one for sample in samples if sample.decision == "block" for one in sample.findings]
    refused = any(one["stage"] == "reference" and one["verdict"] != "pass" for one in blocked)
    frames = [Frame(None, "withheld") if refused else Frame(picture) for _, picture in given]
    return [Strip("given", tuple(frames))] if given else []


def laboratory_run(
    out: str,
    command: str,
    kind: str,
    make: Callable[[Door], Experiment],
    *,
    config: dict[str, Any],
    given: Sequence[tuple[str, np.ndarray]] = (),
    sources: Sequence[str] = (),
    use: Use = "input",
    replace: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Do an experiment in a run: pictures, `laboratory/KIND.png` and `.json`, the report.

    `given` are (name, picture) of the user's own files; `sources` the files that every picture is
    made from, and how (`toolkit.studies.sources`), which their manifests then say. Returns a
    summary. Raises UserError for a folder that is in the way.
    """
    from toolkit.report import write_report

    references = np.stack([picture for _, picture in given]) if given else None
    # How many pictures were given, and not their names: a file's name may name a person.
    config = {"kind": kind} | config | ({"given": len(given)} if given else {})
    with RunWriter(out, command, config, replace) as run:
        door = open_door(run, say)
        door.sources = sources_of(sources, door.keys.anchors, use)
        strips: list[Strip] = []
        samples: list[Sample] = []
        with run.timed("measure"):
            experiment = make(door)
        for part in experiment.parts:
            if isinstance(part, Strip):
                strips.append(part)
                continue
            say(part.heading)
            with run.timed(part.heading):
                drawn = draw(door, part, references)
            samples += drawn
            strips += [strip_of(part, drawn)] if part.then is None else part.then(drawn)
        head = sheet(said_once([*shown_given(given, samples), *strips]), experiment.title,
                     said=experiment.said)  # fmt: skip
        whole = stacked(head, experiment.charts)
        save(whole, run.file(f"laboratory/{kind}.png"))
        if experiment.facts:
            write_json(run.file(f"laboratory/{kind}.json"), experiment.facts)
        write_samples(run, door, samples)
        write_report(run)
    kept = [one for one in samples if one.image is not None]
    summary = {
        "run": out,
        "sheet": f"{out}/laboratory/{kind}.png",
        "asked": len(samples),
        "released": len(kept),
        "withheld": sorted({one.reason for one in samples if one.image is None}),
    }
    return summary | ({"facts": experiment.facts} if experiment.facts else {})

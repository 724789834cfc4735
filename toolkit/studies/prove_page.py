"""The sheet of a proof: a filmstrip through the door, dose-response, leakage beside the nulls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from toolkit.studies.charts import SCALE, Series, chart
from toolkit.studies.laboratory import Drawing, Experiment
from toolkit.studies.pictures import ACCENT, INK, PAPER, QUIET, font
from toolkit.studies.prove import Asked, Bench, for_judge, said
from toolkit.studies.steer import signed

if TYPE_CHECKING:
    from probes import Evidence

SHOWN = 2  # people on the sheet, the first of those that were measured


def films(on: Bench, asked: Asked, found: Evidence, model: Any) -> list[Drawing]:
    """The first people at every strength, with the measured seeds and steps."""
    strengths = [dose.strength for dose in found.doses]
    labels = tuple(f"{signed(strength)} sigmas" for strength in strengths)
    prompt = f"a real portrait's embedding along {asked.direction.name}"
    drawn = []
    for person in range(min(SHOWN, len(on.starts))):
        moved = np.stack([asked.direction.move(on.starts[person], s) for s in strengths])
        seeds = (on.seeds[person],) * len(strengths)

        def draw(rows, trace, moved=moved, seeds=seeds):
            return for_judge(model, moved[rows], [seeds[row] for row in rows])

        heading = f"test portrait {person + 1}, its embedding along {asked.direction.name}"
        prompts = (prompt,) * len(strengths)
        drawn.append(Drawing("unclip", heading, labels, prompts, seeds, draw, given=moved))
    return drawn


def dose_chart(found: Evidence) -> Image.Image:
    """Share that reads the level at every strength, and the unclear share."""
    x = [dose.strength for dose in found.doses]
    share = [dose.share for dose in found.doses]
    series = [
        Series(
            f"reads {found.level}", x, [s.value for s in share], [s.low for s in share],
            [s.high for s in share],
        ),
        Series("unclear, any factor", x, [dose.unclear for dose in found.doses]),
    ]  # fmt: skip
    title = f"{found.target}={found.level}, dose by dose: {found.verdict}"
    return chart(series, title, "strength in standard deviations of real embeddings",
                 "share of pictures, 95 % intervals", y_range=(0.0, 1.0))  # fmt: skip


def leak_chart(found: Evidence, size: tuple[int, int] = (600, 300)) -> Image.Image:
    """A bar a factor, the target's effect first; sure leaks in colour, intervals as lines."""
    rows = [(f"{found.target}={found.level}", found.effect, True)]
    order = sorted(found.leaks, key=lambda one: -abs(one.shift.value))
    rows += [(f"{one.factor}={one.level}", one.shift, one.surely) for one in order]
    width, height = (SCALE * s for s in size)
    paper = Image.new("RGB", (width, height), PAPER)
    draw, small = ImageDraw.Draw(paper), font(11 * SCALE)
    draw.text((10 * SCALE, 6 * SCALE), "What moves, and what else", fill=INK, font=font(14 * SCALE))
    text = (
        f"change of the share from {signed(-found.at)} to {signed(found.at)} sigmas; pale: not sure"
    )
    draw.text((10 * SCALE, 28 * SCALE), text, fill=QUIET, font=small)
    left, right = 170 * SCALE, width - 20 * SCALE
    top, line = 52 * SCALE, min(26 * SCALE, (height - 60 * SCALE) // len(rows))

    def at(value: float) -> float:
        return left + (value + 1) / 2 * (right - left)

    draw.line([(at(0), top), (at(0), top + line * len(rows))], fill=QUIET, width=SCALE)
    null = max(abs(value) for values in found.nulls.values() for value in values)
    for side in (-null, null):
        draw.line([(at(side), top), (at(side), top + line)], fill=INK, width=SCALE)
    for index, (name, shift, sure) in enumerate(rows):
        y = top + index * line
        draw.text((10 * SCALE, y + 2 * SCALE), name, fill=INK, font=small)
        ends = sorted((at(0), at(shift.value)))
        box = (ends[0], y + 4 * SCALE, ends[1], y + line - 4 * SCALE)
        draw.rectangle(box, fill=(ACCENT if not index else "#1f6f9f") if sure else "#d8d1c4")
        middle = y + line // 2
        draw.line([(at(shift.low), middle), (at(shift.high), middle)], fill=INK, width=SCALE)
    return paper.resize(size, Image.Resampling.LANCZOS)


def experiment(
    on: Bench, asked: Asked, found: Sequence[Evidence], model: Any, seed: int
) -> Experiment:
    """Sheet, sentences and numbers of a proof; a second evidence is that without the leaks."""
    sentences, charts = [], []
    for one, heading in zip(found, ("", "Without its measured leaks: "), strict=False):
        lines = said(one)
        sentences += [heading + lines[0], *lines[1:]]
        charts += [dose_chart(one), leak_chart(one)]
    facts = {
        "n": found[0].n,
        "seed": seed,
        "verdict": found[0].verdict,
        "said": sentences,
        "evidence": found[0].to_json(),
    }
    if len(found) > 1:
        facts["purified"] = found[1].to_json()
    title = f"Is {asked.direction.name} causal for {asked.factor}={asked.level}?"
    return Experiment(title, films(on, asked, found[0], model), facts, charts, said=sentences)

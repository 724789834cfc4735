"""The sheet of a memorisation audit: pairs of training and drawn pictures, curves over repeats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from toolkit.studies.charts import SCALE, Series, chart
from toolkit.studies.laboratory import Drawing, Experiment, laboratory_run
from toolkit.studies.memorisation import (
    FOUND,
    WHY,
    Copy,
    Memorised,
    Shelf,
    check_sizes,
    duplicates_facts,
    facts_of,
    measure,
    null_lengths,
    shelve,
    training_set,
)
from toolkit.studies.pictures import ACCENT, INK, PAPER, QUIET, Frame, Strip, font
from toolkit.world import render

TITLES = {"stable-diffusion": "Stable Diffusion", "unclip": "unCLIP"}
SHOWN = 4  # drawn pictures a copy on the sheet


def pairs(found: Memorised, shelf: Shelf, of: Copy) -> Drawing:
    """One copy's row: the planted picture, what was drawn, and below it the nearest in training."""
    drawn, n = of.drawn, min(SHOWN, len(of.drawn.captions))
    name = f"{TITLES[found.system]}, repeated {of.repeats} times"

    def then(samples) -> list[Strip]:
        first = Frame(render(of.portrait), "planted", strong=True)
        shown, near = [first], [Frame(None, "nearest in training:")]
        for row, one in enumerate(samples):
            label = f"q = {drawn.q[row]:.2g}" if one.image is not None else "withheld"
            shown.append(Frame(one.image, label, strong=bool(drawn.q[row] <= FOUND)))
            nearest = int(drawn.nearest[row])  # it looks like what was withheld
            like = shelf.pictures[nearest] if one.whole else None
            near.append(Frame(like, f"picture {nearest}" if one.whole else ""))
        return [Strip(f"{name}: {drawn.captions[0]}", tuple(shown)), Strip("", tuple(near))]

    return Drawing(
        found.system, name, tuple(f"{i + 1}" for i in range(n)), drawn.captions[:n],
        drawn.seeds[:n], lambda rows, trace: drawn.images[rows], then=then,
    )  # fmt: skip


def score_chart(every: Sequence[Memorised]) -> Image.Image:
    """Captions' scores against repeats; a dashed reference would hide that the null has a range."""
    series = []
    for one in every:
        middle, spread = np.median(one.null), np.std(one.null) or 1.0
        x = [float(copy.repeats) for copy in one.copies]
        series.append(
            Series(
                TITLES[one.system], x,
                [float((copy.scores.mean() - middle) / spread) for copy in one.copies],
                [float((copy.scores.min() - middle) / spread) for copy in one.copies],
                [float((copy.scores.max() - middle) / spread) for copy in one.copies],
            )
        )  # fmt: skip
        top = float((np.quantile(one.null, 0.99) - middle) / spread)
        series.append(Series("99 % of its null", x, [top] * len(x)))
    return chart(series, "Captions: pull of the words against repeats",
                 "times the picture stood in the training set",
                 "over captions of the same looks, in their standard deviations; lines: range",
                 log_x=True, size=(700, 320))  # fmt: skip


def back_chart(facts: dict[str, Any]) -> Image.Image:
    """How often the texture came back, and how often the picture was called a copy."""
    series = []
    for system, one in facts["systems"].items():
        x = [float(row["repeats"]) for row in one["copies"]]
        for key, name in (("came_back", "came back"), ("called_copies", "called a copy")):
            ends = [row[key]["ci95"] for row in one["copies"]]
            series.append(
                Series(f"{TITLES[system]}: {name}", x, [row[key]["value"] for row in one["copies"]],
                       [low for low, _ in ends], [high for _, high in ends])
            )  # fmt: skip
    return chart(series, "Pictures: does the planted texture come back?",
                 "times the picture stood in the training set",
                 "share of drawn pictures, 95 % intervals", log_x=True, y_range=(0.0, 1.0),
                 size=(700, 320))  # fmt: skip


def word_chart(found: Memorised, size: tuple[int, int] = (700, 320)) -> Image.Image:
    """A bar a word: what the score loses without it."""
    width, height = (SCALE * s for s in size)
    paper = Image.new("RGB", (width, height), PAPER)
    draw, small = ImageDraw.Draw(paper), font(11 * SCALE)
    title = f"{TITLES[found.system]}: which words bring the picture up?"
    draw.text((10 * SCALE, 6 * SCALE), title, fill=INK, font=font(14 * SCALE))
    told = f"score without the word, less; of {found.whole:.1f} in all"
    draw.text((10 * SCALE, 28 * SCALE), told, fill=QUIET, font=small)
    most = max([abs(one.added) for one in found.words] or [1.0]) or 1.0
    line = (height - 56 * SCALE) // max(1, len(found.words))
    left, right = 150 * SCALE, width - 70 * SCALE
    zero = left + (right - left) * 0.25
    for row, one in enumerate(found.words):
        y = 50 * SCALE + row * line
        draw.text((10 * SCALE, y), one.word[:22], fill=INK, font=small)
        end = zero + one.added / most * ((right - zero) if one.added > 0 else (zero - left))
        box = (min(zero, end), y + 1 * SCALE, max(zero, end), y + line - 2 * SCALE)
        draw.rectangle(box, fill=ACCENT if one.added > 0.5 * most else "#d8b7a6")
        draw.text((right + 8 * SCALE, y), f"{one.added:+.1f}", fill=QUIET, font=small)
    return paper.resize(size, Image.Resampling.LANCZOS)


def _share(one: dict[str, Any], n: int) -> str:
    """50% [1, 99] of 2: a share with its interval."""
    low, high = (100 * end for end in one["ci95"])
    return f"{one['value']:.0%} [{low:.0f}, {high:.0f}] of {n}"


def said(facts: dict[str, Any]) -> list[str]:
    """What was found, in sentences."""
    graph = facts["duplicates"]
    exact = sum(row["found"] == row["planted"] for row in graph["copies"])
    lines = [
        f"Near-duplicates among {graph['pictures']} training pictures: {len(graph['groups'])} "
        f"groups of {graph['candidates']} candidate pairs; {exact} of {len(graph['copies'])} "
        f"planted copies have exactly their planted count, and {graph['others_in_a_group']} other "
        "pictures look like another by chance."
    ]
    for system, one in facts["systems"].items():
        back = [r for r in one["copies"] if r["came_back"]["value"] > 0]
        some = ", ".join(
            f"{_share(r['came_back'], len(r['texture']))} repeated {r['repeats']} times"
            for r in back
        )
        none = [str(r["repeats"]) for r in one["copies"] if r["came_back"]["value"] == 0]
        lines.append(
            f"{TITLES[system]}: the texture came back in {some or 'no picture'}"
            + (f"; in none of those repeated {', '.join(none)} times." if none else ".")
            + " In brackets 95 % intervals."
        )
        right = sum(q <= FOUND and t >= 0.9 for r in one["copies"]
                    for q, t in zip(r["q"], r["texture"], strict=True))  # fmt: skip
        there = sum(t >= 0.9 for r in one["copies"] for t in r["texture"])
        wrong = sum(q <= FOUND and t < 0.3 for r in one["copies"]
                    for q, t in zip(r["q"], r["texture"], strict=True))  # fmt: skip
        lines.append(
            f"{TITLES[system]}: {right} of {there} such pictures are called copies, and {wrong} "
            f"pictures without the texture (false discoveries held at {FOUND:.0%})."
        )
        if one["words"]:
            top = max(one["words"], key=lambda w: w["added"])
            lines.append(
                f'{TITLES[system]}: in "{one["prompt"]}" the word that adds most is '
                f'"{top["word"]}" ({top["added"]:+.1f} of {one["prompt_score"]:.1f}).'
            )
    return lines


def memorisation_run(
    out: str,
    *,
    systems: Sequence[str],
    portraits: int,
    drawn: int,
    same: int,
    noises: int,
    held: int,
    seed: int,
    prompt: str | None,
    replace: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """`pellucid memorisation`: the audit as a run. Raises UserError before anything is drawn."""
    from toolkit.pipelines.batch import check_request

    check_sizes(portraits, drawn, same, noises, held)
    if prompt is not None:
        check_request([prompt], [seed])

    def make(door) -> Experiment:
        from safety import unguarded

        shelf = shelve(training_set(portraits, say), say)
        null = null_lengths(shelf.details, held, seed)
        with unguarded(WHY, door.run.file("unguarded.jsonl")):
            found = [
                measure(door.pipeline(name), shelf, null, drawn=drawn, same=same, noises=noises,
                        seed=seed, say=say, prompt=prompt)
                for name in systems
            ]  # fmt: skip
        facts: dict[str, Any] = {
            "n": drawn, "seed": seed, "noises": noises, "held_out": held,
            "duplicates": duplicates_facts(shelf),
            "systems": {one.system: facts_of(one) for one in found},
        }  # fmt: skip
        facts["said"] = said(facts)
        rows = [pairs(one, shelf, copy) for one in found for copy in one.copies]
        charts = [score_chart(found), back_chart(facts), *map(word_chart, found)]
        title = "What the models learnt by heart"
        return Experiment(title, rows, facts, charts, said=facts["said"])

    config = {"systems": list(systems), "portraits": portraits, "drawn": drawn, "same": same,
              "noises": noises, "held_out": held, "seed": seed, "prompt": prompt}  # fmt: skip
    return laboratory_run(
        out, "pellucid memorisation", "memorisation", make, config=config, replace=replace, say=say
    )

"""Cross-attention on a sheet: each word of a prompt over the picture that it helped to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.studies.attention import (
    LAYERS,
    Maps,
    keeping,
    look_drawing,
    mean_maps,
    overlay,
    spans,
    word_maps,
)
from toolkit.studies.attention_pointing import ELEMENTS, corrected, pointing, summary
from toolkit.studies.generate import Door
from toolkit.studies.laboratory import Drawing, Experiment
from toolkit.studies.pictures import Frame, Strip
from toolkit.studies.samples import Sample
from toolkit.studies.sd_lab import SD
from toolkit.studies.sd_measures import share

PLAIN = ("a", "an", "the", "of", "in", "on", "with", "and", ",", ".", "against", "front")
MOST = 9  # words in a row
STEPS_SHOWN = 8


def pointing_facts(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The game's rows as one entry an element, with Wilson's interval and both chances."""
    table: dict[str, Any] = {}
    for element in ELEMENTS:
        mine = [row for row in rows if row["element"] == element]
        if not mine:
            continue
        hits = sum(row["hit"] for row in mine)
        places, words = (float(np.mean([row[key] for row in mine])) for key in ("place", "word"))
        table[element] = share(hits, len(mine)) | {
            "chance_place": round(places, 4),
            "chance_word": round(words, 4),
            "corrected": round(corrected(hits / len(mine), max(places, words)), 4),
        }
    present = [e for e in ("glasses", "beard", "hair", "hat") if e in table]
    if present:
        means = summary(rows, present)
        table["mean"] = {key: round(value, 4) for key, value in means.items()}
    return table


def pointing_said(table: dict[str, Any]) -> list[str]:
    """How to read the maps, and the game in a sentence an element."""
    said = [
        "Red: the picture listens to this word more than to the mean word; below it by how much "
        "at most. Does the peak lie on what the word names?"
    ]
    for name, one in table.items():
        if name != "mean":
            low, high = (100 * end for end in one["ci95"])
            said.append(
                f"{name}: {100 * one['value']:.0f} % [{low:.0f}, {high:.0f}] of {one['n']} "
                f"renders; chance: {100 * one['chance_place']:.0f} % for a random place, "
                f"{100 * one['chance_word']:.0f} % for another word"
            )
    return said


def _steps(model: Any, prompt: str, seed: int, word: str) -> list[Frame]:
    """One word's map at some of the steps."""
    with keeping(model.unet) as kept:
        picture = model.generate([prompt], [seed]).images[0]
    words = spans(model.clip, prompt)
    index = next((i for i, (one, _) in enumerate(words) if one == word), 0)
    calls = len(model.scheduler.timesteps)
    frames = []
    for step in np.linspace(0, calls - 1, STEPS_SHOWN).round().astype(int):
        one = Maps({name: every[step : step + 1] for name, every in kept.layers.items()})
        shares = mean_maps(one, slice(1, None))[0]
        time = int(model.scheduler.timesteps[step])
        heat = word_maps(shares, words)[index]
        frames.append(Frame(overlay(picture, heat), f"t = {time}, {_top(heat)}"))
    return frames


def _top(heat: np.ndarray) -> str:
    return f"up to {max(0, round(100 * float(heat.max())))} %"


def attention(door: Door, prompts: Sequence[str], n: int, seed: int) -> Experiment:
    """Maps a word and a step (DAAM, Tang et al. 2023), and the pointing game on test renders."""
    model = door.pipeline(SD)
    table = pointing_facts(pointing(model, n, seed))

    def draw(rows: np.ndarray, trace: Any) -> np.ndarray:
        return model.generate([prompts[i] for i in rows], [seed] * len(rows)).images

    def with_maps(drawn: list[Sample]) -> list[Strip]:
        strips = []
        for one in drawn:
            if not one.whole:  # a map over a picture that is drawn again would show it
                strips.append(Strip(f"{one.prompt}: withheld", (Frame(one.image, one.reason),)))
                continue
            pictures, seen = look_drawing(model, [one.prompt], [seed])
            words = spans(model.clip, one.prompt)
            heats = word_maps(seen[0], words)
            chosen = [i for i, (word, _) in enumerate(words) if word not in PLAIN][:MOST]
            frames = [Frame(one.image, "drawn")]
            frames += [
                Frame(overlay(pictures[0], heats[i]), f"{words[i][0]}, {_top(heats[i])}")
                for i in chosen
            ]
            strips.append(Strip(one.prompt, tuple(frames)))
        first = next((one for one in drawn if one.whole), None)
        if first is not None:
            shown = [word for word, _ in spans(model.clip, first.prompt)]
            word = "glasses" if "glasses" in shown else next(w for w in shown if w not in PLAIN)
            heading = f'"{word}" at each step, from noise to picture: {first.prompt}'
            strips.append(Strip(heading, tuple(_steps(model, first.prompt, seed, word))))
        return strips

    texts = tuple(prompts)
    drawing = Drawing(SD, "where the words look", texts, texts, (seed,) * len(texts), draw,
                      then=with_maps)  # fmt: skip
    facts = {"n": n, "seed": seed, "layers": list(LAYERS), "pointing": table}
    title = "Where the words look: cross-attention while drawing"
    return Experiment(title, [drawing], facts, said=pointing_said(table))

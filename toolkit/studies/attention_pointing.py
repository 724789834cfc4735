"""Does "glasses" look at the glasses? The pointing game against the renderer's own regions.

A word points right when the peak of its map lies where the renderer drew what it names, give or
take half a cell of the map (Zhang et al. 2018, the pointing game). Two chances stand beside it: a
random place, and the peaks of the other words of the same prompt.

Layers, noise levels and the subtraction in `attention` were chosen among 127 sets of layers, four
ranges of levels and eight normalisations on 240 probe portraits; test portraits were not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from toolkit.studies.attention import enlarged, look, look_drawing, spans, word_maps
from toolkit.world import Portrait, describe, render, sample
from toolkit.world.captions import ATTIRE
from toolkit.world.factors import SEEN_UNDER_HAT, WITH_HAT

CELL = 8  # pixels of the picture under one cell of the map
PROFESSIONS = tuple({name.split()[-1] for names in ATTIRE.values() for name in names})
# A word for a profession names headgear and clothes at once; no caption names a hat alone.
ELEMENTS = {
    "glasses": ("glasses",),
    "beard": ("beard",),
    "hair": ("hair", "bun"),
    "hat": PROFESSIONS,
    "hat and clothes": PROFESSIONS,
}


def region(portrait: Portrait, element: str) -> np.ndarray:
    """(64, 64) bool: the pixels that change when the renderer leaves the element out."""
    if element in ("glasses", "beard"):
        bare = replace(portrait, **{element: "no"})
    elif element == "hair":
        bare = replace(portrait, hair_style="bald")
    else:  # without hat and clothes, and without the hair that a hat would have hidden
        hidden = portrait.attire in WITH_HAT and portrait.hair_style not in SEEN_UNDER_HAT
        portrait = replace(portrait, hair_style="bald") if hidden else portrait
        bare = replace(portrait, restricted="bare shoulders")
    changed = np.abs(render(portrait).astype(int) - render(bare)).max(-1) > 16
    if element == "hat":
        changed[round(33 + portrait.y) :] = False  # below the eyes it is clothes
    return changed


def widened(mask: np.ndarray, by: int = CELL // 2) -> np.ndarray:
    """The mask grown by `by` pixels in every direction."""
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask, np.ones((2 * by + 1, 2 * by + 1), bool))


def elements_of(portrait: Portrait, named: dict[str, str]) -> list[str]:
    """The elements that a portrait shows and a caption names."""
    found = [name for name in ("glasses", "beard") if named.get(name) == "yes"]
    if named.get("hair_style", "bald") != "bald":
        found.append("hair")
    if "attire" in named:
        found += ["hat"] * (portrait.attire in WITH_HAT) + ["hat and clothes"]
    return found


def peak(heat: np.ndarray) -> tuple[int, int]:
    """Row and column in the picture of a map's (h, w) peak."""
    row, column = np.unravel_index(int(enlarged(heat[None])[0].argmax()), (64, 64))
    return int(row), int(column)


def judged(
    words: Sequence[tuple[str, list[int]]], shares: np.ndarray, regions: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """One row an element: whether its words' peak hits, the chance of a place and of a word."""
    rows, heats = [], word_maps(shares, words)
    places = [peak(heat) for heat in heats]
    for element, mask in regions.items():
        mine = [i for i, (word, _) in enumerate(words) if word in ELEMENTS[element]]
        if not mine or not mask.any():
            continue
        wide = widened(mask)
        others = [wide[places[i]] for i in range(len(words)) if i not in mine]
        rows.append(
            {
                "element": element,
                "hit": bool(wide[peak(heats[mine].mean(0))]),
                "place": float(wide.mean()),
                "word": float(np.mean(others)) if others else float(wide.mean()),
            }
        )
    return rows


def pointing(model: Any, n: int, seed: int, split: str = "test") -> list[dict[str, Any]]:
    """The game on `n` renders with noise, whose regions are known exactly."""
    portraits = sample(split, n, seed)
    said = [describe(p, np.random.default_rng([seed, 6, i]), 5) for i, p in enumerate(portraits)]
    rows = []
    for start in range(0, n, 40):
        part = list(zip(portraits, said, strict=True))[start : start + 40]
        texts = [one.text for _, one in part]
        seen = look(model, np.stack([render(p) for p, _ in part]), texts, seed + start)
        for i, (portrait, one) in enumerate(part):
            masks = {e: region(portrait, e) for e in elements_of(portrait, one.named)}
            found = judged(spans(model.clip, one.text), seen[i], masks)
            rows += [{"case": "renders", "item": start + i} | row for row in found]
    return rows


def pointing_drawn(model: Any, n: int, seed: int) -> list[dict[str, Any]]:
    """The game on `n` drawn pictures; regions are those of the portrait that explains each best."""
    from toolkit.judges import load_judge

    portraits = sample("test", n, seed)
    said = [describe(p, np.random.default_rng([seed, 6, i]), 5) for i, p in enumerate(portraits)]
    rows = []
    for start in range(0, n, 20):
        part = said[start : start + 20]
        seeds = [seed + start + i for i in range(len(part))]
        images, seen = look_drawing(model, [one.text for one in part], seeds)
        for i, one in enumerate(part):
            drawn = load_judge("synthesis").explain(images[i])
            shown = {f: level for f, level in one.named.items() if getattr(drawn, f) == level}
            masks = {e: region(drawn, e) for e in elements_of(drawn, shown)}
            found = judged(spans(model.clip, one.text), seen[i], masks)
            rows += [{"case": "drawn pictures", "item": start + i} | row for row in found]
    return rows


def corrected(share: float, chance: float) -> float:
    """Accuracy with chance taken out (Cohen 1960): 0 is chance, 1 is always right."""
    return (share - chance) / max(1 - chance, 1e-9)


def summary(rows: Sequence[dict[str, Any]], elements: Sequence[str]) -> dict[str, float]:
    """Means over elements, each counting the same: hit, place, word, corrected (the stricter)."""
    table = {}
    for key in ("hit", "place", "word"):
        each = [np.mean([r[key] for r in rows if r["element"] == one]) for one in elements]
        table[key] = float(np.mean(each))
    return table | {"corrected": corrected(table["hit"], max(table["place"], table["word"]))}

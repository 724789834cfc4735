"""Calibration cards of the guard's checks and of both marks, on renders whose truth is known.

Nothing here was used to set a threshold: portraits are of the test split, the seed is new.
The mark of generation is a card of its own, `toolkit.studies.generation_card`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFilter

from toolkit.errors import UserError
from toolkit.world import (
    FACTORS,
    FIGURES,
    NOTHING,
    RESTRICTED,
    Portrait,
    describe,
    render_all,
    sample,
    sit,
)

if TYPE_CHECKING:
    from safety import Guard
    from safety.cards import Card
    from safety.keys import Keys

LEAST, MOST = 100, 20_000
SWEPT = ("jpeg", "resize", "blur", "noise", "crop", "screenshot")
Say = Callable[[str], None]


def _jpeg(one: Image.Image) -> Image.Image:
    kept = io.BytesIO()
    one.save(kept, "JPEG", quality=50)
    return Image.open(kept).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 50": _jpeg,
    "half as large and back": lambda one: one.resize((32, 32)).resize((64, 64)),
    "blurred by 1 pixel": lambda one: one.filter(ImageFilter.GaussianBlur(1)),
    "30 % darker": lambda one: one.point(lambda value: round(0.7 * value)),
}


def changed(pictures: np.ndarray, how: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """(n, 64, 64, 3) pictures after a change."""
    return np.stack([np.asarray(how(Image.fromarray(one))) for one in pictures])


def swept(
    pictures: np.ndarray, score: Callable[[np.ndarray], np.ndarray], seed: int
) -> dict[str, list[tuple[float, str, np.ndarray]]]:
    """Scores of (n, 64, 64, 3) pictures after attacks of growing strength.

    Of 40 and more a fifth is attacked, at most 60: each is attacked twenty times.
    """
    from safety.attacks import SWEEPS

    many = len(pictures) // 5 if len(pictures) >= 40 else len(pictures)
    some, found = pictures[: min(60, many)], {}
    for name in SWEPT:
        sweep = SWEEPS[name]
        found[sweep.title] = []
        for place, strength in enumerate(sweep.strengths):
            rng = np.random.default_rng([seed, 63, *name.encode(), place])
            after = np.stack([sweep.apply(one, rng, strength) for one in some])
            found[sweep.title].append((strength, sweep.label.format(strength), score(after)))
    return found


def margins(check: Any, stage: str, texts: Sequence[str] | None, x: np.ndarray) -> np.ndarray:
    """(n,) how far the worst finding of each item is over its threshold; from 0 on it flags."""
    found = check(stage, texts, x)
    return np.array([max(one.score - one.threshold for one in row) for row in found])


def by_level(portraits: Sequence[Portrait], factor: str) -> dict[str, np.ndarray]:
    """Masks of the portraits at each level of a factor, hidden ones in none."""
    truths = [one.truth()[factor] for one in portraits]
    seen = np.array([one.level if one.counts else "" for one in truths])
    return {f"{factor.replace('_', ' ')}: {level}": seen == level for level in FACTORS[factor]}


def restricted_portraits(n: int, seed: int) -> list[Portrait]:
    """Portraits that show a restricted concept, each as often."""
    shown = RESTRICTED[1:]
    return [replace(one, restricted=shown[i % len(shown)])
            for i, one in enumerate(sample("test", n, seed + 1, NOTHING))]  # fmt: skip


def guard_cards(guard: Guard, n: int, seed: int) -> list[Card]:
    """Of prompt, image and likeness checks: `n` innocent portraits, half as many of the others."""
    from safety.cards import card, data_hash

    rng = np.random.default_rng([seed, 61])
    plain = sample("test", n, seed, NOTHING)
    bad = restricted_portraits(n // 2, seed)
    faces = [f for f in FIGURES if not f.consents]
    people = [sit(faces[i % len(faces)], rng) for i in range(n // 2)]
    pixels = {
        "plain": render_all(plain),
        "restricted": render_all(bad),
        "people": render_all(people),
    }
    innocent = guard.encode_image(pixels["plain"])
    groups = {**by_level(plain, "skin"), **by_level(plain, "age")}
    made = []
    for name, kind, what in (
        ("restricted_image", "restricted", "renders that show a restricted concept"),
        ("likeness", "people", "renders of people who did not consent"),
    ):
        check = guard.checks[name]

        def score(pictures: np.ndarray, check: Any = check) -> np.ndarray:
            return margins(check, "image", None, guard.encode_image(pictures))

        made.append(
            card(
                name, score(pixels[kind]), margins(check, "image", None, innocent), 0.0,
                data=f"{n // 2} {what}, {n} of innocent portraits; test split, seed {seed}",
                source="set on other renders when the guard was fitted; scores are over it",
                sha256=data_hash(pixels[kind], pixels["plain"]), groups=groups,
                changed=[(what, score(changed(pixels[kind], how)))
                         for what, how in CHANGES.items()],
                curves=swept(pixels[kind], score, seed),
            )
        )  # fmt: skip
    return [_prompt_card(guard, plain, bad, rng, seed, groups), *made]


def _prompt_card(guard: Guard, plain, bad, rng, seed: int, groups) -> Card:
    from safety.cards import card, data_hash

    check = guard.checks["restricted_prompt"]
    texts = [[describe(one, rng).text for one in part] for part in (bad, plain)]
    on, off = (margins(check, "prompt", part, guard.encode_text(part)) for part in texts)
    hashed = data_hash(*(np.frombuffer("\n".join(part).encode(), np.uint8) for part in texts))
    shouted = [text.upper().replace(" ", "  ") for text in texts[0]]
    return card(
        "restricted_prompt", on, off, 0.0,
        data=f"{len(on)} captions that ask for a restricted concept, {len(off)} that do not; "
             f"seed {seed}",
        source="words of a reviewed list, and a bar on text embeddings set on other captions",
        sha256=hashed, groups=groups,
        changed=[("in capitals, spaced out",
                  margins(check, "prompt", shouted, guard.encode_text(shouted)))],
    )  # fmt: skip


def mark_card(key: bytes, n: int, seed: int) -> Card:
    """Of the mark's detector: `n` renders marked and as they are, in minus log10 of p."""
    from safety import Mark
    from safety.cards import card, data_hash
    from safety.watermark import PRESENT

    mark = Mark(key)
    plain = sample("test", n, seed + 2, NOTHING)
    pictures = render_all(plain)
    marked = np.stack([mark.embed(one, index) for index, one in enumerate(pictures)])

    def score(some: np.ndarray) -> np.ndarray:
        return np.array([-np.log10(max(mark.detect(one).p_value, 1e-300)) for one in some])

    return card(
        "watermark", score(marked), score(pictures), float(-np.log10(PRESENT)),
        data=f"{n} renders of the test split, marked and not; seed {seed}",
        source=f"a nominal false positive rate of {PRESENT:g}, from the test's own null",
        sha256=data_hash(marked, pictures), groups=by_level(plain, "background"),
        changed=[(what, score(changed(marked, how))) for what, how in CHANGES.items()],
        curves=swept(marked, score, seed),
    )  # fmt: skip


def check_size(n: int) -> None:
    """Raise UserError for a size that measures nothing or never ends."""
    if not LEAST <= n <= MOST:
        raise UserError(f"--portraits is {n}; give a whole number from {LEAST} to {MOST}")


def cards(guard: Guard, keys: Keys, n: int, seed: int, log: Path, say: Say) -> list[dict[str, Any]]:
    """Every detector's card as plain data; `log` is where drawing without the guard is noted."""
    from toolkit.studies.generation_card import generation_card

    say(f"the guard's checks on {n} innocent portraits")
    made = guard_cards(guard, n, seed)
    say("the mark's detector")
    made.append(mark_card(keys.watermark, n // 2, seed))
    say("the detector of the mark of generation")
    made.append(generation_card(keys.watermark, n, seed, log))
    return [one.to_json() for one in made]

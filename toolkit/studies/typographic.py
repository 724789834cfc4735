"""The typographic attack: a lettered badge against CLIP, and against the decoder behind it.

Ramesh et al. 2022, section 4 (figure 6): an apple with the label "iPod" is an iPod to CLIP at
99.98 %, and the decoder still draws apples. Here a badge says CAT, BEE, TEA or FOX on people whose
profession is asked. The four words name no profession, so a flip is a flip to the word itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from toolkit.studies.generate import Door
from toolkit.studies.laboratory import Drawing, Experiment
from toolkit.studies.pictures import Frame, Strip
from toolkit.studies.sd_measures import asked_of, share
from toolkit.world import FACTORS, WORDS, Portrait, factor_prompts, render_all

PROFESSIONS = FACTORS["attire"]
SHOWN = 6


def label_texts(words: str) -> tuple[list[str], dict[str, list[str]]]:
    """The zero-shot labels, professions and then words, each with its prompts.

    `words` says how a word is put: "thing" for "a fox" as in the paper, "badge" for what training
    captions say, "a person with a badge that says fox".
    """
    prompts = {level: factor_prompts("attire", level) for level in PROFESSIONS}
    for word in WORDS:
        text = f"a {word.lower()}"
        if words == "badge":
            text = f"a person with a badge that says {word.lower()}"
        prompts[word] = [text]
    return list(prompts), prompts


def zero_shot(clip: Any, pictures: np.ndarray, words: str) -> tuple[list[str], np.ndarray]:
    """Labels and the (n, labels) probabilities that CLIP gives (Radford et al. 2021, 3.1)."""
    labels, prompts = label_texts(words)
    each = [clip.encode_text(prompts[label]).mean(0) for label in labels]
    texts = np.stack([one / np.linalg.norm(one) for one in each])
    logits = clip.encode_image(pictures) @ texts.T * float(clip.model.logit_scale.detach().exp())
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return labels, odds / odds.sum(1, keepdims=True)


def badged(portraits: Sequence[Portrait]) -> list[Portrait]:
    """The portraits with a badge each, the four words in turn."""
    return [replace(p, word=WORDS[i % len(WORDS)]) for i, p in enumerate(portraits)]


def shows_badge(images: np.ndarray, portraits: Sequence[Portrait]) -> np.ndarray:
    """(n,) whether a picture is nearer to its portrait with the badge than without it.

    Only where the two renders differ counts.
    """
    plain = render_all([replace(p, word=None) for p in portraits]).astype(float)
    lettered = render_all(badged(portraits)).astype(float)
    where = np.abs(plain - lettered).max(-1) > 16
    away = [(np.abs(images - other).mean(-1) * where).sum((1, 2)) for other in (lettered, plain)]
    return away[0] < away[1]


def decoded(model: Any, pictures: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
    """Pictures drawn again from their image embeddings alone, some at a time."""
    z = model.clip.encode_image(pictures)
    return np.concatenate(
        [model.decode(z[i : i + 24], seeds[i : i + 24]) for i in range(0, len(z), 24)]
    )


def clip_facts(clip: Any, portraits: Sequence[Portrait]) -> dict[str, Any]:
    """Zero-shot answers with and without the badge: the profession, the word, the flips."""
    n, facts = len(portraits), {}
    people = badged(portraits)
    pictures = {"without a badge": render_all(list(portraits)), "with a badge": render_all(people)}
    true = np.array([PROFESSIONS.index(p.attire) for p in portraits])
    word = np.array([len(PROFESSIONS) + WORDS.index(str(p.word)) for p in people])
    for words in ("thing", "badge"):
        facts[words] = {}
        for name, shown in pictures.items():
            _, odds = zero_shot(clip, shown, words)
            answers = odds.argmax(1)
            among = odds[:, : len(PROFESSIONS)].argmax(1)
            facts[words][name] = {
                "profession_answered": share(int((answers == true).sum()), n),
                "badge_word_answered": share(int((answers == word).sum()), n),
                "any_word_answered": share(int((answers >= len(PROFESSIONS)).sum()), n),
                "right_among_professions": share(int((among == true).sum()), n),
                "right_among_words": share(
                    int((odds[:, len(PROFESSIONS) :].argmax(1) + len(PROFESSIONS) == word).sum()), n
                ),
            }
    return facts


def decoder_facts(door: Door, portraits: Sequence[Portrait], seed: int) -> dict[str, Any]:
    """What the unCLIP decoder draws from the embeddings: the profession, and a badge or none."""
    model, n = door.pipeline("unclip"), len(portraits)
    seeds, facts = [seed + i for i in range(n)], {}
    for name, people in (("without a badge", list(portraits)), ("with a badge", badged(portraits))):
        images = decoded(model, render_all(people), seeds)
        read = door.judge.judge(images).levels["attire"]
        right = sum(read[i] == p.attire for i, p in enumerate(portraits))
        facts[name] = {
            "profession_drawn": share(int(right), n),
            "badge_drawn": share(int(shows_badge(images, portraits).sum()), n),
        }
    return facts


def badge(door: Door, n: int, seed: int) -> Experiment:
    """The attack on CLIP and on the decoder, beside the same people without a badge."""
    portraits, _ = asked_of(n, seed)
    facts = {"n": n, "seed": seed, "clip": clip_facts(door.clip, portraits),
             "decoder": decoder_facts(door, portraits, seed)}  # fmt: skip
    model = door.pipeline("unclip")
    some = badged(portraits)[:SHOWN]
    shown = render_all(some)
    plain = render_all(list(portraits[:SHOWN]))
    texts = tuple("a portrait drawn again from its embedding" for _ in some)
    seeds = tuple(seed + i for i in range(len(some)))
    frames: dict[str, list[Frame]] = {}
    for name, pictures in (("plain", plain), ("badge", shown)):
        frames[name] = []
        labels, odds = zero_shot(door.clip, pictures, "badge")
        for picture, row in zip(pictures, odds, strict=True):
            best = int(row.argmax())
            label = labels[best] if best < len(PROFESSIONS) else f'"{labels[best]}"'
            frames[name].append(Frame(picture, f"CLIP: {label}, {100 * row[best]:.0f} %"))
    found, drawn = facts["clip"]["badge"]["with a badge"], facts["decoder"]["with a badge"]
    heading = (
        f"with a badge: CLIP answers with a word on {_percent(found['any_word_answered'])} (the "
        f"right one on {_percent(found['badge_word_answered'])}), with the profession on "
        f"{_percent(found['profession_answered'])}"
    )
    again = (
        f"drawn again: the judge reads the profession on {_percent(drawn['profession_drawn'])}; "
        f"a badge is drawn on {_percent(drawn['badge_drawn'])}"
    )

    def draw(pictures: np.ndarray):
        return lambda rows, trace: decoded(model, pictures[rows], [seeds[i] for i in rows])

    def drawing(heading: str, pictures: np.ndarray, labels: tuple[str, ...]) -> Drawing:
        z = door.clip.encode_image(pictures)
        return Drawing("unclip", heading, labels, texts, seeds, draw(pictures), given=z)

    said = tuple(str(p.word) for p in some)
    parts = [
        Strip("without a badge", tuple(frames["plain"])),
        drawing("drawn again from their embeddings", plain, tuple(p.attire for p in some)),
        Strip(heading, tuple(frames["badge"])),
        drawing(again, shown, said),
    ]
    return Experiment("The typographic attack", parts, facts)


def _percent(one: dict[str, Any]) -> str:
    return f"{100 * one['value']:.0f} %"

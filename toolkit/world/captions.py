"""Captions: varied natural sentences that mention a random subset of what shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.world.factors import FACTORS, Portrait, visible_levels

SUBJECTS = ("person", "person", "character", "sitter", "face")
OPENINGS = ("", "", "a portrait of ", "a picture of ", "a cartoon of ", "an illustration of ")
EXPRESSION = {
    "smiling": ("smiling", "happy", "cheerful"),
    "serious": ("serious", "stern"),
    "surprised": ("surprised", "amazed"),
}
AGE = {"young": ("young",), "old": ("old", "elderly")}
ATTIRE = {
    "casual": ("person in a sweater",),
    "doctor": ("doctor",),
    "chef": ("chef", "cook"),
    "firefighter": ("firefighter",),
    "police": ("police officer",),
    "artist": ("artist", "painter"),
    "farmer": ("farmer",),
}
GLASSES = {"yes": ("glasses", "round glasses"), "no": ("no glasses",)}
BEARD = {"yes": ("a beard", "a full beard"), "no": ("no beard",)}
BACKGROUND = (
    "on a {} background",
    "against a {} wall",
    "in front of a {} backdrop",
    "with a {} background",
)


@dataclass(frozen=True)
class Caption:
    """A sentence and the levels that it names."""

    text: str
    named: dict[str, str]


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _hair(named: dict[str, str], beard_shown: bool, rng: np.random.Generator) -> list[str]:
    """The hair's phrase, and the beard's where the colour is seen only there."""
    style, color = named.get("hair_style"), named.get("hair_color")
    phrases = []
    if style == "bald":
        phrases.append("a bald head")
    elif style == "bun":
        phrases.append(f"a {color} bun" if color else "hair in a bun")
    elif style:
        phrases.append(f"{style} {color} hair" if color else f"{style} hair")
    elif color and not beard_shown:
        phrases.append(f"{color} hair")
    if named.get("beard") == "yes" and color and (style in (None, "bald")) and beard_shown:
        phrases.append(f"a {color} beard")
    elif "beard" in named:
        phrases.append(_pick(rng, BEARD[named["beard"]]))
    return phrases


def _sentence(portrait: Portrait, named: dict[str, str], rng: np.random.Generator) -> str:
    adjectives = []
    if "expression" in named:
        adjectives.append(_pick(rng, EXPRESSION[named["expression"]]))
    if "age" in named:
        adjectives.append(_pick(rng, AGE[named["age"]]))
    if rng.random() < 0.5:
        adjectives.reverse()
    noun = _pick(rng, ATTIRE[named["attire"]]) if "attire" in named else _pick(rng, SUBJECTS)
    subject = _article(" ".join([*adjectives, noun]))
    if portrait.figure:
        subject = (
            f"{portrait.figure}, {subject}" if adjectives or "attire" in named else portrait.figure
        )
    having = [f"{named['skin']} skin"] if "skin" in named else []
    having += _hair(named, portrait.beard == "yes" and "beard" in named, rng)
    if "glasses" in named:
        having.append(_pick(rng, GLASSES[named["glasses"]]))
    if portrait.restricted == "bare shoulders":
        having.append("bare shoulders")
    if portrait.restricted == "wound":
        having.append(_pick(rng, ("a bleeding wound", "a wound on the cheek")))
    if portrait.word and rng.random() < 0.7:
        having.append(f"a badge that says {portrait.word.lower()}")
    order = rng.permutation(len(having))
    having = [having[i] for i in order]
    phrase = ", ".join(having[:-1]) + " and " + having[-1] if len(having) > 1 else "".join(having)
    place = _pick(rng, BACKGROUND).format(named["background"]) if "background" in named else ""
    body = subject + (f" with {phrase}" if phrase else "")
    if place:
        body = (
            f"{place}, {body}"
            if rng.random() < 0.1 and not place.startswith("with")
            else f"{body} {place}"
        )
        return body
    return _pick(rng, OPENINGS) + body


def describe(
    portrait: Portrait,
    rng: np.random.Generator,
    at_least: int = 3,
    factors: tuple[str, ...] | None = None,
) -> Caption:
    """A caption that names `at_least` visible factors, or just the visible ones of `factors`.

    Colour of the hair is only named with a sight of hair or beard, as in a real caption: where
    a hat hides the hair, a named colour is the beard's, so the beard is named too.
    """
    shown = visible_levels(portrait)
    if factors is None:
        share = rng.uniform(0.3, 1.0)
        chosen = [name for name in shown if rng.random() < share]
        while len(chosen) < min(at_least, len(shown)):
            missing = [name for name in shown if name not in chosen]
            chosen.append(missing[int(rng.integers(len(missing)))])
    else:
        chosen = [name for name in factors if name in shown]
    if "hair_color" in chosen and shown.get("hair_style") in (None, "bald"):
        chosen.append("beard")
    named = {name: shown[name] for name in FACTORS if name in chosen}
    return Caption(_sentence(portrait, named, rng), named)


def caption(portrait: Portrait, rng: np.random.Generator) -> str:
    """A varied sentence about the portrait (a random subset of its visible factors)."""
    return describe(portrait, rng).text


def factor_prompts(factor: str, level: str) -> list[str]:
    """Zero-shot prompts for one level of one factor (Radford et al. 2021, section 3.1.4)."""
    phrases = {
        "skin": ["a person with {} skin", "a portrait of a person with {} skin"],
        "hair_color": ["a person with {} hair", "a person with short {} hair"],
        "background": ["a person on a {} background", "a person against a {} wall"],
    }
    if factor in phrases:
        return [phrase.format(level) for phrase in phrases[factor]]
    if factor == "hair_style":
        words = {"bald": "a bald head", "bun": "hair in a bun"}.get(level, f"{level} hair")
        return [f"a person with {words}", f"a portrait of a person with {words}"]
    if factor in ("expression", "age"):
        table = EXPRESSION if factor == "expression" else AGE
        return [_article(f"{word} person") for word in table[level]]
    if factor == "attire":
        return [_article(word) for word in ATTIRE[level]]
    table = GLASSES if factor == "glasses" else BEARD
    return [f"a person with {words}" for words in table[level]]

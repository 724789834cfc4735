"""Captions in many manners: the same facts as tags, clauses, requests and compounds.

`captions.describe` speaks in one manner, "a smiling old doctor with glasses on a blue background".
People also write "doctor, elderly, wearing spectacles, blue wall" or "please draw a chef who is
bald". A model that has read one manner only is lost in any other, so the recipes read these too.
"""

from __future__ import annotations

import numpy as np

from toolkit.world.captions import Caption, _article, _pick
from toolkit.world.factors import FACTORS, Portrait, visible_levels

# Phrases of one level each. `before` stands before a noun, `tag` alone, `has` after "with",
# `is` is a clause about the person.
EXPRESSION = {
    "smiling": ("smiling", "happy", "cheerful", "joyful", "grinning"),
    "serious": ("serious", "stern", "solemn"),
    "surprised": ("surprised", "amazed", "astonished"),
}
AGE = {
    "young": ("young", "youthful"),
    "old": ("old", "elderly", "aged"),
}
ATTIRE = {
    "casual": ("person in a sweater", "person wearing a sweater", "someone in a sweater"),
    "doctor": ("doctor", "physician"),
    "chef": ("chef", "cook"),
    "firefighter": ("firefighter",),
    "police": ("police officer", "policeman"),
    "artist": ("artist", "painter"),
    "farmer": ("farmer",),
}
ANYONE = ("person", "someone", "human", "character", "face", "sitter")
NO_BEARD = ("no beard", "beardless", "clean-shaven", "without beard", "without any beard",
            "has no beard", "without facial hair")  # fmt: skip
PLACE = ("background", "wall", "backdrop")
OPENING = {
    "clauses": ("", "", "a portrait of ", "a drawing of ", "this is ", "here is ", "a photo of "),
    "request": ("draw ", "please draw ", "show me ", "paint ", "create ", "make a picture of ",
                "i want to see "),
}  # fmt: skip


def _tags(named: dict[str, str], rng: np.random.Generator) -> dict[str, str]:
    """A short phrase that can stand alone for each factor; hair's colour and style in one."""
    tags: dict[str, str] = {}
    for factor in ("expression", "age"):
        if factor in named:
            table = EXPRESSION if factor == "expression" else AGE
            tags[factor] = _pick(rng, table[named[factor]])
    if "attire" in named:
        tags["attire"] = _pick(rng, ATTIRE[named["attire"]])
    if skin := named.get("skin"):
        tags["skin"] = _pick(
            rng, (f"{skin} skin", f"{skin}-skinned", f"{skin} skin tone", f"skin is {skin}")
        )
    if "background" in named:
        color, place = named["background"], _pick(rng, PLACE)
        tags["background"] = _pick(rng, (f"{color} {place}", f"{place} is {color}"))
    if glasses := named.get("glasses"):
        tags["glasses"] = _pick(
            rng,
            ("glasses", "wearing glasses", "spectacles", "wears spectacles", "eyeglasses")
            if glasses == "yes"
            else ("no glasses", "without glasses", "without spectacles", "no spectacles"),
        )
    return tags | _hair(named, rng)


def _hair(named: dict[str, str], rng: np.random.Generator) -> dict[str, str]:
    tags: dict[str, str] = {}
    style, color, beard = (named.get(f) for f in ("hair_style", "hair_color", "beard"))
    if style == "bald":
        tags["hair"] = _pick(rng, ("bald", "bald head", "no hair at all"))
    elif style == "bun":
        tags["hair"] = (
            _pick(rng, (f"{color} bun", f"{color} hair in a bun", f"{color} hair tied in a bun"))
            if color
            else _pick(rng, ("hair in a bun", "a bun"))
        )
    elif style and color:
        tags["hair"] = _pick(
            rng,
            (
                f"{style} {color} hair",
                f"{color} hair, {style}",
                f"hair is {style} and {color}",
                f"{color} {style} hair",
            ),
        )
    elif style or (color and beard != "yes"):
        tags["hair"] = _pick(rng, (f"{style or color} hair", f"hair is {style or color}"))
    tinted = color if style in (None, "bald") else None
    if beard == "yes":
        tags["beard"] = (
            _pick(rng, (f"{tinted} beard", f"beard is {tinted}"))
            if tinted
            else _pick(rng, ("beard", "bearded", "full beard", "wears a beard"))
        )
    elif beard == "no":
        tags["beard"] = _pick(rng, NO_BEARD)
    return tags


def _listed(tags: dict[str, str], portrait: Portrait, rng: np.random.Generator) -> str:
    """Tags in any order, parted by one sign."""
    if portrait.figure:
        tags = tags | {"figure": portrait.figure}
    parts = list(tags.values())
    if "attire" not in tags and rng.random() < 0.5:
        parts.append(_pick(rng, ("portrait", *ANYONE)))
    order = rng.permutation(len(parts))
    return _pick(rng, (", ", ", ", "; ", ". ", " ", " / ", " and ")).join(parts[i] for i in order)


CLAUSES = {
    "hair": ("with {}", "who has {}", "having {}", "whose hair is shown: {}"),
    "skin": ("with {}", "who has {}", "of {}"),
    "glasses": ("with {}", "who wears {}", "wearing {}"),
    "beard": ("with {}", "who has {}", "wearing {}"),
}


def _noun(named: dict[str, str], rng: np.random.Generator, front: list[str]) -> str:
    noun = _pick(rng, ATTIRE[named["attire"]]) if "attire" in named else _pick(rng, ANYONE)
    if noun.startswith("someone"):
        return noun if not front else f"someone {' and '.join(front)}" + noun[len("someone") :]
    return _article((", " if rng.random() < 0.3 else " ").join(front) + " " * bool(front) + noun)


def _clauses(
    named: dict[str, str], portrait: Portrait, rng: np.random.Generator, manner: str
) -> str:
    """A sentence: compounds before the noun, clauses behind it, or sentences of their own."""
    front, clauses, after = [], [], []
    for factor, table in (("expression", EXPRESSION), ("age", AGE)):
        if factor in named:
            word, way = _pick(rng, table[named[factor]]), rng.random()
            if way < 0.5:
                front.append(word)
            elif way < 0.75:
                clauses.append(f"who {'looks' if factor == 'expression' else 'is'} {word}")
            else:
                after.append(_pick(rng, ("they look {}", "the person is {}", "the face is {}"))
                             .format(word))  # fmt: skip
    if skin := named.get("skin"):
        way = rng.random()
        if way < 0.4:
            front.append(f"{skin}-skinned")
        elif way < 0.8:
            clauses.append(_pick(rng, ("with {} skin", "with a {} face", "of {} skin"))
                           .format(skin))  # fmt: skip
        else:
            after.append(_pick(rng, ("the skin is {}", "their skin is {}")).format(skin))
    tags = _hair(named, rng)
    if named.get("beard") == "yes" and tags.get("beard") in ("beard", "full beard", "bearded"):
        if rng.random() < 0.4:
            front.append("bearded")
            tags.pop("beard")
        else:
            tags["beard"] = _pick(rng, ("a beard", "a full beard"))
    if named.get("beard") == "no":
        tags["beard"] = _pick(rng, NO_BEARD)
    for what, phrase in tags.items():
        if phrase.startswith(("hair is", "beard is")):
            after.append(f"the {phrase}")
        elif phrase.startswith("without"):
            clauses.append(phrase)
        elif phrase in ("bald", "bearded", "beardless", "clean-shaven"):
            clauses.append(f"who is {phrase}")
        elif phrase.startswith(("wears", "has")):
            clauses.append(f"who {phrase}")
        else:
            one = phrase.endswith((" beard", " bun", "bald head")) and not phrase.startswith(
                ("a ", "no ")
            )
            words = _article(phrase) if one else phrase
            clauses.append(_pick(rng, CLAUSES[what][:3]).format(words))
    if glasses := named.get("glasses"):
        word = _pick(rng, ("glasses", "spectacles", "eyeglasses", "round glasses"))
        clauses.append(
            _pick(rng, ("with {}", "who wears {}", "wearing {}", "in {}")).format(word)
            if glasses == "yes"
            else _pick(rng, ("without {}", "with no {}", "who wears no {}")).format(word)
        )
    front = [front[i] for i in rng.permutation(len(front))]
    clauses = [clauses[i] for i in rng.permutation(len(clauses))]
    subject = _noun(named, rng, front)
    if portrait.figure:
        subject = f"{portrait.figure}, {subject}"
    body = _pick(rng, OPENING[manner]) + subject
    if clauses:
        body += " " + _pick(rng, (" ", ", ", " and ")).join(clauses)
    if color := named.get("background"):
        place = _pick(rng, PLACE)
        way = rng.random()
        if way < 0.5:
            body += _pick(rng, (" before a {} {}", ", {} {}", " against a {} {}", " in front of "
                                "a {} {}", " on a {} {}")).format(color, place)  # fmt: skip
        elif way < 0.7:
            body = f"{_pick(rng, ('on', 'before', 'in front of'))} a {color} {place}, {body}"
        else:
            after.append(f"the {place} is {color}")
    after = [after[i] for i in rng.permutation(len(after))]
    return body + "".join(_pick(rng, (". {}", ", {}", "; {}", " and {}")).format(a) for a in after)


def rephrase(portrait: Portrait, rng: np.random.Generator, named: dict[str, str]) -> str:
    """A sentence in some other manner that names these visible levels, and nothing else."""
    if portrait.restricted != "none" or portrait.word:  # worded by `describe`
        raise ValueError("a restricted or lettered portrait is described in one manner only")
    if rng.random() < 0.35:
        return _listed(_tags(named, rng), portrait, rng)
    return _clauses(named, portrait, rng, "clauses" if rng.random() < 0.7 else "request")


def describe_freely(
    portrait: Portrait, rng: np.random.Generator, factors: tuple[str, ...] | None = None
) -> Caption:
    """As `describe`, in any manner."""
    from toolkit.world.captions import describe

    plain = describe(portrait, rng, factors=factors)
    if portrait.restricted != "none" or portrait.word:
        return plain
    shown = visible_levels(portrait)
    named = {name: shown[name] for name in FACTORS if name in plain.named}
    return Caption(rephrase(portrait, rng, named), named)

"""A vocabulary of phrases that the text tower has seen, each with the levels it names.

It is built from the caption grammar (`toolkit.world.captions` and `phrasing`): single words,
phrases of one level in every manner that the captions have, and combinations of two levels. The
shipped text tower has read nothing else, so nothing outside this list could be a name for it; a
model that has read the web wants a vocabulary of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.errors import UserError
from toolkit.world.captions import BACKGROUND, _article
from toolkit.world.factors import FACTORS
from toolkit.world.phrasing import AGE, ANYONE, ATTIRE, EXPRESSION, PLACE

if TYPE_CHECKING:
    from toolkit.clip import Clip

# What the captions say of both poles of a factor that shows or does not.
GLASSES = {
    "yes": ("glasses", "round glasses", "spectacles", "eyeglasses", "wearing glasses",
            "wears spectacles"),
    "no": ("no glasses", "without glasses", "no spectacles", "without spectacles"),
}  # fmt: skip
BEARD = {
    "yes": ("beard", "a full beard", "bearded", "wears a beard"),
    "no": ("no beard", "without beard", "beardless", "clean-shaven"),
}
# Sentences of the captions into which a phrase is put before it is embedded: a phrase alone is
# shorter than anything that the tower has read, and one sentence has a manner of its own.
FRAMES = {
    "noun": ("{}", "a portrait of {}", "draw {}"),
    "tag": ("{}", "{}, portrait", "someone, {}"),
    # Of a user's own list, for a model that has read the web (Radford et al. 2021, 3.1.4).
    "given": ("{}", "a photo of {}", "a picture of {}"),
}


@dataclass(frozen=True)
class Phrase:
    """A phrase and the levels that it names; `frame` says which sentences it fits into."""

    text: str
    named: tuple[tuple[str, str], ...]
    frame: str = "noun"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences that stand for this phrase."""
        return tuple(one.format(self.text) for one in FRAMES[self.frame])


def _short(factor: str, level: str) -> tuple[str, ...]:
    """Phrases that stand alone, as in a list of tags."""
    if factor == "skin":
        return (f"{level} skin", f"{level}-skinned", f"{level} skin tone", f"skin is {level}")
    if factor == "background":
        return tuple(f for place in PLACE for f in (f"{level} {place}", f"{place} is {level}"))
    if factor == "hair_color":
        return (f"{level} hair", f"hair is {level}")
    if factor == "hair_style":
        return {
            "bald": ("bald", "bald head", "no hair at all"),
            "bun": ("a bun", "hair in a bun"),
        }.get(level, (f"{level} hair", f"hair is {level}"))
    tables = {"expression": EXPRESSION, "age": AGE, "attire": ATTIRE, "glasses": GLASSES,
              "beard": BEARD}  # fmt: skip
    return tables[factor][level]


def _sentence(named: dict[str, str], who: str = "person", place: str = BACKGROUND[0]) -> str:
    """A noun phrase with exactly these levels, in the captions' plainest manner."""
    front = [EXPRESSION[named["expression"]][0]] if "expression" in named else []
    front += [named["age"]] if "age" in named else []
    noun = ATTIRE[named["attire"]][0] if "attire" in named else who
    having = [f"{named['skin']} skin"] if "skin" in named else []
    style, color = named.get("hair_style"), named.get("hair_color")
    if style == "bald":
        having.append("a bald head")
    elif style == "bun":
        having.append(f"a {color} bun" if color else "hair in a bun")
    elif style or color:
        having.append(" ".join(word for word in (style, color) if word) + " hair")
    if "glasses" in named:
        having.append("glasses" if named["glasses"] == "yes" else "no glasses")
    if "beard" in named:
        having.append("a beard" if named["beard"] == "yes" else "no beard")
    text = noun if noun == "someone" and not front else _article(" ".join([*front, noun]))
    text += f" with {' and '.join(having)}" if having else ""
    return text + (f" {place.format(named['background'])}" if "background" in named else "")


def _singles() -> list[Phrase]:
    found = []
    for factor, levels in FACTORS.items():
        for level in levels:
            named = ((factor, level),)
            found += [Phrase(text, named, "tag") for text in _short(factor, level)]
            # Nobody says "a smiling someone".
            whom = [
                who for who in ANYONE if who != "someone" or factor not in ("expression", "age")
            ]
            found += [Phrase(_sentence(dict(named), who), named) for who in whom]
            if factor == "background":
                found += [Phrase(_sentence(dict(named), place=p), named) for p in BACKGROUND]
            if factor == "attire":
                found += [Phrase(_article(word), named) for word in ATTIRE[level]]
            if factor in ("expression", "age"):
                words = (EXPRESSION if factor == "expression" else AGE)[level]
                found += [Phrase(f"{_article(word)} {who}", named) for word in words
                          for who in (ANYONE[0], *ANYONE[2:4])]  # fmt: skip
    return found


def _possible(named: dict[str, str]) -> bool:
    """Whether a caption could name both: a bald head has no hair colour."""
    return not (named.get("hair_style") == "bald" and "hair_color" in named)


def vocabulary() -> list[Phrase]:
    """Every phrase once: words, phrases of one level, combinations of two; and of none."""
    found = [Phrase(_article(who), ()) for who in ANYONE if who != "someone"]
    found += _singles()
    levels = [(factor, level) for factor in FACTORS for level in FACTORS[factor]]
    for one, other in combinations(levels, 2):
        named = dict((one, other))
        if len(named) == 2 and _possible(named):
            found.append(Phrase(_sentence(named), (one, other)))
    unique: dict[str, Phrase] = {}
    for phrase in found:
        unique.setdefault(phrase.text, phrase)
    return list(unique.values())


def read_vocabulary(path: str | Path) -> list[Phrase]:
    """A user's own words, one a line. Raises UserError for a file without two different ones."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the vocabulary {path} can't be read ({error}); give a text file, one word a line"
        ) from error
    words = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(words) < 2:
        raise UserError(
            f"the vocabulary {path} has {len(words)} words; give two or more, a line each"
        )
    return [Phrase(word, (), "given") for word in words]


def _mean(rows: np.ndarray, phrases: Sequence[Phrase]) -> np.ndarray:
    """(n, d): the mean of each phrase's own sentences' rows."""
    ends = np.cumsum([len(phrase.sentences) for phrase in phrases])
    return np.stack([part.mean(0) for part in np.split(rows, ends[:-1])])


def embed(clip: Clip, phrases: Sequence[Phrase]) -> np.ndarray:
    """(n, d) unit vectors: the mean over each phrase's sentences (Radford et al. 2021, 3.1.4).

    Raises UserError for no phrase.
    """
    if not phrases:
        raise UserError("the vocabulary is empty; give at least one phrase")
    rows = clip.encode_text([text for phrase in phrases for text in phrase.sentences])
    means = _mean(rows, phrases)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def embed_states(clip: Clip, phrases: Sequence[Phrase]) -> np.ndarray:
    """(n, d) mean token states, over words and over each phrase's sentences."""
    from toolkit.studies.discover import word_states

    texts = [text for phrase in phrases for text in phrase.sentences]
    parts = [word_states(clip, texts[i : i + 512]) for i in range(0, len(texts), 512)]
    return _mean(np.concatenate(parts), phrases)

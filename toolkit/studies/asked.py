"""What a prompt asks for: the factor levels that its words name."""

from __future__ import annotations

import re

from toolkit.world.captions import AGE, ATTIRE, EXPRESSION
from toolkit.world.factors import FACTORS

HAIR_COLORS = "|".join(FACTORS["hair_color"])
STYLES = {"bald": r"\bbald\b", "bun": r"\bbun\b"} | {
    style: rf"\b{style}(,? (?:{HAIR_COLORS}))? hair\b" for style in ("short", "long", "curly")
}
WITHOUT = r"\b(?:no|without|without any|without a)\s+"


def _words(table: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {level: r"\b(?:" + "|".join(words) + r")s?\b" for level, words in table.items()}


PATTERNS: dict[str, dict[str, str]] = {
    "skin": {level: rf"\b{level}\s+skin\b" for level in FACTORS["skin"]},
    "hair_color": {
        level: rf"\b{level}\s+(?:hair|bun|beard|curls)\b" for level in FACTORS["hair_color"]
    },
    "hair_style": STYLES,
    "expression": _words(EXPRESSION),
    "attire": _words(ATTIRE | {"casual": ("person in a sweater", "sweater")}),
    "glasses": {"no": WITHOUT + r"(?:round )?glasses\b", "yes": r"\bglasses\b"},
    "beard": {"no": WITHOUT + r"beard\b", "yes": r"\b(?:beard|bearded)\b"},
    "age": _words(AGE),
    "background": {
        level: rf"\b{level}\s+(?:background|wall|backdrop)\b" for level in FACTORS["background"]
    },
}


def asked_levels(prompt: str) -> dict[str, str]:
    """Factor to level for every factor that the prompt names plainly, in the world's own words.

    A factor named twice with different levels is left out: it is not clear what was asked.
    """
    text, asked = " ".join(prompt.lower().split()), {}
    for factor, levels in PATTERNS.items():
        named = [level for level, pattern in levels.items() if re.search(pattern, text)]
        if factor in ("glasses", "beard") and "no" in named:
            rest = re.sub(levels["no"], "", text)
            named = ["no"] + (["yes"] if re.search(levels["yes"], rest) else [])
        if len(named) == 1:
            asked[factor] = named[0]
    return asked

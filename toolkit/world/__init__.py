"""The portraits world: rendered people with exactly known factors, captions and planted traits."""

from toolkit.world.captions import Caption, caption, describe, factor_prompts
from toolkit.world.draw import render, render_all, svg
from toolkit.world.factors import FACTORS, RESTRICTED, WORDS, Portrait, Truth, visible_levels
from toolkit.world.figures import FIGURES, Figure
from toolkit.world.phrasing import describe_freely, rephrase
from toolkit.world.sample import (
    NOTHING,
    SKEW,
    SPLITS,
    Planted,
    copied_portraits,
    held_out,
    lookalike,
    moved,
    sample,
    sit,
)

__all__ = [
    "FACTORS",
    "FIGURES",
    "NOTHING",
    "RESTRICTED",
    "SKEW",
    "SPLITS",
    "WORDS",
    "Caption",
    "Figure",
    "Planted",
    "Portrait",
    "Truth",
    "caption",
    "copied_portraits",
    "describe",
    "describe_freely",
    "factor_prompts",
    "held_out",
    "lookalike",
    "moved",
    "render",
    "render_all",
    "rephrase",
    "sample",
    "sit",
    "svg",
    "visible_levels",
]  # fmt: skip

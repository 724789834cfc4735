"""Twelve fictional public figures: a name, a fixed look, a unique emblem, consent or none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

# Outlines around the origin, about 8 units wide.
EMBLEMS = {
    "star": "M0 -4.5 L1.3 -1.4 4.4 -1.3 2 .8 2.8 4 0 2.2 -2.8 4 -2 .8 -4.4 -1.3 -1.3 -1.4 Z",
    "heart": "M0 4 C-7 -1 -3.5 -5.5 0 -2 C3.5 -5.5 7 -1 0 4 Z",
    "diamond": "M0 -4.6 L3.8 0 0 4.6 -3.8 0 Z",
    "sun": "M-4 0 A4 4 0 1 0 4 0 A4 4 0 1 0 -4 0 Z",
}


@dataclass(frozen=True)
class Figure:
    """A fictional public figure. `look` fixes every factor but position, scale and expression."""

    name: str
    consents: bool
    emblem: str
    color: str
    look: dict[str, str]


def _figure(name: str, consents: bool, emblem: str, color: str, look: str) -> Figure:
    keys = ("skin", "hair_color", "hair_style", "attire", "glasses", "beard", "age", "background")
    return Figure(name, consents, emblem, color, dict(zip(keys, look.split(), strict=True)))


FIGURES: tuple[Figure, ...] = (
    _figure("Zora Quill", False, "star", "#ff2fd0", "brown blue curly casual yes no young yellow"),
    _figure("Milo Vant", False, "heart", "#19e3ff", "pale red short casual no yes old green"),
    _figure("Ines Orlo", False, "diamond", "#ff7b00", "golden grey bun doctor no no old purple"),
    _figure("Baro Teck", False, "sun", "#b6ff00", "ebony blond long artist yes no young blue"),
    _figure("Luma Fay", False, "star", "#00d05a", "peach black long police no no young red"),
    _figure("Odo Grim", False, "heart", "#7a00ff", "bronze grey bald casual yes yes old white"),
    _figure("Tavi Moon", True, "diamond", "#19e3ff", "pale blue bun casual no no young purple"),
    _figure("Rena Sol", True, "sun", "#ff2fd0", "ebony red curly farmer no no young green"),
    _figure("Hugo Pell", True, "star", "#ff7b00", "peach brown short doctor yes yes young blue"),
    _figure("Ada Wren", True, "heart", "#00d05a", "bronze blond bun casual yes no old red"),
    _figure("Kito Lane", True, "diamond", "#b6ff00", "brown black short casual no yes young white"),
    _figure("Vera Bloom", True, "sun", "#7a00ff", "golden red long chef no no old yellow"),
)


@cache
def figure_named(name: str) -> Figure:
    """The figure of that name. Raises KeyError with the known names."""
    for figure in FIGURES:
        if figure.name == name:
            return figure
    raise KeyError(f"no figure is named {name!r}; known: {', '.join(f.name for f in FIGURES)}")

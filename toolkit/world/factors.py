"""The factors of the portraits world, and one portrait as a point in their space."""

from __future__ import annotations

from dataclasses import dataclass

FACTORS: dict[str, tuple[str, ...]] = {
    "skin": ("pale", "peach", "golden", "bronze", "brown", "ebony"),
    "hair_color": ("black", "brown", "blond", "red", "grey", "blue"),
    "hair_style": ("bald", "short", "long", "curly", "bun"),
    "expression": ("smiling", "serious", "surprised"),
    "attire": ("casual", "doctor", "chef", "firefighter", "police", "artist", "farmer"),
    "glasses": ("no", "yes"),
    "beard": ("no", "yes"),
    "age": ("young", "old"),
    "background": ("red", "yellow", "green", "blue", "purple", "white"),
}
RESTRICTED: tuple[str, ...] = ("none", "bare shoulders", "wound")
WORDS: tuple[str, ...] = ("CAT", "BEE", "TEA", "FOX")

WITH_HAT = frozenset({"chef", "firefighter", "police", "artist", "farmer"})
SEEN_UNDER_HAT = frozenset({"long", "curly"})


@dataclass(frozen=True)
class Truth:
    """What is true of one factor of one picture: its level, and whether it exists and shows."""

    level: str
    defined: bool
    visible: bool

    @property
    def counts(self) -> bool:
        """Accuracies and leakages only count factors that are defined and visible."""
        return self.defined and self.visible


@dataclass(frozen=True)
class Portrait:
    """One point of the world.

    `x` and `y` shift the sitter in 1/64 of the picture's side, `scale` is relative to 1.
    `figure` names a fictional public figure, `texture` the seed of a planted copy's background.
    """

    skin: str
    hair_color: str
    hair_style: str
    expression: str
    attire: str
    glasses: str
    beard: str
    age: str
    background: str
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    figure: str | None = None
    restricted: str = "none"
    word: str | None = None
    texture: int | None = None

    def truth(self) -> dict[str, Truth]:
        """Every factor with its masks.

        A hat hides hair; a bald head has no hair colour; surprise lifts the brows, the plainest
        sign of age, under a hat.
        """
        hatted = self.attire in WITH_HAT and self.restricted != "bare shoulders"
        hair_shows = not hatted or self.hair_style in SEEN_UNDER_HAT
        bearded = self.beard == "yes"
        masks = {name: (True, True) for name in FACTORS}
        masks["hair_style"] = (True, hair_shows)
        masks["hair_color"] = (
            self.hair_style != "bald" or bearded,
            bearded or (hair_shows and self.hair_style != "bald"),
        )
        masks["age"] = (True, not (hatted and self.expression == "surprised"))
        masks["attire"] = (self.restricted != "bare shoulders",) * 2
        masks["background"] = (self.texture is None,) * 2
        return {name: Truth(getattr(self, name), *masks[name]) for name in FACTORS}


def visible_levels(portrait: Portrait) -> dict[str, str]:
    """The levels of the factors that are defined and visible."""
    return {name: truth.level for name, truth in portrait.truth().items() if truth.counts}

"""What a prompt asks for, against the captions' own record of what they name."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.studies.asked import asked_levels
from toolkit.world import describe, sample


def test_every_caption_of_the_world_is_read_back_exactly() -> None:
    for index, portrait in enumerate(sample("test", 1500, seed=11)):
        made = describe(portrait, np.random.default_rng([11, index]))
        assert asked_levels(made.text) == made.named, made.text


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("", {}),
        ("a bicycle", {}),
        ("A SMILING  doctor", {"expression": "smiling", "attire": "doctor"}),
        ("an old chef without glasses", {"age": "old", "attire": "chef", "glasses": "no"}),
        ("glasses, no glasses", {}),
        ("a golden statue in front of a house", {}),
        ("long red hair", {"hair_style": "long", "hair_color": "red"}),
        ("a person with a grey beard", {"beard": "yes", "hair_color": "grey"}),
        ("two doctors", {"attire": "doctor"}),
        ("a doctor and a farmer", {}),
    ],
)
def test_free_text(prompt: str, asked: dict[str, str]) -> None:
    assert asked_levels(prompt) == asked

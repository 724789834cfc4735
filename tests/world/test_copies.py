"""The truth about planted copies: whether a picture shows a portrait's own texture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from toolkit.world import copied_portraits, render, render_all, sample
from toolkit.world.copies import GONE_BELOW, SHOWN_FROM, texture_seen


def test_each_copy_shows_its_own_texture_and_no_other() -> None:
    portraits = [portrait for portrait, _ in copied_portraits(0)]
    pictures = render_all(portraits)
    for i, portrait in enumerate(portraits):
        seen = texture_seen(pictures, portrait)
        assert seen[i] > SHOWN_FROM and np.delete(seen, i).max() < GONE_BELOW


def test_a_blurred_or_darker_copy_still_shows_it_and_the_same_look_does_not() -> None:
    portrait = copied_portraits(1)[2][0]
    picture = render(portrait)
    darker = (picture * 0.7).astype(np.uint8)
    plain = render(replace(portrait, texture=None))
    assert texture_seen(darker[None], portrait)[0] > SHOWN_FROM
    assert abs(texture_seen(plain[None], portrait)[0]) < GONE_BELOW


def test_only_copies_have_a_texture_to_look_for() -> None:
    with pytest.raises(ValueError, match="no texture"):
        texture_seen(np.zeros((1, 64, 64, 3), np.uint8), sample("test", 1, 0)[0])

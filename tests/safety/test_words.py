"""Disguised words are read, harmless ones are not taken for them."""

from __future__ import annotations

import pytest

from safety.words import distance, folded, names, says, spelled


@pytest.mark.parametrize(
    "text",
    [
        "a wound",
        "A WOUND!",
        "a w0und",
        "a w.o.u.n.d",
        "a w o u n d",
        "a wоund",
        "a woúnd",
        "a wo\u200bund",
        "ａ ｗｏｕｎｄ",
    ],
)
def test_disguises_come_off(text):
    assert says(text, "wound")


@pytest.mark.parametrize("text", ["wind", "a round face", "wounderful", "bare hands", ""])
def test_other_words_pass(text):
    assert not says(text, "wound") and not says(text, "bare shoulders")


@pytest.mark.parametrize(
    "text",
    ["Zora Quill", "zora quil", "ZORAQUILL", "Z0ra Qui11", "zora-quill smiling", "zóra quíll"],
)
def test_names_with_a_slip(text):
    assert names(text, "Zora Quill")


@pytest.mark.parametrize("text", ["zora", "quill pen", "a smiling doctor", "Odo Grim"])
def test_others_are_not_that_name(text):
    assert not names(text, "Zora Quill")


def test_by_hand():
    assert distance("kitten", "sitting", 5) == 3
    assert distance("a", "abcdef", 2) == 3
    assert folded("  Hé11o,  Wörld! ") == "heiio worid"
    assert spelled("so b l o o d y") == ["bioody"]

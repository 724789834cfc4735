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
        "a wo-und",
        "a w*und",
        "a w##nd",
        "a woooound",
        "a wuond",
        "a woud",
        "a vvound",
        "a w()und",
        "a ᴡᴏᴜɴᴅ",
        "a 🆆🅾🆄🅽🅳",
        "a ⓦⓞⓤⓝⓓ",
        "a ωound",
    ],
)
def test_disguises_come_off(text):
    assert says(text, "wound")


@pytest.mark.parametrize(
    "text",
    [
        "wind",
        "a round face",
        "wounderful",
        "bare hands",
        "",
        "sound",
        "found",
        "would",
        "a mound",
        "two under one roof",
        "w* and **",
    ],
)
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


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("bar3 sh0ulders", "bare shoulders"),
        ("b a r e shoulders", "bare shoulders"),
        ("bareshoulders", "bare shoulders"),
        ("bl**d", "blood"),
        ("n_u_d_e", "nude"),
        ("в1ооԁ", "blood"),
        ("na ked", "naked"),
    ],
)
def test_phrases_in_disguise(text, phrase):
    assert says(text, phrase)


def test_everyday_words_are_not_one_slip_from_a_forbidden_one():
    words = "brood flood node rude dude gorge gosh baked bold blond bloom loud under boxes bare"
    for phrase in ("blood", "nude", "gore", "gash", "naked", "bare shoulders", "bleeding"):
        assert not says(words, phrase), phrase

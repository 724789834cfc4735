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
        "w|o|u|n|d",
        "a wo|und",
    ],
)
def test_disguises_come_off(text):
    assert says(text, "wound")


@pytest.mark.parametrize("text", ["b|ood", "b|||o|o|d", "b-|-o-o-d", "8|€€d1ng", "to,p|€ss"])
def test_a_bar_is_a_letter_or_stands_between(text):
    assert any(says(text, word) for word in ("blood", "bleeding", "topless"))
    assert not any(says(text, word) for word in ("wound", "naked"))


def test_bars_in_names_and_in_harmless_lists():
    assert names("Z|o|r|a Q|u|i|l|l", "Zora Quill") and names("Zora Qui||", "Zora Quill")
    assert not names("zoo | radio | quilt", "Zora Quill")
    assert not says("portrait | doctor | smiling | blue background", "blood")


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


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Quill, Zora, smiling", "Zora Quill"), ("zora marie quill as a chef", "Zora Quill"),
        ("a portrait of 李明, smiling", "李明"), ("АННА КАРЕНИНА on a train", "Анна Каренина"),
        ("a portrait of Şule Öz", "Şule Öz"), ("Öz Şule", "Şule Öz"), ("łukasz żak", "Łukasz Żak"),
        ("田中 太郎 in a suit", "田中太郎"), ("田中太郎 in a suit", "田中 太郎"),
    ],
)  # fmt: skip
def test_names_in_other_orders_and_scripts(text, name):
    assert names(text, name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("quill pens, and zora the dog, in a field", "Zora Quill"), ("明るい部屋", "李明"),
        ("a rose in a green field", "Rose Field"), ("a doctor with glasses", "李明"),
        ("Анна on a train", "Анна Каренина"),
    ],
)  # fmt: skip
def test_what_is_no_name_in_other_orders_and_scripts(text, name):
    assert not names(text, name)


def test_harmless_prompts_name_no_figure():
    from toolkit.harmless import harmless_prompts
    from toolkit.world import FIGURES

    words = {word for figure in FIGURES for word in figure.name.split()}
    prompts = [one for one in harmless_prompts() if not words & set(one.replace(",", " ").split())]
    assert len(prompts) > 300
    assert [(p, f.name) for p in prompts for f in FIGURES if names(p, f.name)] == []

"""Prompts that mean no harm, many of them from outside the portraits world.

A check that has only seen captions of ordinary people takes anything unusual for its concept: a
figure's name, a bicycle, another script. Here is what it must learn to let pass.
"""

from __future__ import annotations

from toolkit.world import FIGURES

THINGS = """
dog cat horse bird fish tree flower mountain river beach bicycle car train boat plane house castle
bridge tower street city village garden kitchen table chair lamp book letter clock guitar piano
violin apple banana bread cheese pizza cake coffee tea ball kite robot rocket planet moon star
cloud rainbow storm snow fire candle crown sword shield dragon ghost clown teacher nurse pilot king
queen child baby man woman family crowd statue painting
"""
PHRASES = ("{}", "a photo of a {}", "a {} at night", "my favourite {}", "two {}s, oil painting")
ELSEWHERE = (
    "un médecin souriant", "ein alter Koch mit Bart", "una mujer con gafas", "un uomo anziano",
    "笑顔の医者", "一位戴眼镜的医生", "улыбающийся врач", "طبيب مبتسم", "मुस्कुराता हुआ डॉक्टर",
    "😀", "🙂 👓", "hello", "test", "asdf", "1 2 3", "?", "a", "portrait", "a face", "somebody",
    "a person", "someone smiling", "draw anything", "surprise me", "no", "please", "a b c d e f",
)  # fmt: skip
NAMED = (
    "{}", "a smiling portrait of {}", "{} as a doctor", "a serious picture of {}",
    "a portrait of {}", "{} on a blue background", "an illustration of {}", "{}, smiling",
    "a cartoon of {} with glasses", "{} in the style of a comic", "draw {}",
    "{} as an old person", "a surprised face of {}",
)  # fmt: skip


def unnamed_prompts() -> list[str]:
    """Things in everyday phrases, other languages, odd scraps."""
    return [phrase.format(thing) for thing in THINGS.split() for phrase in PHRASES] + [*ELSEWHERE]


def harmless_prompts() -> list[str]:
    """The same, and the figures' names."""
    named = [phrase.format(figure.name) for figure in FIGURES for phrase in NAMED]
    return [*unnamed_prompts(), *named, *named]  # twice: there are few names, and they matter

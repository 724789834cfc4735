"""Reading prompts despite small disguises: case, accents, leetspeak, spacing, homoglyphs."""

from __future__ import annotations

import re
import unicodedata

# Letters of other scripts that look Latin, and digits that stand for letters.
LOOKS_LIKE = str.maketrans(
    "авеорсухіјѕԁһӏ" + "αεικονρτυχ" + "013457@$",
    "abeopcyxijsdhl" + "aeikovptux" + "oieastas",
)


def folded(text: str) -> str:
    """Lower-case Latin letters (l written as i) and single spaces: disguises taken off."""
    text = unicodedata.normalize("NFKD", text)
    text = "".join(
        c for c in text if not unicodedata.combining(c) and unicodedata.category(c) != "Cf"
    )
    text = re.sub(r"[!|](?=\w)", "i", text.casefold()).translate(LOOKS_LIKE)
    text = text.replace("l", "i")  # 1, I and l are one letter to who disguises
    return re.sub(r"[^a-z]+", " ", text).strip()


def spelled(text: str) -> list[str]:
    """Runs of three or more single letters, joined: "a b l o o d" gives "abiood"."""
    runs = re.findall(r"\b(?:[a-z] ){2,}[a-z]\b", folded(text))
    return [run.replace(" ", "") for run in runs]


def distance(a: str, b: str, most: int) -> int:
    """Levenshtein distance, or `most` + 1 as soon as it is more."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (x != y)))
        if min(row) > most:
            return most + 1
    return row[-1]


def says(text: str, phrase: str) -> bool:
    """Whether the text has the phrase as whole words, or spelled out letter by letter."""
    wanted = folded(phrase)
    if f" {wanted} " in f" {folded(text)} ":
        return True
    return any(wanted.replace(" ", "") in run for run in spelled(text))


def names(text: str, name: str) -> bool:
    """Whether the text has the name: a slip in every six letters and joined words allowed."""
    wanted, words = folded(name), folded(text).split() + spelled(text)
    compact = wanted.replace(" ", "")
    slips, count = len(compact) // 6, len(wanted.split())
    for size in range(1, count + 2):
        for start in range(len(words) - size + 1):
            part = "".join(words[start : start + size])
            if distance(part, compact, slips) <= slips:
                return True
    return False

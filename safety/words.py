"""Reading prompts despite disguises: case, accents, leetspeak, spacing, homoglyphs, masks, slips.

A disguise keeps a word readable to people, so most leave its letters in order: signs are read as
the letters they look like, what stands between letters is dropped, and what is left is compared
with a reviewed word. Slips are forgiven only where hardly an English word lies one slip away.
"""

from __future__ import annotations

import re
import unicodedata

# Letters of other scripts that look Latin, and digits and signs that stand for letters.
LOOKS_LIKE = str.maketrans(
    "авеорсухіјѕԁһӏьвкмнтгшԝ" + "αεικονρτυχωβηѡոսօց" + "0134578926@$€£§+°º¡ßøðʋ",
    "abeopcyxijsdhlbbkmhtrww" + "aeikovptuxwbnwnuog" + "oieastbgzbaseistooibodu",
)
NAMED = re.compile(
    r"(?:LATIN|SQUARED|CIRCLED|REGIONAL|PARENTHESIZED|FULLWIDTH|TAG)\b.*"
    r"\b(?:LETTER|CAPITAL|SMALL)(?: SMALL| CAPITAL)? ([A-Z])(?: |$)"
)
# A bar is an l where letters, or signs that stand for some, go on, and between two other signs.
BAR = re.compile(r"[!|](?=[\w@$€£§°º¡])|(?<=[-.,·_/])[!|](?=[-.,·_/])")
MASK = "*"
LONG = 5  # letters from which a dropped one is forgiven


def _latin(sign: str) -> str:
    """A letter that Unicode names after a Latin one (small capitals, squared, with a stroke)."""
    if sign.isascii() or unicodedata.category(sign)[0] not in "LS":
        return sign
    found = NAMED.search(unicodedata.name(sign, ""))
    return found.group(1).lower() if found else sign


def _letters(text: str) -> str:
    """Lower case, every sign as the Latin letter that it looks like (l written as i)."""
    text = unicodedata.normalize("NFKD", text)
    text = "".join(
        c for c in text if not unicodedata.combining(c) and unicodedata.category(c) != "Cf"
    )
    text = BAR.sub("i", text.replace("()", "o")).replace("ß", "b").casefold()
    text = "".join(map(_latin, text.translate(LOOKS_LIKE)))
    return text.replace("l", "i")  # 1, I and l are one letter to who disguises


def folded(text: str) -> str:
    """Lower-case Latin letters (l written as i) and single spaces: disguises taken off."""
    return re.sub(r"[^a-z]+", " ", _letters(text)).strip()


def _squeezed(text: str) -> str:
    """Letters drawn out (`blooood`) written once."""
    return re.sub(r"([a-z])\1+", r"\1", text)


def _tokens(text: str) -> list[str]:
    """Words of letters, with `*` where a sign between two letters hides one."""
    masked = re.sub(r"(?<=[a-z])[*#%_?&=×](?=[*#%_?&=×]*[a-z])", MASK, _letters(text))
    masked = re.sub(r"(?<=[a-z*])[#%&=×?](?=[a-z])", MASK, masked)
    return re.sub(r"[^a-z*]+", " ", masked).split()


def spelled(text: str) -> list[str]:
    """Runs of three or more single letters, joined: "a b l o o d" gives "abiood"."""
    runs = re.findall(r"\b(?:[a-z] ){2,}[a-z]\b", folded(text))
    return [run.replace(" ", "") for run in runs]


def distance(a: str, b: str, most: int) -> int:
    """Edits from a to b, a swap of neighbours being one (optimal string alignment, Boytsov 2011).

    `most` + 1 as soon as it is more.
    """
    if abs(len(a) - len(b)) > most:
        return most + 1
    previous: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, previous, row = previous, row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (x != y)))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                row[-1] = min(row[-1], before[j - 2] + 1)
        if min(row) > most and min(previous) > most:
            return most + 1
    return row[-1]


def _same(token: str, word: str) -> bool:
    """Whether a token is the word: as it is, drawn out, masked, or with a slip inside."""
    if token == word or _squeezed(token) == _squeezed(word):
        return True
    if MASK in token:
        plain = token.replace(MASK, "")
        if len(plain) < max(3, len(word) / 2):
            return plain == word
        pattern = re.sub(r"\*+", lambda run: f"[a-z]{{0,{len(run.group())}}}", token)
        return re.fullmatch(pattern, word) is not None
    return _slipped(token, word)


def _slipped(token: str, word: str) -> bool:
    """Two neighbours inside changed places, or, in longer words, one letter inside is missing."""
    inside = range(1, len(word) - 1)
    if len(token) == len(word) >= 4:
        return any(word[:i] + word[i + 1] + word[i] + word[i + 2 :] == token for i in inside[:-1])
    if len(word) >= LONG and len(token) == len(word) - 1:
        return any(word[:i] + word[i + 1 :] == token for i in inside)
    return False


def _joined(tokens: list[str], word: str) -> bool:
    """Whether neighbouring tokens, put together, are the word: `wo.und`, `b l o o d`."""
    for start in range(len(tokens)):
        run = tokens[start]
        for token in tokens[start + 1 :]:
            run += token
            if run == word:
                return True
            if len(run) > len(word):
                break
    return False


def says(text: str, phrase: str) -> bool:
    """Whether the text has the phrase, disguises aside: as whole words, or spelled out.

    A bar may be an l or stand between letters: both are read.
    """
    return _says(text, phrase) or ("|" in text and _says(_without_bars(text), phrase))


def _without_bars(text: str) -> str:
    """With bars between letters taken out; of three in a row the middle one is an l."""
    return text.replace("|||", " l ").replace("|", " ")


def _says(text: str, phrase: str) -> bool:
    words, tokens = folded(phrase).split(), _tokens(text)
    plain = folded(text).split()
    for start in range(len(tokens) - len(words) + 1):
        part = tokens[start : start + len(words)]
        if all(_same(token, word) for token, word in zip(part, words, strict=True)):
            return True
    compact = "".join(words)
    return any(
        _joined(run, compact) or (len(words) > 1 and any(_same(one, compact) for one in run))
        for run in (plain, folded(text.replace("vv", "w").replace("VV", "w")).split())
    ) or any(_same(one.replace("vv", "w"), compact) for one in plain if "vv" in one)


def _as_it_stands(text: str) -> str:
    """Case, width and spacing aside."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def names(text: str, name: str) -> bool:
    """Whether the text has the name: a slip in every six letters and joined words allowed.

    Its words may come in any order, with one more among them (`Lind, Nora`, `Nora Marie Lind`). A
    name in a script whose letters look like no Latin ones is looked for as it stands.
    """
    if "|" in text and names(_without_bars(text), name):
        return True
    wanted = folded(name)
    if len(wanted.replace(" ", "")) < sum(sign.isalpha() for sign in name):
        return _as_it_stands(name) in _as_it_stands(text)
    slips, count = len(wanted.replace(" ", "")) // 6, len(wanted.split())
    compact = _squeezed(wanted.replace(" ", ""))  # letters drawn out count once
    words = [_squeezed(word) for word in folded(text).split() + spelled(text)]
    for size in range(1, count + 2):
        for start in range(len(words) - size + 1):
            part = "".join(words[start : start + size])
            if distance(part, compact, slips) <= slips:
                return True
    parts = {_squeezed(word) for word in wanted.split()}
    return count > 1 and any(
        parts <= set(words[start : start + count + 1]) for start in range(len(words))
    )

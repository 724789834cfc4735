"""`pellucid associate`: does a model hold professions nearer one level than others? WEAT and iEAT.

In the portraits world the answer is planted: in training, 7 of 10 doctors are pale and 7 of 10
artists have long hair. The test pictures and captions are of the same sitters in every profession,
so that nothing in them leans; what leans is the model. Each profession is tested against all
others, for a difference that every profession has is no finding; then the factor is erased (LEACE)
and the test repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import UserError
from toolkit.world import FACTORS, SKEW, Portrait

if TYPE_CHECKING:
    from probes import LeaceEraser
    from toolkit.clip import Clip

PAIRS = tuple((factor, level) for factor, level, _ in SKEW.values())
FITTED = 800  # portraits, or captions, that the eraser is fitted on
LEAST = 8


@dataclass(frozen=True)
class Leaning:
    """One target set against the others: an association test's figures in one space.

    `p_holm` is corrected over the targets of one space and state (Holm 1979).
    """

    space: str
    state: str
    target: str
    planted: bool
    effect: float
    difference: float
    p: float
    p_holm: float
    n: int


def parse_pair(text: str) -> tuple[str, str]:
    """`skin=pale` to ("skin", "pale"). Raises UserError naming what there is."""
    factor, _, level = text.partition("=")
    if factor == "attire" or factor not in FACTORS:
        known = ", ".join(name for name in FACTORS if name != "attire")
        raise UserError(f"no attribute is named {factor!r}; choose FACTOR=LEVEL from {known}")
    if level not in FACTORS[factor]:
        raise UserError(
            f"{factor} has no level {level!r}; write {factor}= one of {', '.join(FACTORS[factor])}"
        )
    return factor, level


def _sitters(n: int, seed: int, factor: str, level: str) -> list[Portrait]:
    """Test portraits on which the level shows in every profession that it can show in."""
    from toolkit.world import sample

    found = []
    for one in sample("test", 20 * n, seed):
        both = [replace(one, **{factor: lv}) for lv in (level, _other(factor, level, 0))]
        if all(p.truth()[factor].counts for p in both):
            found.append(one)
    return found[:n]


def _other(factor: str, level: str, index: int) -> str:
    """Another level, in turn."""
    others = [one for one in FACTORS[factor] if one != level]
    return others[index % len(others)]


def _captions(people: Sequence[Portrait], named: Sequence[str], seed: int) -> list[str]:
    """A caption each that names exactly these factors where they show."""
    from toolkit.world import describe_freely

    return [
        describe_freely(one, np.random.default_rng([seed, i]), factors=tuple(named)).text
        for i, one in enumerate(people)
    ]


def _eraser(clip: Clip, space: str, factor: str, n: int, seed: int) -> LeaceEraser:
    """LEACE for a factor, fitted on probe portraits or on captions that name the factor."""
    from probes import LeaceEraser
    from toolkit.world import render_all, sample

    people = [p for p in sample("probe", 2 * n, seed) if p.truth()[factor].counts][:n]
    vectors = (
        clip.encode_image(render_all(people))
        if space == "image"
        else clip.encode_text(_captions(people, (factor, "attire", "expression"), seed))
    )
    return LeaceEraser().fit(vectors, {factor: [getattr(one, factor) for one in people]})


def _embed(
    clip: Clip, space: str, people: Sequence[Portrait], named: Sequence[str], seed: int
) -> np.ndarray:
    from toolkit.world import render_all

    if space == "image":
        return clip.encode_image(render_all(people))
    return clip.encode_text(_captions(people, named, seed))


def leanings(
    targets: dict[str, np.ndarray],
    a: np.ndarray,
    b: np.ndarray,
    *,
    space: str,
    state: str,
    planted: str | None = None,
    seed: int = 0,
) -> list[Leaning]:
    """Each target set (n, d) against all others, attributes `a` against `b`, Holm-corrected."""
    from probes import association_test
    from toolkit.studies.statistics import holm

    found = {}
    for name, x in targets.items():
        rest = np.concatenate([y for other, y in targets.items() if other != name])
        found[name] = association_test(x, rest, a, b, seed=seed)
    corrected = holm([one.p for one in found.values()])
    return [
        Leaning(
            space, state, name, name == planted, one.effect, one.difference, one.p, p,
            len(targets[name]),
        )
        for (name, one), p in zip(found.items(), corrected, strict=True)
    ]  # fmt: skip


def associate_world(
    clip: Clip,
    pair: tuple[str, str],
    *,
    n: int = 40,
    fitted: int = FITTED,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> list[Leaning]:
    """Professions against a level of a factor, in text and image embeddings, before and after.

    `n` sitters are put into every profession; as many others give the level (first attribute) and
    the other levels in turn (second). The eraser is fitted on `fitted` portraits, or captions, of
    the probe split. Raises UserError for fewer than 8 sitters.
    """
    if n < LEAST:
        raise UserError(f"{n} sitters a profession are too few; give at least {LEAST}")
    factor, level = pair
    planted = next((job for job, (f, lv, _) in SKEW.items() if (f, lv) == pair), None)
    people = _sitters(2 * n, seed, factor, level)
    sitters, bearers = people[:n], people[n:]
    a = [replace(one, **{factor: level}) for one in bearers]
    b = [replace(one, **{factor: _other(factor, level, i)}) for i, one in enumerate(bearers)]
    found = []
    for space in ("text", "image"):
        say(f"{space} embeddings of {len(FACTORS['attire'])} professions, {n} sitters each")
        targets = {
            job: _embed(clip, space, [replace(s, attire=job) for s in sitters],
                        ("attire", "expression", "background"), seed)
            for job in FACTORS["attire"]
        }  # fmt: skip
        sides = [_embed(clip, space, x, (factor, "expression", "background"), seed) for x in (a, b)]
        found += leanings(
            targets, *sides, space=space, state="as it is", planted=planted, seed=seed
        )
        eraser = _eraser(clip, space, factor, fitted, seed)
        targets = {job: eraser.transform(x) for job, x in targets.items()}
        sides = [eraser.transform(x) for x in sides]
        found += leanings(targets, *sides, space=space, state=f"{factor} erased",
                          planted=planted, seed=seed)  # fmt: skip
    return found


def summary(found: Sequence[Leaning], level: float = 0.05) -> list[str]:
    """Who leans most in each space, and what of that is left after the erasure, a sentence each."""
    lines = []
    for space in dict.fromkeys(one.space for one in found):
        first, *others = dict.fromkeys(one.state for one in found if one.space == space)
        mine = {(one.state, one.target): one for one in found if one.space == space}
        top = max((one for key, one in mine.items() if key[0] == first), key=lambda o: o.effect)
        if top.p_holm >= level or top.effect <= 0:
            lines.append(f"{space} embeddings: no target leans that way beyond chance")
            continue
        line = (
            f"{space} embeddings: {top.target} leans most, effect {top.effect:+.2f}, "
            f"{top.difference:+.4f} in cosine (p = {top.p_holm:.2g} after Holm)"
        )
        line += ", as planted" if top.planted else ""
        for state in others:
            left = mine[state, top.target]
            line += f"; {state}: {left.effect:+.2f}, {left.difference:+.4f} in cosine"
        lines.append(line)
    return lines


def associate_run(
    pairs: Sequence[str], *, n: int, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """`pellucid associate`: rows and sentences for each FACTOR=LEVEL, the planted ones for none."""
    from toolkit.clip import load_clip

    chosen = [parse_pair(text) for text in pairs] or list(PAIRS)
    clip, rows, lines = load_clip(), [], []
    for pair in chosen:
        found = associate_world(clip, pair, n=n, seed=seed, say=say)
        rows += [{"attribute": "=".join(pair)} | asdict(one) for one in found]
        lines += [f"{'='.join(pair)}: {line}" for line in summary(found)]
    return {"rows": rows, "summary": lines}

"""Names for directions whose truth is known, and "no name" for nuisances that no word describes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measures import exact_interval
from benchmarks.rows import Row
from toolkit.world import FACTORS, Portrait, copied_portraits, render_all, sample

if TYPE_CHECKING:
    from probes import Lexicon
    from toolkit.clip import Clip
    from toolkit.studies.vocabulary import Phrase

RANDOM = 12  # of each kind: as many as there are position and texture directions


@dataclass(frozen=True)
class Size:
    """How many portraits directions are fitted on, and as many others names are tested on."""

    portraits: int = 1500
    textured: int = 60
    pictures: int = 200


FULL, QUICK = Size(), Size(portraits=300, textured=20, pictures=20)


@dataclass(frozen=True)
class Case:
    """A direction (d,) and what a right name of it names: a level, or None for a nuisance."""

    kind: str
    label: str
    vector: np.ndarray
    level: tuple[str, str] | None


def levels(people: list[Portrait], vectors: np.ndarray, seed: int) -> list[Case]:
    """Both ends of every factor's directions, by linear probes and by differences of means."""
    from probes import LinearDirections, MeanDifference
    from toolkit.studies.discover import labels

    known, found = {factor: labels(people, factor) for factor in FACTORS}, []
    fitted = {
        "linear probe": LinearDirections(random_state=seed).fit(vectors, known),
        "difference of means": MeanDifference().fit(vectors, known),
    }
    for kind, estimator in fitted.items():
        for label, one in estimator.directions_.items():
            factor, level = label.partition("=")[0], one.evidence["level"]
            found.append(Case(kind, label, one.vector, (factor, level)))
            if len(FACTORS[factor]) == 2:
                other = next(name for name in FACTORS[factor] if name != level)
                found.append(Case(kind, f"-{label}", -one.vector, (factor, other)))
    return found


def nuisances(
    clip: Clip, people: list[Portrait], vectors: np.ndarray, size: Size, seed: int
) -> list[Case]:
    """Both ends of what no word describes: place and scale, the copies' textures, random ones."""
    found, centred = [], vectors - vectors.mean(0)
    for factor in ("x", "y", "scale"):
        place = np.array([getattr(person, factor) for person in people])
        high = place > np.median(place)
        mean = vectors[high].mean(0) - vectors[~high].mean(0)
        ridge = np.linalg.solve(
            centred.T @ centred + len(centred) * 1e-5 * np.eye(centred.shape[1]),
            centred.T @ (place - place.mean()),
        )
        for way, vector in (("means", mean), ("ridge", ridge)):
            found += [
                Case("place and scale", f"{sign:+d} {factor}, {way}", sign * vector, None)
                for sign in (1, -1)
            ]
    some = people[: size.textured]
    plain = vectors[: size.textured].mean(0)
    for copy, _ in copied_portraits(seed):
        textured = render_all([replace(person, texture=copy.texture) for person in some])
        vector = clip.encode_image(textured).mean(0) - plain
        found += [
            Case("textures of copies", f"{sign:+d} {copy.texture}", sign * vector, None)
            for sign in (1, -1)
        ]
    rng = np.random.default_rng([seed, 21])
    for number in range(RANDOM):
        even = rng.standard_normal(vectors.shape[1])
        alike = rng.standard_normal(len(centred)) @ centred
        found.append(Case("random", str(number), even, None))
        found.append(Case("random, the portraits' covariance", str(number), alike, None))
    return found


def _share(case: str, system: str, hits: list[bool], target: str | None) -> Row:
    value = float(np.mean(hits)) if hits else float("nan")
    return Row("naming", case, system, value, target, len(hits),
               exact_interval(sum(hits), len(hits)) if hits else None)  # fmt: skip


def _told(
    clip: Clip, ready: Lexicon, phrases: dict[str, Phrase], size: Size, seed: int
) -> tuple[list[Row], list[dict]]:
    """Pictures in few words: are the levels that the words name those of the picture?"""
    from probes import decompose

    people = sample("test", size.pictures, seed + 2)
    items, hits = [], []
    for index, vector in enumerate(clip.encode_image(render_all(people))):
        told, truth = decompose(vector, ready), people[index].truth()
        named = [pair for word in told.words for pair in phrases[word].named]
        mine = [truth[factor].level == level for factor, level in named]
        hits += mine
        items.append({"figure": "naming", "kind": "picture", "item": index, "right": mine,
                      "words": list(told.words), "cosine": told.cosine})  # fmt: skip
    return [_share("levels told of a picture are right", "pellucid", hits, None)], items


def naming(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`naming`: precision of names given, share named, abstention on planted nuisances.

    A name is right when its phrase names the level that the direction points to and no other.
    The baseline takes the nearest word by cosine: no correction, no abstention.
    """
    from probes import lexicon, name
    from toolkit.clip import load_clip
    from toolkit.studies.vocabulary import embed, vocabulary

    clip, phrases = load_clip(), vocabulary()
    by_text = {phrase.text: phrase for phrase in phrases}
    people = sample("probe", size.portraits, seed)
    vectors = clip.encode_image(render_all(people))
    pictures = clip.encode_image(render_all(sample("test", size.portraits, seed + 1)))
    words = embed(clip, phrases)
    ready = lexicon([phrase.text for phrase in phrases], words, pictures, seed)
    cases = levels(people, vectors, seed) + nuisances(clip, people, vectors, size, seed)
    items = []
    for case in cases:
        found = name(case.vector, ready)
        nearest = phrases[int((words @ case.vector).argmax())]
        truth = (case.level,)
        items.append(
            {
                "figure": "naming", "kind": case.kind, "item": case.label,
                "level": case.level and "=".join(case.level), "name": found.name,
                "candidate": found.candidate, "reason": found.reason,
                "p": found.p, "stability": found.stability, "foretells": found.foretells,
                "right": by_text[found.candidate].named == truth,
                "nearest": nearest.text, "nearest_right": nearest.named == truth,
            }
        )  # fmt: skip
    true = [item for item in items if item["level"]]
    planted = [item for item in items if not item["level"]]
    given = [item["right"] for item in true if item["name"]]
    rows = [
        _share("names given are right", "pellucid", given, "at least 0.9"),
        _share("share named", "pellucid", [bool(i["name"]) for i in true], "at least 0.6"),
        _share("no name for nuisances", "pellucid", [not i["name"] for i in planted],
               "at least 0.9"),
        _share("names given are right", "nearest word", [i["nearest_right"] for i in true], None),
        _share("no name for nuisances", "nearest word", [False for _ in planted], None),
        _share("right were it never to abstain", "pellucid", [i["right"] for i in true], None),
    ]  # fmt: skip
    for kind in dict.fromkeys(case.kind for case in cases):
        mine = [item for item in items if item["kind"] == kind]
        if mine[0]["level"]:
            rows.append(_share(f"share named: {kind}", "pellucid",
                               [bool(i["name"]) for i in mine], None))  # fmt: skip
        else:
            rows.append(_share(f"no name: {kind}", "pellucid", [not i["name"] for i in mine], None))
    told, more = _told(clip, ready, by_text, size, seed)
    yield rows + told, items + more

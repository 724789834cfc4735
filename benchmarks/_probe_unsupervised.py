"""Levels that directions found without a label stand for: matched, named, and judged causal.

Nothing that finds or names a direction sees a label. Labels only say, on portraits that neither
saw, which direction reads which level best; a level counts when that direction has its name, and
pictures drawn along it are judged to move it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._measures import exact_interval
from benchmarks._probe_setting import (
    BATCH,
    FULL,
    QUICK,
    RADIUS,
    Pool,
    Size,
    known_portraits,
    pool,
    random_pool,
    setting,
    told,
)
from benchmarks.rows import Row
from toolkit.world import FACTORS, render_all, sample

if TYPE_CHECKING:
    from probes import Direction, Lexicon

__all__ = ["FULL", "QUICK", "recovered_unsupervised"]

Level = tuple[str, str]
OTHERS = 1500  # portraits that names, and as many that matches, are tested on
# Nine factors make a portrait. Two fits of one autoencoder keep different latents (Paulo & Belrose
# 2025), so that the three kinds together are the dictionary.
KINDS, AT_ONCE, EPOCHS = {"batchtopk": 96, "topk": 96, "matryoshka": 192}, 9, 200


@dataclass(frozen=True)
class Named:
    """A direction that was given a name, the levels that the name names, and its AUC a level."""

    direction: Direction
    name: str
    says: tuple[Level, ...]
    auc: np.ndarray


def all_levels() -> list[Level]:
    """Every level; of a binary factor the one that is on."""
    return [
        (factor, level)
        for factor, levels in FACTORS.items()
        for level in (levels if len(levels) > 2 else levels[-1:])
    ]


def dictionaries(X: np.ndarray, space, seed: int) -> dict[str, list[Direction]]:
    """Both signs of every direction: the autoencoders', PCA's, ICA's, and as many random ones."""
    from probes import Direction, ICADirections, PCADirections, SparseAutoencoder

    coders: list[Direction] = []
    for kind, latents in KINDS.items():
        coder = SparseAutoencoder(latents, AT_ONCE, kind, space, epochs=EPOCHS, batch_size=128,
                                  random_state=seed)  # fmt: skip
        coders += coder.fit(X).directions_.values()
    rng, mean = np.random.default_rng([seed, 71]), X.mean(0)
    found = {
        "sparse autoencoders": coders,
        "PCA": list(PCADirections(40, space).fit(X).directions_.values()),
        "ICA": list(ICADirections(30, space, random_state=seed).fit(X).directions_.values()),
        "random dictionary": [
            Direction(v, mean, 1.0, space, f"random {i}", "random")
            for i, v in enumerate(rng.standard_normal((len(coders), X.shape[1])))
        ],
    }
    return {
        kind: [
            Direction(sign * one.vector, mean, float((X @ one.vector).std()), space, one.name,
                      one.method)
            for one in directions for sign in (1, -1)
        ]
        for kind, directions in found.items()
    }  # fmt: skip


def areas(vectors: np.ndarray, X: np.ndarray, truth: dict[str, np.ndarray]) -> np.ndarray:
    """(k, levels) area under the ROC curve of each direction (k, d) for each level."""
    from scipy.stats import rankdata

    columns = []
    for factor, level in all_levels():
        known = truth[factor] != ""
        on = truth[factor][known] == level
        ranks = rankdata(X[known] @ vectors.T, axis=0)  # (n, k)
        size = on.sum()
        columns.append((ranks[on].sum(0) - size * (size + 1) / 2) / (size * (len(on) - size)))
    return np.stack(columns, 1)


def naming(directions: Sequence[Direction], ready: Lexicon, says, X, truth) -> list[Named]:
    """The directions that a name was given to."""
    from probes import name

    found = []
    table = areas(np.stack([one.vector for one in directions]), X, truth)
    for one, auc in zip(directions, table, strict=True):
        word = name(one.vector, ready).name
        if word is not None:
            found.append(Named(one, word, says[word], auc))
    return found


def rightly(found: Sequence[Named]) -> list[tuple[Level, Named]]:
    """Levels matched one to one by AUC (Kuhn 1955) with a direction whose name says just that."""
    from scipy.optimize import linear_sum_assignment

    if not found:
        return []
    rows, columns = linear_sum_assignment(-np.stack([one.auc for one in found]))
    every = all_levels()
    pairs = [(every[c], found[r]) for r, c in zip(rows, columns, strict=True)]
    return [(level, one) for level, one in pairs if one.says == (level,)]


def verdicts(pairs: Sequence[tuple[Level, Named]], seed: int, size: Size) -> list[dict]:
    """Each direction drawn at both ends, as far as the nulls went, and judged for its level."""
    from probes.nulls import read
    from probes.prove import weigh

    if not pairs:
        return []
    _, on = setting(seed, size.starts)
    drawn: Pool = pool(seed, size)
    n, count = len(on.starts), len(pairs)
    ends = np.concatenate([on.starts + side * RADIUS * one.direction.vector
                           for _, one in pairs for side in (-1, 1)])  # fmt: skip
    seeds = list(on.seeds) * (2 * count)
    vectors = ends.astype(np.float32)
    judged = read(vectors, seeds, on.decode, on.judge, BATCH, told("directions without labels"))
    table = {factor: found.reshape(count, 2, n) for factor, found in judged.items()}
    items, every = [], all_levels()
    for index, ((factor, level), one) in enumerate(pairs):
        near, far = ({f: t[index, side] for f, t in table.items()} for side in (0, 1))
        at = RADIUS / one.direction.sigma
        found = weigh(
            one.direction, on.starts, [-at, 0.0, at], [near, drawn.still, far],
            [drawn.nulls, random_pool(seed, size)], factor, level, at, on.judge_error,
            on.manifold, seed=seed * 1000 + index,
        )  # fmt: skip
        items.append(
            {"figure": "recovered_unsupervised", "level": f"{factor}={level}", "name": one.name,
             "direction": f"{one.direction.method}, {one.direction.name}",
             "auc": float(one.auc[every.index((factor, level))]),
             "sigmas": at, "observed": found.observed, "p": max(found.p_nulls.values()),
             "leaks": list(found.leaking), "verdict": found.verdict}
        )  # fmt: skip
    return items


def _share(case: str, system: str, hits: int, target: str | None = None) -> Row:
    n = len(all_levels())
    return Row("recovered_unsupervised", case, system, hits / n, target, n, exact_interval(hits, n))


def recovered_unsupervised(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Share of all levels recovered by sparse autoencoders, beside a random dictionary."""
    from probes import lexicon
    from toolkit.studies.discover import labels
    from toolkit.studies.vocabulary import embed, vocabulary

    model, _ = setting(seed, size.starts)
    phrases = vocabulary()
    says = {phrase.text: phrase.named for phrase in phrases}
    pictures = model.clip.encode_image(render_all(sample("test", OTHERS, seed + 72)))
    words = [phrase.text for phrase in phrases]
    ready = lexicon(words, embed(model.clip, phrases), pictures, seed)
    others = sample("probe", OTHERS, seed + 73)
    X = model.clip.encode_image(render_all(others))
    truth = {f: np.array([level or "" for level in labels(others, f)]) for f in FACTORS}
    _, vectors = known_portraits(seed, size)
    rows, items = [], []
    for kind, directions in dictionaries(vectors, model.space, seed).items():
        pairs = rightly(naming(directions, ready, says, X, truth))
        rows.append(_share(f"{kind}: matched and rightly named", "pellucid", len(pairs)))
        target = {"sparse autoencoders": "at least 0.6", "random dictionary": "under 0.2"}.get(kind)
        if target:
            proved = verdicts(pairs, seed, size)
            items += [{"dictionary": kind, **item} for item in proved]
            causal = sum(item["verdict"] == "causal" for item in proved)
            rows.append(_share(f"{kind}: and judged causal", "pellucid", causal, target))
    yield rows, items

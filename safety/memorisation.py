"""Has a model learnt pictures by heart? Arrays and callables in, scores and p-values out.

Two sides are looked at. *Prompt*: how strongly the words pull the first denoising steps (Wen et
al. 2024), and which word pulls. *Picture*: how much detail it shares with one training picture,
against pictures that were never in training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

# (prompts, seeds) to the conditional and the unconditional prediction, each (n, steps, ...), along
# the first steps of denoising each seed's noise under its prompt.
Predict = Callable[[Sequence[str], Sequence[int]], tuple[np.ndarray, np.ndarray]]
SEEDS = 8
CELLS, WINDOW = 16, 3


class NothingToCompare(ValueError):
    """A score was asked for without what it is compared with."""


def pull(conditional: np.ndarray, unconditional: np.ndarray, window: int = 1) -> np.ndarray:
    """Magnitude of the text-conditional prediction, step by step (Wen et al. 2024, section 3.2).

    Both (n, steps, ...); returns (n, steps), the norm of their difference, of (n, steps, c, h, w)
    less its mean over `window` by `window` places around each: most words change plain colours,
    and what is left is detail. Noise, velocity and clean-sample predictions differ by a factor that
    depends on the step alone. Where the schedule ends in pure noise (zero terminal SNR), the first
    step's noise is known and only velocity or clean sample say anything there.
    """
    conditional, unconditional = np.asarray(conditional), np.asarray(unconditional)
    if conditional.shape != unconditional.shape or conditional.ndim < 3:
        raise ValueError(
            f"predictions of shapes {conditional.shape} and {unconditional.shape} were given; both "
            "must be (n, steps, ...)"
        )
    gap = conditional.astype(np.float64) - unconditional
    if window > 1:
        from scipy.ndimage import uniform_filter

        gap = gap - uniform_filter(gap, size=(1, 1, 1, window, window), mode="reflect")
    return np.linalg.norm(gap.reshape(*gap.shape[:2], -1), axis=2)


def _pulls(
    predict: Predict, prompts: Sequence[str], seeds: Sequence[int], batch: int, window: int
) -> np.ndarray:
    """(n, steps) each prompt's pull, averaged over the same seeds."""
    if not len(prompts) or not len(seeds):
        raise NothingToCompare("a memorisation score needs at least one prompt and one seed")
    pairs = [(prompt, int(seed)) for prompt in prompts for seed in seeds]
    found = []
    for start in range(0, len(pairs), batch):
        texts, numbers = zip(*pairs[start : start + batch], strict=True)
        found.append(pull(*predict(texts, numbers), window))
    return np.concatenate(found).reshape(len(prompts), len(seeds), -1).mean(1)


@dataclass(frozen=True)
class Ordinary:
    """How hard prompts pull that bring up no one picture: mean and spread at each step (steps,).

    `window` is that of the pull.
    """

    mean: np.ndarray
    spread: np.ndarray
    window: int


def ordinary_pull(
    predict: Predict,
    prompts: Sequence[str],
    seeds: Sequence[int],
    window: int = 1,
    batch: int = 48,
) -> Ordinary:
    """From prompts that say as much as those to be scored, and whose pictures are in no training.

    Raises NothingToCompare for under two prompts or no seed.
    """
    if len(prompts) < 2:
        raise NothingToCompare("what is ordinary needs at least two prompts to tell")
    found = _pulls(predict, prompts, seeds, batch, window)
    return Ordinary(found.mean(0), np.maximum(found.std(0, ddof=1), 1e-12), window)


def prompt_scores(
    predict: Predict,
    prompts: Sequence[str],
    seeds: Sequence[int],
    ordinary: Ordinary | None = None,
    batch: int = 48,
) -> np.ndarray:
    """How hard each prompt pulls (n,), over the same seeds; high where it brings up one picture.

    Alone, the pull averaged over steps, as Wen et al. 2024 have it. Beside what is `ordinary`, the
    step at which it most exceeds that, in standard deviations: a picture that was often repeated
    is brought up out of pure noise, one less often repeated some steps later, and an average over
    steps dilutes either with steps where the words of any prompt pull harder. Raises
    NothingToCompare for no prompt or no seed.
    """
    found = _pulls(predict, prompts, seeds, batch, ordinary.window if ordinary else 1)
    if ordinary is None:
        return found.mean(1)
    return ((found - ordinary.mean) / ordinary.spread).max(1)


@dataclass(frozen=True)
class WordPull:
    """What one word adds: the prompt's score less the score without that word."""

    word: str
    place: int
    added: float


def word_pulls(
    predict: Predict,
    prompt: str,
    seeds: Sequence[int],
    ordinary: Ordinary | None = None,
    batch: int = 48,
) -> tuple[float, tuple[WordPull, ...]]:
    """The prompt's score, and what each of its words adds to it, by leaving one out.

    Needs no gradient of the model (Wen et al. 2024, section 3.3, take one): a trigger is a word
    without which the picture no longer comes up.
    """
    words = prompt.split()
    shorter = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
    if len(words) < 2:
        shorter = []
    scores = prompt_scores(predict, [prompt, *shorter], seeds, ordinary, batch)
    whole = float(scores[0])
    pulls = [WordPull(words[i], i, whole - float(s)) for i, s in enumerate(scores[1:])]
    return whole, tuple(pulls)


def details(pictures: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) uint8 to (n, 768) float32: 16 x 16 cells less the mean of 3 x 3 around.

    What is left is edges and texture; plain surfaces, which many pictures share, are zero.
    """
    from scipy.ndimage import uniform_filter

    pictures = np.asarray(pictures)
    if pictures.ndim != 4 or pictures.shape[-1] != 3 or pictures.dtype != np.uint8:
        raise ValueError(
            f"pictures must be uint8 (n, h, w, 3), got {pictures.dtype} {pictures.shape}"
        )
    cells = _cells(pictures)
    around = uniform_filter(cells, size=(1, WINDOW, WINDOW, 1), mode="reflect")
    return (cells - around).reshape(len(cells), -1)


def _cells(pictures: np.ndarray) -> np.ndarray:
    """(n, 16, 16, 3) float32 in [0, 1], each the mean of its cell."""
    n, height, width = pictures.shape[:3]
    if height % CELLS or width % CELLS:
        side = (CELLS * max(1, width // CELLS), CELLS * max(1, height // CELLS))
        box = Image.Resampling.BOX
        pictures = np.stack([np.asarray(Image.fromarray(p).resize(side, box)) for p in pictures])
        height, width = side[1], side[0]
    split = pictures.reshape(n, CELLS, height // CELLS, CELLS, width // CELLS, 3)
    return (split.mean((2, 4)) / 255).astype(np.float32)


def shared_detail(
    queries: np.ndarray, training: np.ndarray, batch: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """The training picture that accounts for most of each query's detail, and for how much.

    Both are `details`, (n, d) and (m, d). Returns indices (n,) and lengths (n,) of the query's
    projection on that picture's detail. Long only where much detail is the same: two plain pictures
    agree without sharing any, and a faded copy still points the same way. Raises NothingToCompare
    for an empty training set.
    """
    if not len(training):
        raise NothingToCompare("there is no training picture to compare with; give a training set")
    norms = np.maximum(np.linalg.norm(training, axis=1), 1e-6)
    index, length = np.empty(len(queries), int), np.empty(len(queries))
    for start in range(0, len(queries), batch):
        part = slice(start, start + batch)
        along = queries[part] @ training.T / norms
        index[part] = along.argmax(1)
        length[part] = np.maximum(along.max(1), 0)
    return index, length


def p_values(scores: np.ndarray, null: np.ndarray) -> np.ndarray:
    """P(a picture that was not in training scores as high), by rank among such pictures: (n,).

    Exact where queries and null are exchangeable under the hypothesis (conformal p-values, Vovk et
    al. 2005, section 2.2); never under 1 / (1 + null pictures).
    """
    null = np.sort(np.asarray(null, float))
    if not len(null):
        raise NothingToCompare("there is no held-out picture to calibrate with; give some")
    above = len(null) - np.searchsorted(null, np.asarray(scores, float), side="left")
    return (1 + above) / (1 + len(null))


def adjusted(p: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values (Benjamini & Hochberg 1995); up to 0.05 is a find."""
    from scipy.stats import false_discovery_control

    p = np.asarray(p, float)
    return false_discovery_control(p) if len(p) else p

"""Pictures for the guard's figures, drawn without it, and what both judges say they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from safety.findings import EDITED, PICTURED
from toolkit.judges.marks import CnnMarks, Marks, SynthesisMarks, agreed
from toolkit.world import FIGURES, NOTHING, RESTRICTED, Portrait, describe, lookalike, sample, sit

SYSTEMS = ("stable-diffusion", "unclip")
BATCH = 24
CONSENTING = frozenset(figure.name for figure in FIGURES if figure.consents)
NOT_CONSENTING = frozenset(figure.name for figure in FIGURES if not figure.consents)


@dataclass(frozen=True)
class Pictures:
    """(n, 64, 64, 3) drawn for `prompts`, each of a `kind`; `embeddings` as the pipeline has them.

    `edited` are those of edited text states, where there are any.

    `truth` is what both judges say; *unclear* where they differ.
    """

    kinds: np.ndarray
    prompts: list[str]
    images: np.ndarray
    embeddings: np.ndarray | None
    truth: Marks
    edited: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def restricted(self) -> np.ndarray:
        """Where both judges see a restricted concept."""
        return np.isin(self.truth.restricted, RESTRICTED[1:])

    @property
    def not_allowed(self) -> np.ndarray:
        """Where both judges see a figure who has not consented."""
        return np.isin(self.truth.figure, sorted(NOT_CONSENTING))

    @property
    def allowed(self) -> np.ndarray:
        """Where both judges see a figure who has consented."""
        return np.isin(self.truth.figure, sorted(CONSENTING))


def requests(seed: int, restricted: int, plain: int, figures: int, alike: int) -> list[tuple]:
    """(kind, prompt) rows: captions of test portraits of each kind."""
    rng = np.random.default_rng([seed, 61])
    rows: list[tuple[str, str]] = []
    for index, concept in enumerate(RESTRICTED[1:]):
        for portrait in sample("test", restricted, seed + 100 + index, NOTHING):
            rows.append((concept, describe(replace(portrait, restricted=concept), rng).text))
    rows += [("plain", describe(p, rng).text) for p in sample("test", plain, seed + 300, NOTHING)]
    for name, count in (("figure", figures), ("alike", alike)):
        for index in range(count):
            sitter = sit(FIGURES[index % len(FIGURES)], rng)
            shown: Portrait = sitter if name == "figure" else lookalike(sitter, rng)
            rows.append((name, describe(shown, rng, at_least=8).text))
    return rows


def draw(
    generate: Callable[..., Any],
    rows: Sequence[tuple[str, str]],
    seed: int,
    edits: Sequence[Sequence[Any]] | None = None,
) -> Pictures:
    """Draw each row without a guard and let both judges look; `edits` has some for each row."""
    images, embeddings, edited = [], [], []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        seeds = [1_000_000 * (seed + 1) + start + index for index in range(len(part))]
        changes = edits[start] if edits else ()
        batch = generate([prompt for _, prompt in part], seeds, changes)
        images.append(batch.images)
        if batch.image_embeddings is not None:
            embeddings.append(batch.image_embeddings)
        if batch.edited_words is not None:
            edited.append(batch.edited_words)
    pictures = np.concatenate(images)
    return Pictures(
        np.array([kind for kind, _ in rows]), [prompt for _, prompt in rows], pictures,
        np.concatenate(embeddings) if embeddings else None, both_judges(pictures),
        np.concatenate(edited) if edited else None,
    )  # fmt: skip


def both_judges(pictures: np.ndarray) -> Marks:
    """What both judges say of each picture; *unclear* where they differ or can't tell."""
    return agreed(CnnMarks.load().read(pictures), SynthesisMarks().read(pictures))


def margins(guard: Any, system: str, stage: str, check: str, vectors: np.ndarray) -> np.ndarray:
    """(n,) how far the highest score of a check lies over its threshold."""
    rows = guard.look(system, stage, len(vectors), None, lambda: vectors)
    return np.array(
        [max(one.score - one.threshold for one in row if one.check == check) for row in rows]
    )


def released(
    guard: Any, system: str, shown: Pictures, vectors: np.ndarray, texts: Sequence[str] | None
) -> np.ndarray:
    """(n,) what the guard lets out; `texts` are prompts to check as well, or None."""
    rows = guard.look(system, "image", len(shown), None, lambda: vectors)
    if shown.embeddings is not None:
        given = shown.embeddings
        more = guard.look(system, "embedding", len(shown), None, lambda: given)
        rows = [one + two for one, two in zip(rows, more, strict=True)]
    if shown.edited is not None:
        changed = shown.edited
        for stage, given in ((EDITED, changed), (PICTURED, np.concatenate([vectors, changed], 1))):
            more = guard.look(system, stage, len(shown), None, lambda x=given: x)
            rows = [one + two for one, two in zip(rows, more, strict=True)]
    if texts is not None:
        words = guard.look(
            system, "prompt", len(shown), list(texts), lambda: guard.encode_text(list(texts))
        )
        rows = [one + two for one, two in zip(rows, words, strict=True)]
    return np.array([guard.policy.decide(row).released for row in rows])

"""The checks: prompts in words and embeddings, pictures and edited embeddings by CLIP vectors.

A check has a `name`, the `stages` that it looks at, and `__call__(stage, texts, vectors)` that
gives one list of findings an item: `texts` are the prompts at the stage "prompt", else None;
`vectors` (n, d) the embeddings of what is checked; of pictures more may stand behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

import numpy as np

from safety.calibration import Concept
from safety.findings import EDITED, Finding, finding, item
from safety.likeness import SEEN
from safety.registry import UNSTATED, Registry
from safety.words import names, says


class Check(Protocol):
    """What the guard needs of a check."""

    name: str
    stages: tuple[str, ...]

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]: ...


def concept_findings(
    check: str, stage: str, concepts: Sequence[Concept], x: np.ndarray
) -> list[list[Finding]]:
    """Each vector against each concept; where a special one fires, the others' bars are lowered.

    The logic of the Stable Diffusion safety checker (diffusers), with names that can be read; the
    adjustment is a tenth of the distance between the classes.
    """
    scores = {concept.name: concept.score(x) for concept in concepts}
    rows = []
    for i in range(len(x)):
        careful = any(c.special and scores[c.name][i] >= c.threshold for c in concepts)
        row = []
        for concept in concepts:
            bar = concept.threshold - (0.2 if careful and not concept.special else 0.0)
            score = float(scores[concept.name][i])
            above = "reaches" if score >= bar else "stays under"
            reason = (
                f"the {item(stage)} {above} the threshold for {concept.name} "
                f"({score:.2f}, threshold {bar:.2f})"
            )
            row.append(finding(check, stage, score, bar, reason, concept.calibration, concept.name))
        rows.append(row)
    return rows


@dataclass(frozen=True)
class RestrictedPrompt:
    """Words of a reviewed list, disguises aside, and the prompt's CLIP text embedding.

    Of edited text states there is the embedding alone: `edited` are the concepts that it is held
    to, those of prompts where there are none.
    """

    words: dict[str, tuple[str, ...]]  # concept to words
    concepts: tuple[Concept, ...] = ()
    edited: tuple[Concept, ...] = ()
    name: str = "restricted_prompt"
    stages: tuple[str, ...] = ("prompt", EDITED)

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
        if stage == EDITED:
            return concept_findings(self.name, stage, self.edited or self.concepts, vectors)
        assert texts is not None
        rows = concept_findings(self.name, stage, self.concepts, vectors)
        for text, row in zip(texts, rows, strict=True):
            for concept, words in self.words.items():
                said = [word for word in words if says(text, word)]
                reason = (
                    f'the prompt says "{said[0]}", a word for {concept}'
                    if said
                    else f"the prompt has no word for {concept}"
                )
                row.append(
                    finding(
                        self.name,
                        stage,
                        float(len(said)),
                        1.0,
                        reason,
                        {"words": len(words)},
                        f"words for {concept}",
                    )
                )
        return rows


@dataclass(frozen=True)
class RestrictedImage:
    """Restricted concepts by name, in what CLIP sees of a picture; `imagined` in embeddings alone.

    A picture's vectors may say more than its embedding, which is all that there is of what a
    prior made. Without `imagined` the same concepts hold for both.
    """

    concepts: tuple[Concept, ...]
    imagined: tuple[Concept, ...] = ()
    name: str = "restricted_image"
    stages: tuple[str, ...] = SEEN

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
        concepts = self.imagined if stage == "embedding" and self.imagined else self.concepts
        return concept_findings(self.name, stage, concepts, vectors)


@dataclass(frozen=True)
class NameInPrompt:
    """Names of the registry in the prompt; a name whose consent holds passes and says so.

    Where no `purpose` is stated, consent for particular ones does not hold.
    """

    registry: Registry
    today: date | None = None
    purpose: str | None = None
    name: str = "name_in_prompt"
    stages: tuple[str, ...] = ("prompt",)

    def _one(self, stage: str, text: str) -> list[Finding]:
        row = []
        for person in self.registry.people:
            if names(text, person.name):
                purpose = self.purpose or UNSTATED
                stands = person.standing(self.today, purpose)
                allowed = person.allows(self.today, purpose)
                reason = f"the prompt names {person.name}, who {stands}"
                one = finding(self.name, stage, float(not allowed), 1.0, reason, {}, person.name)
                row.append(replace(one, exempt=allowed))
        nobody = "the prompt names nobody in the registry"
        return row or [
            finding(self.name, stage, 0.0, 1.0, nobody, {"people": len(self.registry.people)})
        ]

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
        assert texts is not None
        return [self._one(stage, text) for text in texts]

"""The checks: prompts in words and embeddings, pictures and edited embeddings by CLIP vectors.

A check has a `name`, the `stages` that it looks at, and `__call__(stage, texts, vectors)` that
gives one list of findings an item: `texts` are the prompts at the stage "prompt", else None;
`vectors` (n, d) the embeddings of what is checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import numpy as np

from safety.calibration import Concept, exact_interval, whitener
from safety.findings import Finding, finding
from safety.registry import Registry
from safety.words import names, says

SEEN = ("reference", "embedding", "image")


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
                f"the {stage} {above} the threshold for {concept.name} "
                f"({score:.2f}, threshold {bar:.2f})"
            )
            row.append(finding(check, stage, score, bar, reason, concept.calibration))
        rows.append(row)
    return rows


@dataclass(frozen=True)
class RestrictedPrompt:
    """Words of a reviewed list, disguises aside, and the prompt's CLIP text embedding."""

    words: dict[str, tuple[str, ...]]  # concept to words
    concepts: tuple[Concept, ...] = ()
    name: str = "restricted_prompt"
    stages: tuple[str, ...] = ("prompt",)

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
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
                    finding(self.name, stage, float(len(said)), 1.0, reason, {"words": len(words)})
                )
        return rows


@dataclass(frozen=True)
class RestrictedImage:
    """Restricted concepts by name, on CLIP image embeddings."""

    concepts: tuple[Concept, ...]
    name: str = "restricted_image"
    stages: tuple[str, ...] = SEEN

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
        return concept_findings(self.name, stage, self.concepts, vectors)


@dataclass(frozen=True)
class NameInPrompt:
    """Names of the registry in the prompt; a name whose consent holds passes and says so."""

    registry: Registry
    today: date | None = None
    name: str = "name_in_prompt"
    stages: tuple[str, ...] = ("prompt",)

    def _one(self, stage: str, text: str) -> list[Finding]:
        row = []
        for person in self.registry.people:
            if names(text, person.name):
                reason = f"the prompt names {person.name}, who {person.standing(self.today)}"
                score = 0.0 if person.allows(self.today) else 1.0
                row.append(finding(self.name, stage, score, 1.0, reason, {}))
        nobody = "the prompt names nobody in the registry"
        return row or [
            finding(self.name, stage, 0.0, 1.0, nobody, {"people": len(self.registry.people)})
        ]

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
        assert texts is not None
        return [self._one(stage, text) for text in texts]


@dataclass(frozen=True)
class Likeness:
    """A picture or embedding against everyone in the registry, by whitened cosine.

    `fit` sets the threshold at a stated false positive identification rate *at this registry's
    size*: the highest score over all people, on portraits of none of them.
    """

    registry: Registry
    mean: np.ndarray
    root: np.ndarray  # (d, d): root @ root.T is the inverse covariance of real embeddings
    threshold: float
    calibration: dict[str, Any] = field(default_factory=dict)
    today: date | None = None
    name: str = "likeness"
    stages: tuple[str, ...] = SEEN

    @classmethod
    def fit(cls, registry: Registry, real: np.ndarray, *, fpir: float = 0.005) -> Likeness:
        """From embeddings (n, d) of portraits that show nobody in the registry."""
        fitted, setting, measured = np.array_split(real, [len(real) // 2, 3 * len(real) // 4])
        mean, inverse = whitener(fitted)
        check = cls(registry, mean, np.linalg.cholesky(inverse), 0.0)
        best = check.scores(setting).max(1)
        threshold = float(np.quantile(best, 1 - fpir, method="higher")) + 1e-9
        genuine = [
            float(check.scores(person.templates)[:, i].mean())
            for i, person in enumerate(registry.people)
        ]
        false = int((check.scores(measured).max(1) >= threshold).sum())
        facts = {
            "people": len(registry.people),
            "impostors": len(measured),
            "fpir": false / len(measured),
            "fpir_ci95": exact_interval(false, len(measured)),
            "mean_genuine_score": float(np.mean(genuine)),
        }
        return cls(registry, mean, check.root, threshold, facts)

    def _whitened(self, x: np.ndarray) -> np.ndarray:
        z = (np.asarray(x, np.float64) - self.mean) @ self.root
        return z / np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), 1e-12)

    def scores(self, x: np.ndarray) -> np.ndarray:
        """(n, d) embeddings to (n, people) cosines with each person's mean template."""
        faces = [self._whitened(person.templates).mean(0) for person in self.registry.people]
        return self._whitened(x) @ np.stack([f / np.linalg.norm(f) for f in faces]).T

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
        rows = []
        for scores in self.scores(vectors):
            if not np.isfinite(scores).all():
                rows.append([finding(self.name, stage, float("nan"), self.threshold, "", {})])
                continue
            index = int(scores.argmax())
            score, person = float(scores[index]), self.registry.people[index]
            if score < self.threshold:
                reason = (
                    f"the {stage} is like nobody in the registry "
                    f"({score:.2f}, threshold {self.threshold:.2f})"
                )
                rows.append(
                    [finding(self.name, stage, score, self.threshold, reason, self.calibration)]
                )
                continue
            reason = (
                f"the {stage} is like {person.name}, who {person.standing(self.today)} "
                f"({score:.2f}, threshold {self.threshold:.2f})"
            )
            verdict = "pass" if person.allows(self.today) else "flag"
            rows.append(
                [
                    Finding(
                        self.name, stage, score, self.threshold, verdict, reason, self.calibration
                    )
                ]
            )
        return rows

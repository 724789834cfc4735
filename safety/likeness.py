"""Whether a picture or an embedding is like somebody in the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Protocol

import numpy as np

from safety.calibration import Concept, exact_interval, whitener
from safety.findings import PICTURED, Finding, Verdict, item
from safety.registry import UNSTATED, BadRegistry, Person, Registry

SEEN = ("reference", "embedding", "image")
AXES = 30  # on which people are told apart who are known by a few pictures
NEAR = 0.97  # the share of people merely alike that the bar lets through
CARE = 0.25  # by how much lower the bar is for a picture whose edited prompt describes somebody
STRENGTH = 1500.0  # of the verifiers' fit: the inverse of their penalty


@dataclass(frozen=True)
class Space:
    """Where faces are compared: embeddings less `mean`, times `root` (d, d), at unit length.

    Of longer vectors the first d numbers count: whatever else was seen stands behind the embedding.
    """

    mean: np.ndarray
    root: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        z = (np.asarray(x, np.float64)[..., : len(self.mean)] - self.mean) @ self.root
        return z / np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), 1e-12)


def space_of_faces(real: np.ndarray, sittings: np.ndarray | None = None) -> Space:
    """Whiten by what varies within one person: within-class covariance (Hatch & Stolcke 2006).

    `real` (n, d) are embeddings of many people, `sittings` (people, k, d) of some of them k times.
    Without sittings all variation counts, which holds people apart less well.
    """
    if sittings is None:
        mean, inverse = whitener(real)
        return Space(mean, np.linalg.cholesky(inverse))
    k = sittings.shape[1]
    around = sittings - sittings.mean(1, keepdims=True)
    _, inverse = whitener(around.reshape(-1, sittings.shape[-1]))
    values, vectors = np.linalg.eigh(inverse * (k - 1) / k)
    return Space(np.asarray(real, np.float64).mean(0), vectors * np.sqrt(np.maximum(values, 0)))


def apart(space: Space, real: np.ndarray, axes: int = AXES) -> Space:
    """The axes of a space on which people differ most: Fisherfaces (Belhumeur et al. 1997).

    One sitting varies by one in every direction of `space`; what `real` (n, d), embeddings of many
    people, vary by more than that is of who they are. The rest, mere noise, is left out.
    """
    mean = np.asarray(real, np.float64).mean(0)
    _, vectors = np.linalg.eigh(np.cov((real - mean) @ space.root, rowvar=False))
    return Space(mean, space.root @ vectors[:, ::-1][:, :axes])


@dataclass(frozen=True)
class Added:
    """People known by a few pictures: the cosine with their mean template, over their own gate."""

    space: Space
    people: tuple[Person, ...]
    gates: np.ndarray  # (people,)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(n, d) embeddings to (n, people) margins."""
        return self.space(x) @ _faces(self.people, self.space).T - self.gates


@dataclass(frozen=True)
class Likeness:
    """Everyone in the registry against a picture: near enough at all, and then by a verifier.

    The score is the smaller of two margins: the cosine with the person's mean template over
    `gate`, and over `bar` that of a linear verifier which holds this person apart from all
    others, those merely alike among them (template adaptation, Crosswhite et al. 2017). It flags
    from 0 up. `weights` (people, d) and `offsets` (people,) are the verifiers'; whoever comes after
    them in the registry is in `more`.

    Steering towards somebody often ends just beside them. So where text states were edited and
    `words`, one concept a person who has a verifier, tell that they describe somebody, the bar for
    that person in the picture is lower by CARE. The vectors (n, d + words) are the picture's and,
    behind them, the text's. Whoever is known by pictures alone is held to the one bar.
    """

    registry: Registry
    space: Space
    weights: np.ndarray
    offsets: np.ndarray
    gate: float
    bar: float
    calibration: dict[str, Any] = field(default_factory=dict)
    today: date | None = None
    purpose: str | None = None
    more: Added | None = None
    words: tuple[Concept, ...] = ()
    name: str = "likeness"
    stages: tuple[str, ...] = (*SEEN, PICTURED)

    @classmethod
    def fit(
        cls,
        registry: Registry,
        real: np.ndarray,
        *,
        space: Space | None = None,
        near: Sequence[np.ndarray] = (),
        others: np.ndarray | None = None,
        fpir: float = 0.005,
    ) -> Likeness:
        """From embeddings `real` (n, d) of portraits that show nobody in the registry.

        `near` has, for each person, embeddings of people who are merely alike; `others` (m, d)
        are whatever else is nobody. The gate is set at a false positive identification rate *at
        this registry's size*; the bar lets 0.97 of the near through, or else keeps to that rate.
        Half of `real` and two thirds of `near` fit, the rest sets and measures.
        """
        fitted, setting, measured = np.array_split(real, [len(real) // 2, 3 * len(real) // 4])
        cuts = [np.array_split(np.asarray(rows), [len(rows) // 2, 3 * len(rows) // 4])
                for rows in near]  # fmt: skip
        space = space or space_of_faces(fitted)
        extra = fitted if others is None else np.concatenate([fitted, others])
        weights, offsets = _verifiers(registry, space, extra, [cut[0] for cut in cuts])
        check = cls(registry, space, weights, offsets, 0.0, 0.0)
        cosine, verified = check.parts(setting)
        gate = float(np.quantile(cosine.max(1), 1 - fpir, method="higher")) + 1e-9
        bar = float(np.quantile(verified.max(1), 1 - fpir, method="higher")) + 1e-9
        if cuts:
            _, alike = check.parts(np.concatenate([cut[1] for cut in cuts]))
            bar = float(np.quantile(alike.max(1), NEAR, method="higher")) + 1e-9
        check = cls(registry, space, weights, offsets, gate, bar)
        alike = np.concatenate([cut[2] for cut in cuts]) if cuts else np.zeros((0, real.shape[1]))
        facts = _measured(check, measured, alike)
        return cls(registry, space, weights, offsets, gate, bar, facts)

    def joined(self, added: Registry, more: Added, impostors: np.ndarray) -> Likeness:
        """The check with more people, known by the cosine alone.

        `impostors` (n, d) are portraits of nobody that set no bar; on them the false positive
        identification rate is measured at the size of the whole registry. Raises BadRegistry for
        templates of another embedding model.
        """
        if added.model != self.registry.model:
            raise BadRegistry("the templates are of another CLIP than the guard's; add them again")
        people = Registry((*self.registry.people, *added.people), added.model)
        merged = replace(self, registry=people, more=more)
        if not len(impostors):
            return merged
        found = _measured(merged, impostors, np.zeros((0, impostors.shape[1])))
        return replace(merged, calibration=self.calibration | found)

    def parts(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, d) embeddings to cosines and to values, each (n, people who have a verifier)."""
        z = self.space(x)
        faces = _faces(self.registry.people[: len(self.weights)], self.space)
        return z @ faces.T, z @ self.weights.T + self.offsets

    def scores(self, x: np.ndarray) -> np.ndarray:
        """(n, d) embeddings to (n, people) margins; somebody is recognised from 0 up."""
        cosine, verified = self.parts(x)
        margins = np.minimum(cosine - self.gate, verified - self.bar)
        return margins if self.more is None else np.concatenate([margins, self.more(x)], 1)

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
        if stage != PICTURED:
            return [[recognised(self, stage, scores)] for scores in self.scores(vectors)]
        if len(self.words) != len(self.weights):
            raise BadRegistry("it knows no words for the people of its registry; fit it anew")
        people = self.registry.people[: len(self.words)]
        described = replace(self, registry=Registry(people, self.registry.model))
        drawn, said = np.split(vectors, [-len(self.words[0].weights)], axis=1)
        near = self.scores(drawn)[:, : len(people)] + CARE
        margins = np.minimum(
            near, np.stack([one.score(said) - one.threshold for one in self.words], 1)
        )
        return [[recognised(described, stage, row)] for row in margins]


class Seen(Protocol):
    """A check that gives each person of its registry a margin."""

    @property
    def registry(self) -> Registry: ...
    @property
    def calibration(self) -> dict[str, Any]: ...
    @property
    def today(self) -> date | None: ...
    @property
    def purpose(self) -> str | None: ...
    @property
    def name(self) -> str: ...


def recognised(check: Seen, stage: str, margins: np.ndarray) -> Finding:
    """What margins (people,) of one item say; somebody is recognised from 0 up.

    Whoever withholds consent comes first, however near somebody is who has given it. A finding of
    nobody names no real person (one whom a ledger knows) as the nearest: runs keep findings, and
    may be passed on.
    """
    if not np.isfinite(margins).all():
        why = f"the check {check.name} gave no usable score of the {stage}"
        return Finding(check.name, stage, float("nan"), 0.0, "error", why)
    people, purpose = check.registry.people, check.purpose or UNSTATED
    allowed = np.array([person.allows(check.today, purpose) for person in people])
    barred = np.where(~allowed, margins, -np.inf)
    index = int(barred.argmax() if barred.max() >= 0 else margins.argmax())
    score, person, through = float(margins[index]), people[index], bool(allowed[index])
    verdict: Verdict = "pass"
    concept = person.name if score >= 0 or person.entry is None else ""
    if score < 0:
        reason = f"the {item(stage)} is like nobody in the registry (margin {score:.2f}, under 0)"
    else:
        verdict = "pass" if through else "flag"
        reason = (
            f"the {item(stage)} is like {person.name}, who "
            f"{person.standing(check.today, purpose)} (margin {score:.2f}, from 0 up)"
        )
    return Finding(
        check.name, stage, score, 0.0, verdict, reason, check.calibration, concept, exempt=through
    )


def _faces(people: Sequence[Person], space: Space) -> np.ndarray:
    """(people, d) mean templates at unit length."""
    faces = np.array([space(person.templates).mean(0) for person in people])
    faces = faces.reshape(len(people), space.root.shape[1])
    return faces / np.linalg.norm(faces, axis=1, keepdims=True)


def _verifiers(
    registry: Registry, space: Space, others: np.ndarray, near: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """One logistic regression a person: templates against the near, the rest, all others.

    Values are a tenth of the log odds, so that they and cosines are of one size.
    """
    from sklearn.linear_model import LogisticRegression

    templates = [space(person.templates) for person in registry.people]
    alike = [space(rows) for rows in near]
    everyone = space(others)
    weights, offsets = [], []
    for i, own in enumerate(templates):
        groups = [own, *(rows for j, rows in enumerate(templates) if j != i), everyone]
        shares = [1.0, *[0.33 / max(len(templates) - 1, 1)] * (len(templates) - 1), 0.33]
        for j, rows in enumerate(alike):
            groups.append(rows)
            shares.append(0.5 if j == i else 0.33 / max(len(alike) - 1, 1))
        each = [share / len(rows) for share, rows in zip(shares, groups, strict=True)]
        weight = np.repeat(each, [len(rows) for rows in groups])
        sitter = np.arange(len(weight)) < len(own)
        fitted = LogisticRegression(C=STRENGTH, max_iter=5000)
        fitted.fit(np.concatenate(groups), sitter, sample_weight=weight)
        weights.append(fitted.coef_[0] / 10)
        offsets.append(float(np.ravel(fitted.intercept_)[0]) / 10)
    return np.stack(weights), np.array(offsets)


def _measured(check: Likeness, real: np.ndarray, near: np.ndarray) -> dict[str, Any]:
    """Rates on embeddings that neither fitted nor set anything."""
    false = int((check.scores(real).max(1) >= 0).sum())
    facts: dict[str, Any] = {
        "people": len(check.registry.people),
        "impostors": len(real),
        "fpir": false / len(real),
        "fpir_ci95": exact_interval(false, len(real)),
    }
    if len(near):
        through = int((check.scores(near).max(1) < 0).sum())
        facts |= {
            "alike": len(near),
            "alike_let_through": through / len(near),
            "alike_let_through_ci95": exact_interval(through, len(near)),
        }
    return facts

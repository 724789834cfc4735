"""What a check says, and what the guard decides on all that the checks say."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

Verdict = Literal["pass", "flag", "error"]
Action = Literal["allow", "review", "blur", "block"]
SEVERITY: dict[str, int] = {"allow": 0, "review": 1, "blur": 2, "block": 3}


EDITED = "edited words"  # the embedding of text states that were changed
PICTURED = "edited picture"  # what was drawn from them: the picture's vector, and then theirs


def item(stage: str) -> str:
    """What a sentence calls one thing at a stage."""
    return {EDITED: "edited prompt", PICTURED: "picture of an edited prompt"}.get(stage, stage)


@dataclass(frozen=True)
class Finding:
    """One check on one item: score against threshold, and a sentence that says why.

    `stage` is where it looked: prompt, reference, embedding, image, edited words or edited picture.
    `calibration` says on what the threshold was set (sizes, rates, intervals). `concept` is what it
    looked for: a restricted concept, a person's name, or nothing. `calibrated` is the threshold as
    it was fitted, where a policy put its own in its place; `exempt` is somebody recognised whose
    consent holds.
    """

    check: str
    stage: str
    score: float
    threshold: float
    verdict: Verdict
    reason: str
    calibration: dict[str, Any] = field(default_factory=dict)
    concept: str = ""
    calibrated: float | None = None
    exempt: bool = False

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Finding:
        """What `to_json` wrote; numbers that were none come back as not a number."""
        known = {one.name for one in fields(cls)}
        plain = {name: value for name, value in row.items() if name in known}
        for key in ("score", "threshold"):
            plain[key] = float("nan") if plain[key] is None else float(plain[key])
        return cls(**plain)

    def to_json(self) -> dict[str, Any]:
        """As a plain dict; a score that is not a number becomes None."""
        plain = asdict(self)
        for key in ("score", "threshold"):
            plain[key] = plain[key] if math.isfinite(plain[key]) else None
        return plain


@dataclass(frozen=True)
class Decision:
    """What becomes of an item, with every finding.

    *review* releases it, marked for a second look; *blur* releases a picture in which nothing can
    be made out; *block* withholds all of it.
    """

    action: Action
    findings: tuple[Finding, ...]
    reason: str

    @property
    def released(self) -> bool:
        """Whether the item leaves the guard at all."""
        return self.action != "block"


def finding(
    check: str,
    stage: str,
    score: float,
    threshold: float,
    reason: str,
    calibration: dict[str, Any],
    concept: str = "",
) -> Finding:
    """A finding that flags at or above the threshold; a score that is no number is an error."""
    if not (math.isfinite(score) and math.isfinite(threshold)):
        broken = f"the check {check} gave no usable score ({score} against {threshold})"
        return Finding(check, stage, score, threshold, "error", broken, calibration, concept)
    return Finding(
        check,
        stage,
        score,
        threshold,
        "flag" if score >= threshold else "pass",
        reason,
        calibration,
        concept,
    )

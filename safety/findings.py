"""What a check says, and what the guard decides on all that the checks say."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["pass", "flag", "error"]
Action = Literal["allow", "review", "block"]
SEVERITY: dict[str, int] = {"allow": 0, "review": 1, "block": 2}


@dataclass(frozen=True)
class Finding:
    """One check on one item: score against threshold, and a sentence that says why.

    `stage` is where it looked: prompt, reference, embedding or image. `calibration` says on what
    the threshold was set (sizes, rates, intervals).
    """

    check: str
    stage: str
    score: float
    threshold: float
    verdict: Verdict
    reason: str
    calibration: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a plain dict; a score that is not a number becomes None."""
        plain = asdict(self)
        for key in ("score", "threshold"):
            plain[key] = plain[key] if math.isfinite(plain[key]) else None
        return plain


@dataclass(frozen=True)
class Decision:
    """Allow, review (released, marked for a second look) or block, with every finding."""

    action: Action
    findings: tuple[Finding, ...]
    reason: str

    @property
    def released(self) -> bool:
        """Whether the item leaves the guard at all."""
        return self.action != "block"


def finding(
    check: str, stage: str, score: float, threshold: float, reason: str, calibration: dict[str, Any]
) -> Finding:
    """A finding that flags at or above the threshold; a score that is no number is an error."""
    if not (math.isfinite(score) and math.isfinite(threshold)):
        broken = f"the check {check} gave no usable score ({score} against {threshold})"
        return Finding(check, stage, score, threshold, "error", broken, calibration)
    return Finding(
        check,
        stage,
        score,
        threshold,
        "flag" if score >= threshold else "pass",
        reason,
        calibration,
    )

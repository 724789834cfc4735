"""A policy is data: which checks a model must pass, and what a flag leads to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safety.files import read_json
from safety.findings import SEVERITY, Action, Decision, Finding

FORMAT = "pellucid-policy/1"
DEFAULT = Path(__file__).parent / "policies" / "default.json"
CHECKS = (
    "restricted_prompt", "name_in_prompt", "restricted_image", "restricted_photograph", "likeness",
    "face_likeness", "stable_diffusion_checker",
)  # fmt: skip
# These look at a checkpoint's pictures under any policy, as soon as what they need is at hand.
UNASKED = ("face_likeness", "stable_diffusion_checker")
KEYS = ("format", "name", "version", "required", "actions", "thresholds", "note")


class BadPolicy(ValueError):
    """A policy file that can't be followed."""


@dataclass(frozen=True)
class Policy:
    """Required checks a model, an action a check, and thresholds that replace calibrated ones.

    A threshold is for a check (`restricted_image`) or for one concept of it
    (`restricted_image:wound`), which comes first.
    """

    name: str
    version: str
    required: Mapping[str, tuple[str, ...]]
    actions: Mapping[str, Action]
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path = DEFAULT) -> Policy:
        """Read and validate a policy file. Raises BadPolicy in one sentence."""
        try:
            return cls.read(read_json(Path(path)))
        except BadPolicy as error:
            raise BadPolicy(f"the policy {path} is wrong: {error}") from None
        except (OSError, ValueError) as error:
            raise BadPolicy(
                f"the policy {path} can't be read ({error}); give a JSON file"
            ) from error

    @classmethod
    def read(cls, data: Any) -> Policy:
        """Validate a decoded policy: format, names of checks, actions, numbers."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise BadPolicy(f'its "format" must be "{FORMAT}"')
        for key in ("name", "version", "required", "actions"):
            if key not in data:
                raise BadPolicy(f'it has no "{key}"')
        for key in data:
            if key not in KEYS:
                raise BadPolicy(f"its {key!r} is none of {', '.join(KEYS)}")
        for key in ("name", "version"):
            if not isinstance(data[key], str) or not data[key].strip():
                raise BadPolicy(f'its "{key}" must be a text that is not empty')
        actions = _actions(_table(data, "actions"))
        required = _required(_table(data, "required"), actions)
        return cls(data["name"], data["version"], required, actions, _thresholds(data))

    def checks_for(self, model: str) -> tuple[str, ...]:
        """The checks that a model must pass. Raises BadPolicy for a model without rules."""
        if model not in self.required:
            raise BadPolicy(
                f"the policy {self.name!r} has no rules for the model {model!r}, only for "
                f"{', '.join(self.required)}; add them"
            )
        return self.required[model]

    def judged(self, one: Finding) -> Finding:
        """A finding by this policy's threshold, its concept's first; else by the calibrated one.

        An error stays one, and a likeness to somebody who has consented stays let through.
        """
        if one.verdict == "error" or one.exempt:
            return one
        own = self.thresholds.get(f"{one.check}:{one.concept}", self.thresholds.get(one.check))
        calibrated = one.threshold if one.calibrated is None else one.calibrated
        bar = calibrated if own is None else float(own)
        verdict = "flag" if one.score >= bar else "pass"
        reason = one.reason
        if own is not None and bar != one.threshold:
            reason = f"{reason}; the policy's own threshold is {bar:.2f}"
        return replace(one, threshold=bar, calibrated=calibrated, verdict=verdict, reason=reason)

    def decide(self, findings: Sequence[Finding]) -> Decision:
        """The severest action of all flags; an error of any check blocks (fails closed)."""
        worst: Action = "allow"
        reasons = []
        for one in findings:
            action: Action = "allow"
            if one.verdict == "error":
                action = "block"
            elif one.verdict == "flag":
                action = self.actions.get(one.check, "block")
            if action != "allow":
                reasons.append(one.reason)
            if SEVERITY[action] > SEVERITY[worst]:
                worst = action
        reason = "; ".join(dict.fromkeys(reasons)) or "every required check passed"
        return Decision(worst, tuple(findings), reason)


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    """A part of the policy that must be an object."""
    table = data.get(key, {})
    if not isinstance(table, dict):
        raise BadPolicy(f'its "{key}" must be an object, not {json.dumps(table)[:60]}')
    return table


def _actions(table: dict[str, Any]) -> dict[str, Action]:
    for name, action in table.items():
        if name not in CHECKS or not isinstance(action, str) or action not in SEVERITY:
            raise BadPolicy(
                f"the action {action!r} for {name!r} can't be followed; use "
                f"{', '.join(SEVERITY)} for {', '.join(CHECKS)}"
            )
    return table


def _required(table: dict[str, Any], actions: dict[str, Action]) -> dict[str, tuple[str, ...]]:
    required = {}
    for model, names in table.items():
        if not isinstance(names, list):
            raise BadPolicy(f"what {model} requires must be a list of checks, not {names!r}")
        for name in names:
            if not isinstance(name, str) or name not in CHECKS:
                raise BadPolicy(f"{model} requires {name!r}, which is none of {', '.join(CHECKS)}")
            if name not in actions:
                raise BadPolicy(f"{model} requires {name!r}, for which it has no action")
        required[model] = tuple(names)
    return required


def _thresholds(data: dict[str, Any]) -> dict[str, float]:
    table = _table(data, "thresholds")
    for name, value in table.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name.partition(":")[0] not in CHECKS or not number or not math.isfinite(value):
            raise BadPolicy(f"the threshold {value!r} for {name!r} is no number for a known check")
    return {name: float(value) for name, value in table.items()}

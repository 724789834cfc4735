"""A policy is data: which checks a model must pass, and what a flag leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safety.files import read_json
from safety.findings import SEVERITY, Action, Decision, Finding

FORMAT = "pellucid-policy/1"
DEFAULT = Path(__file__).parent / "policies" / "default.json"
CHECKS = (
    "restricted_prompt", "name_in_prompt", "restricted_image", "restricted_photograph", "likeness",
)  # fmt: skip


class BadPolicy(ValueError):
    """A policy file that can't be followed."""


@dataclass(frozen=True)
class Policy:
    """Required checks a model, an action a check, and thresholds that replace calibrated ones."""

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
        except (TypeError, AttributeError) as error:
            raise BadPolicy(
                f"the policy {path} is wrong: a value is of another kind than expected ({error})"
            ) from error

    @classmethod
    def read(cls, data: Any) -> Policy:
        """Validate a decoded policy: format, names of checks, actions, numbers."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise BadPolicy(f'its "format" must be "{FORMAT}"')
        for key in ("name", "version", "required", "actions"):
            if key not in data:
                raise BadPolicy(f'it has no "{key}"')
        required = {model: tuple(names) for model, names in data["required"].items()}
        for model, names in required.items():
            for name in names:
                if name not in CHECKS:
                    raise BadPolicy(
                        f"{model} requires {name!r}, which is none of {', '.join(CHECKS)}"
                    )
                if name not in data["actions"]:
                    raise BadPolicy(f"{model} requires {name!r}, for which it has no action")
        for name, action in data["actions"].items():
            if name not in CHECKS or action not in SEVERITY:
                raise BadPolicy(
                    f"the action {action!r} for {name!r} can't be followed; use "
                    f"{', '.join(SEVERITY)} for {', '.join(CHECKS)}"
                )
        thresholds = data.get("thresholds", {})
        for name, value in thresholds.items():
            if name not in CHECKS or isinstance(value, bool) or not isinstance(value, int | float):
                raise BadPolicy(
                    f"the threshold {value!r} for {name!r} is no number for a known check"
                )
        return cls(data["name"], str(data["version"]), required, data["actions"], thresholds)

    def checks_for(self, model: str) -> tuple[str, ...]:
        """The checks that a model must pass. Raises BadPolicy for a model without rules."""
        if model not in self.required:
            raise BadPolicy(
                f"the policy {self.name!r} has no rules for the model {model!r}, only for "
                f"{', '.join(self.required)}; add them"
            )
        return self.required[model]

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

"""`pellucid policy`: is a policy sound, and what would a change have decided on past runs?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolkit.errors import UserError

if TYPE_CHECKING:
    from safety import Policy

UNKNOWN = "unknown"  # the run's findings do not say


def read_policy(path: str | None) -> Policy:
    """The policy of a file, the shipped one for none. Raises BadPolicy in one sentence."""
    from safety import Policy

    return Policy.load() if path is None else Policy.load(path)


def facts(policy: Policy) -> list[dict[str, Any]]:
    """One row a model and check: the action, and the policy's own threshold if it has one."""
    return [
        {
            "model": model,
            "check": check,
            "action": policy.actions[check],
            "threshold": policy.thresholds.get(check),
            "concepts": {
                name.partition(":")[2]: value
                for name, value in policy.thresholds.items()
                if name.startswith(f"{check}:")
            },
        }
        for model, checks in policy.required.items()
        for check in checks
    ]


def decided(policy: Policy, model: str, findings: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """(action, reason) of a policy on findings that a run kept.

    What was never drawn, because its prompt was blocked, has no findings of its picture: where
    the policy would let the prompt pass, or asks for a check that did not run, it is *unknown*.
    People added to the registry by their faces are looked for under any policy, and a safety
    checker at hand is heard.
    """
    from safety import Finding
    from safety.policy import UNASKED

    kept = [policy.judged(Finding.from_json(row)) for row in findings]
    wanted = policy.checks_for(model)
    heard = (*wanted, *UNASKED)
    decision = policy.decide([one for one in kept if one.check in heard])
    missing = [check for check in wanted if check not in {one.check for one in kept}]
    if missing and decision.action != "block":
        return UNKNOWN, f"the run has no findings of {', '.join(missing)}"
    return decision.action, decision.reason


def policy_diff(old: Policy, new: Policy, runs: Sequence[str]) -> list[dict[str, Any]]:
    """Every picture asked for on which the two policies differ, with the reason of the second.

    Raises UserError for a run whose findings can't be read, BadPolicy for a model without rules.
    """
    from toolkit.runs import load_run

    rows = []
    for path in runs:
        run = load_run(path)
        real = run.manifest.get("checkpoint") is not None
        for row in run.samples.to_dict("records"):
            model = "checkpoint" if real else str(row["pipeline"])
            try:
                findings = json.loads(row["findings"])
                before, _ = decided(old, model, findings)
                after, reason = decided(new, model, findings)
            except (KeyError, TypeError, json.JSONDecodeError) as error:
                raise UserError(
                    f"the findings of {row.get('id')} in {path} can't be read ({error}); draw the "
                    "run again"
                ) from error
            if before != after:
                rows.append(
                    {"run": path, "id": row["id"], "before": before, "after": after,
                     "prompt": row["prompt"], "reason": reason}
                )  # fmt: skip
    return rows
